"""Times `graphopt optimize --no-measure` on generated graphs of 1k, 10k and 100k nodes.

    python benchmarks/scaling.py [--repeats N] [SIZE...]

The graphs are the same on every machine: short CNN branches with the untidiness that passes clean up. Nothing
here optimizes anything itself: each run is a process of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZES = (1_000, 10_000, 100_000)
CHANNELS, PIXELS = 4, 6
OPSET, IR_VERSION = 17, 8
TIMEOUT_SECONDS = 1800.0


@dataclass
class Builder:
    """Collects nodes and initializers under fresh names."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return that output's name."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"n{len(self.nodes)}", **attributes))
        return name

    def const(self, array: np.ndarray[Any, Any]) -> str:
        """Add an initializer and return its name."""
        name = f"w{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def scalar(self, value: float) -> str:
        """Add a float32 initializer of shape []."""
        return self.const(np.array(value, dtype=np.float32))


def conv_block(graph: Builder, rng: np.random.Generator, x: str) -> str:
    """Conv, BatchNormalization, scalar affine, HardSwish spelled out, and a residual sum: 9 nodes."""
    weight = rng.normal(0.0, 0.15, (CHANNELS, CHANNELS, 3, 3)).astype(np.float32)
    y = graph.op("Conv", x, graph.const(weight), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    parameters = [
        rng.uniform(0.5, 1.5, CHANNELS),
        rng.normal(0.0, 0.1, CHANNELS),
        rng.normal(0.0, 0.1, CHANNELS),
        rng.uniform(0.5, 1.5, CHANNELS),
    ]
    arrays = [graph.const(parameter.astype(np.float32)) for parameter in parameters]
    y = graph.op("BatchNormalization", y, *arrays)
    y = graph.op("Add", graph.op("Mul", y, graph.scalar(0.75)), graph.scalar(0.125))
    gate = graph.op("Clip", graph.op("Add", y, graph.scalar(3.0)), graph.scalar(0.0), graph.scalar(6.0))
    y = graph.op("Div", graph.op("Mul", y, gate), graph.scalar(6.0))
    return graph.op("Add", x, y)


def shape_chain(graph: Builder, rng: np.random.Generator, x: str) -> str:
    """Flatten and restore through Shape-Gather-Unsqueeze-Concat-Reshape: 7 nodes."""
    axis = graph.const(np.array([0], dtype=np.int64))
    batch = graph.op("Gather", graph.op("Shape", x), graph.const(np.array(0, dtype=np.int64)), axis=0)
    batch = graph.op("Unsqueeze", batch, axis)
    flat = graph.const(np.array([CHANNELS * PIXELS * PIXELS], dtype=np.int64))
    full = graph.const(np.array([CHANNELS, PIXELS, PIXELS], dtype=np.int64))
    y = graph.op("Reshape", x, graph.op("Concat", batch, flat, axis=0))
    return graph.op("Reshape", y, graph.op("Concat", batch, full, axis=0))


def transposed_activation(graph: Builder, rng: np.random.Generator, x: str) -> str:
    """An elementwise op between a transpose and its inverse: 3 nodes."""
    y = graph.op("Tanh", graph.op("Transpose", x, perm=[0, 2, 3, 1]))
    return graph.op("Transpose", y, perm=[0, 3, 1, 2])


def duplicated_gate(graph: Builder, rng: np.random.Generator, x: str) -> str:
    """One subexpression written twice, then an Identity: 6 nodes."""
    scale = graph.scalar(0.5)
    first, second = (graph.op("Sigmoid", graph.op("Mul", x, scale)) for _ in range(2))
    return graph.op("Identity", graph.op("Mul", first, second))


def dead_code(graph: Builder, rng: np.random.Generator, x: str) -> str:
    """Nodes that nothing reads: 2 nodes."""
    graph.op("Neg", graph.op("Exp", x))
    return x


BRANCH = (
    conv_block,
    shape_chain,
    dead_code,
    conv_block,
    transposed_activation,
    duplicated_gate,
    conv_block,
    shape_chain,
)


def build(nodes: int) -> onnx.ModelProto:
    """A model of at least `nodes` nodes (at most 60 more): `x` float32 [batch, 4, 6, 6] to `y` of that shape.

    Branches start at the input and end in a running sum, so that rounding never grows with the size.
    """
    graph = Builder()
    rng = np.random.default_rng(nodes)
    total = "x"
    while len(graph.nodes) < nodes:
        y = "x"
        for block in BRANCH:
            y = block(graph, rng, y)
        total = graph.op("Add", total, graph.op("Mul", y, graph.scalar(50.0 / nodes)))
    graph.nodes[-1].output[0] = "y"
    shape: list[str | int | None] = ["batch", CHANNELS, PIXELS, PIXELS]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y"))
    main_graph = helper.make_graph(graph.nodes, f"scaling_{nodes}", [x], [y], graph.initializers)
    opset = helper.make_opsetid("", OPSET)
    return helper.make_model(main_graph, opset_imports=[opset], ir_version=IR_VERSION)


def seconds_to_optimize(model: Path) -> float:
    """Wall-clock seconds of the whole process that optimizes `model`, its check included."""
    target = model.with_suffix(".optimized.onnx")
    command = [sys.executable, "-m", "graphopt", "optimize", str(model), "-o", str(target), "--no-measure"]
    begin = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    seconds = time.perf_counter() - begin
    if done.returncode != 0:
        raise RuntimeError(f"graphopt failed on {model.name} with status {done.returncode}:\n{done.stderr}")
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table: nodes before and after, seconds (the best of the repeats), ratio to the size before."""
    parser = argparse.ArgumentParser(description="Time graphopt on generated graphs of growing size.")
    parser.add_argument("sizes", nargs="*", type=int, metavar="SIZE", help="numbers of nodes")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each size, of which the best counts")
    options = parser.parse_args(arguments)
    print(f"{'nodes':>8} {'after':>8} {'seconds':>9} {'us/node':>8} {'ratio':>7}")
    before: tuple[int, float] | None = None
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes or SIZES:
            path = Path(folder) / f"scaling_{size}.onnx"
            onnx.save(build(size), path)
            seconds = min(seconds_to_optimize(path) for _ in range(options.repeats))
            after = len(onnx.load(path.with_suffix(".optimized.onnx")).graph.node)
            ratio = f"{seconds / before[1]:.1f}x" if before else "-"
            print(f"{size:8} {after:8} {seconds:9.2f} {1e6 * seconds / size:8.0f} {ratio:>7}", flush=True)
            before = (size, seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
