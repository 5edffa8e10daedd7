"""Networks whose wiring leaves the order of nodes open: randomly wired stages, and cells as searches make.

Stages are wired by Watts-Strogatz, Erdos-Renyi and Barabasi-Albert graphs, as in Xie et al., "Exploring
randomly wired neural networks" (2019); cells choose their operators and inputs at random, as DARTS and NASNet
do by search. Weights are random, nodes stand in the order in which the wiring numbers them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPSET, IR_VERSION = 17, 8

Edges = list[list[int]]
"""For each node the nodes it reads, all with smaller numbers; none for those that read the stage's input."""


@dataclass
class Builder:
    """Nodes and weights of a graph in the making."""

    rng: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def op(self, op_type: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node; its output."""
        name = f"{op_type.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [name], name, **attributes))
        return name

    def conv(self, x: str, channels: int, made: int, kernel: int, *, groups: int = 1, stride: int = 1) -> str:
        """A convolution that keeps the image's size but for its stride."""
        weight = self.rng.standard_normal((made, channels // groups, kernel, kernel), dtype=np.float32)
        name = f"w{len(self.weights)}"
        scaled = weight / np.sqrt(channels // groups * kernel**2, dtype=np.float32)
        self.weights.append(numpy_helper.from_array(scaled, name))
        pads, strides = [kernel // 2] * 4, [stride] * 2
        return self.op("Conv", [x, name], group=groups, pads=pads, strides=strides, kernel_shape=[kernel] * 2)

    def separable(self, x: str, channels: int, kernel: int = 3) -> str:
        """Relu, depthwise and pointwise convolution."""
        return self.conv(
            self.conv(self.op("Relu", [x]), channels, channels, kernel, groups=channels),
            channels,
            channels,
            1,
        )

    def sum(self, values: Sequence[str]) -> str:
        """Their sum, added one after another."""
        total = values[0]
        for value in values[1:]:
            total = self.op("Add", [total, value])
        return total

    def model(self, output: str, channels: int, side: int) -> onnx.ModelProto:
        """The model, from an image to a vector."""
        pooled = self.op("GlobalAveragePool", [output])
        graph = helper.make_graph(
            self.nodes,
            "wired",
            [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, channels, side, side])],
            [helper.make_tensor_value_info(pooled, onnx.TensorProto.FLOAT, [1, None, 1, 1])],
            self.weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def watts_strogatz(rng: np.random.Generator, nodes: int, near: int = 4, rewired: float = 0.75) -> Edges:
    """A ring in which each node knows `near` others, a share of whose edges leads elsewhere."""
    pairs = set()
    for offset in range(1, near // 2 + 1):
        for node in range(nodes):
            other = (node + offset) % nodes
            if rng.random() < rewired:
                other = int(rng.choice([each for each in range(nodes) if each != node]))
            pairs.add((min(node, other), max(node, other)))
    return _directed(nodes, pairs)


def erdos_renyi(rng: np.random.Generator, nodes: int, share: float = 0.2) -> Edges:
    """Each pair is joined with the same probability."""
    return _directed(
        nodes, {(low, high) for high in range(nodes) for low in range(high) if rng.random() < share}
    )


def barabasi_albert(rng: np.random.Generator, nodes: int, edges: int = 5) -> Edges:
    """Each new node reads several others, those that have many edges already more often."""
    pairs: set[tuple[int, int]] = set()
    degree = np.zeros(nodes)
    degree[:edges] = 1
    for node in range(edges, nodes):
        chosen = rng.choice(nodes, size=edges, replace=False, p=degree / degree.sum())
        pairs.update((int(other), node) for other in chosen)
        degree[chosen] += 1
        degree[node] += edges
    return _directed(nodes, pairs)


def _directed(nodes: int, pairs: set[tuple[int, int]]) -> Edges:
    edges: Edges = [[] for _ in range(nodes)]
    for low, high in sorted(pairs):
        edges[high].append(low)
    return edges


def random_stage(
    wire: Callable[[np.random.Generator, int], Edges],
    seed: int,
    *,
    nodes: int = 32,
    channels: int = 32,
    side: int = 28,
) -> onnx.ModelProto:
    """A stage of a randomly wired network: each node sums what it reads, then Relu and a separable Conv."""
    rng = np.random.default_rng(seed)
    made = Builder(rng)
    edges = wire(rng, nodes)
    stem = made.conv("image", 3, channels, 3)
    outputs: list[str] = []
    for sources in edges:
        outputs.append(made.separable(made.sum([outputs[source] for source in sources] or [stem]), channels))
    read = {source for sources in edges for source in sources}
    ends = [outputs[node] for node in range(nodes) if node not in read]
    return made.model(made.sum(ends), 3, side)


CELL_OPERATORS = ("separable 3", "separable 5", "max pool", "average pool", "skip", "convolution 1")


def random_cells(
    seed: int, *, cells: int = 3, blocks: int = 5, channels: int = 24, side: int = 28
) -> onnx.ModelProto:
    """Cells as architecture searches make them: each reads the two before it.

    A block adds two operators on two of the cell's values; blocks that nobody reads are joined. All operators
    on one input are computed as soon as that input is there (`planner_orders.py` has them block by block).
    """
    rng = np.random.default_rng(seed)
    made = Builder(rng)
    before = now = made.conv("image", 3, channels, 3)
    width = wide = channels
    for _ in range(cells):
        values = [made.conv(before, wide, channels, 1), made.conv(now, width, channels, 1)]
        choices = [
            [(int(rng.integers(0, 2 + block)), str(rng.choice(CELL_OPERATORS))) for _ in range(2)]
            for block in range(blocks)
        ]
        parts: list[dict[int, str]] = [{} for _ in range(blocks)]
        for value in range(2 + blocks):
            if value >= 2:
                values.append(made.op("Add", [parts[value - 2][0], parts[value - 2][1]]))
            for block, pair in enumerate(choices):
                for side_, (source, operator) in enumerate(pair):
                    if source == value:
                        parts[block][side_] = _operator(made, operator, values[value], channels)
        read = {source for pair in choices for source, _ in pair}
        loose = [values[value] for value in range(2, 2 + blocks) if value not in read]
        before, wide = now, width
        now = made.op("Concat", loose, axis=1) if len(loose) > 1 else loose[0]
        width = channels * len(loose)
    return made.model(now, 3, side)


def _operator(made: Builder, name: str, x: str, channels: int) -> str:
    match name.split():
        case ["separable", kernel]:
            return made.separable(x, channels, int(kernel))
        case ["convolution", kernel]:
            return made.conv(made.op("Relu", [x]), channels, channels, int(kernel))
        case ["skip"]:
            return x
    pool = "MaxPool" if name.startswith("max") else "AveragePool"
    return made.op(pool, [x], kernel_shape=[3, 3], pads=[1] * 4, strides=[1, 1])


INVERTED_RESIDUALS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Of MobileNetV2 (Sandler et al., 2018, table 2): expansion, channels, blocks, stride of the first."""


def mobilenet_v2(seed: int = 0, side: int = 224) -> onnx.ModelProto:
    """MobileNetV2 up to its pooling, normalizations folded, weights random."""
    made = Builder(np.random.default_rng(seed))
    six = numpy_helper.from_array(np.array(6, np.float32), "six")
    zero = numpy_helper.from_array(np.array(0, np.float32), "zero")
    made.weights += [zero, six]

    def bounded(x: str) -> str:
        return made.op("Clip", [x, "zero", "six"])

    x, width = bounded(made.conv("image", 3, 32, 3, stride=2)), 32
    for expansion, channels, blocks, first_stride in INVERTED_RESIDUALS:
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            wide = width * expansion
            inner = x if expansion == 1 else bounded(made.conv(x, width, wide, 1))
            inner = bounded(made.conv(inner, wide, wide, 3, groups=wide, stride=stride))
            inner = made.conv(inner, wide, channels, 1)
            x = made.op("Add", [x, inner]) if stride == 1 and width == channels else inner
            width = channels
    return made.model(bounded(made.conv(x, width, 1280, 1)), 3, side)


def wired_networks(seeds: int = 4) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Name and model of each network of the benchmark."""
    for seed in range(seeds):
        for name, wire in (("ws", watts_strogatz), ("er", erdos_renyi), ("ba", barabasi_albert)):
            yield f"{name}-{seed}", random_stage(wire, seed)
        for blocks in (5, 8):
            yield f"cells-{blocks}-{seed}", random_cells(seed, blocks=blocks)
