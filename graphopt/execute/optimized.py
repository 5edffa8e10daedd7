"""What onnxruntime really runs: its optimized graph, node by node, and the time that each node takes.

The graph is what onnxruntime saves after all its optimizations but the layout of float Convs, in which they
lose their names; the times are those of its own profile with that layout too. Which nodes of the model a node
stands for follows from names, which onnxruntime keeps where it fuses. Nothing here predicts.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from graphopt.errors import ExecutionError
from graphopt.execute.library import register
from graphopt.execute.proto import LightProto, light_proto
from graphopt.execute.session import to_runtime
from graphopt.execute.weights import handed_over, ways
from graphopt.ir import is_program
from graphopt.ir.ops import CONTROL_FLOW

PROFILED_RUNS = 5
"""Runs of whose times the median is taken, after one that is not counted."""

_TOKEN = re.compile(r"_token_\d+$")
_TAG = re.compile(r"#(\d+)(?!\d)")
_FLOATS_FROM_CODES = ("DequantizeLinear", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "MatMulNBits")
_CODES = ("QuantizeLinear", "QLinear")
_LAYOUT = "NchwcTransformer"
_LAYOUT_SUFFIX = "_nchwc"
"""In its own layout onnxruntime calls a Conv or pooling by the value that it writes."""


@dataclass(frozen=True)
class RunNode:
    """A node of the optimized graph.

    Attributes:
        name: Its name there.
        operator: `domain.Name`, or the name alone in the standard's domain.
        stands_for: Nodes of the model that it does the work of, as far as names tell.
        input_types: Types of its inputs, None where unknown or empty.
        seconds: Time of a run, 0 if not profiled.
    """

    name: str
    operator: str
    stands_for: tuple[ir.Node, ...]
    input_types: tuple[ir.DataType | None, ...]
    seconds: float = 0.0


@dataclass(frozen=True)
class Optimized:
    """What onnxruntime makes of a model.

    Attributes:
        nodes: Nodes of its main graph and of bodies.
        seconds: Time of a run, summed over the nodes; None if not profiled.
    """

    nodes: tuple[RunNode, ...]
    seconds: float | None

    def of(self, node: ir.Node) -> tuple[RunNode, ...]:
        """Nodes that do the work of a node of the model."""
        return self._by_node().get(node, ())

    def _by_node(self) -> dict[ir.Node, tuple[RunNode, ...]]:
        known: dict[ir.Node, tuple[RunNode, ...]] | None = self.__dict__.get("_index")
        if known is None:
            found: dict[ir.Node, list[RunNode]] = defaultdict(list)
            for run in self.nodes:
                for node in run.stands_for:
                    found[node].append(run)
            known = {node: tuple(runs) for node, runs in found.items()}
            object.__setattr__(self, "_index", known)
        return known


def optimized(
    model: ir.Model, *, inputs: Mapping[str, Any] | None = None, threads: int = 1, runs: int = PROFILED_RUNS
) -> Optimized:
    """Let onnxruntime optimize a model, and time its nodes where inputs are given.

    Args:
        model: It is only read.
        inputs: Arrays by input name; without, nothing is run.
        threads: Threads inside an operator.
        runs: Runs to profile.

    Raises:
        ExecutionError: onnxruntime cannot load or run it.
    """
    try:
        light = light_proto(model, annotate=True)
    except (RuntimeError, OSError, ValueError, TypeError) as error:
        raise ExecutionError(f"the model cannot be handed to a runtime: {error}") from error
    with tempfile.TemporaryDirectory(prefix="graphopt-") as folder:
        try:
            graph = _saved(light, folder)
            times = {} if inputs is None else _profile(light, folder, inputs, threads, runs)
        except Exception as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ExecutionError(f"onnxruntime could not load or run the model: {first}") from error
    nodes = tuple(_nodes(graph, light, times))
    return Optimized(nodes, sum(times.values()) if inputs is not None else None)


def _options(threads: int) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return options


@contextlib.contextmanager
def _session(light: LightProto, options: Any, left_out: Sequence[str] = ()) -> Iterator[Any]:
    import onnxruntime as ort

    if any(map(is_program, light.nodes)):
        register(options)
    with handed_over(light, options, ways(light, optimize=True)[-1]) as held:
        session = ort.InferenceSession(
            light.proto.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(left_out),
        )
        yield session
        del session, held


def _saved(light: LightProto, folder: str) -> onnx.GraphProto:
    """The optimized graph, without its weights."""
    path = os.path.join(folder, "optimized.onnx")
    options = _options(1)
    options.optimized_model_filepath = path
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights")
    with _session(light, options, (_LAYOUT,)):
        return onnx.load(path, load_external_data=False).graph


def _profile(
    light: LightProto, folder: str, inputs: Mapping[str, Any], threads: int, runs: int
) -> dict[str, float]:
    """Seconds of a run by the node's name."""
    options = _options(threads)
    options.enable_profiling = True
    options.profile_file_prefix = os.path.join(folder, "profile")
    feed = {name: to_runtime(value) for name, value in inputs.items()}
    with _session(light, options) as session:
        for _ in range(runs + 1):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    times: dict[str, list[float]] = defaultdict(list)
    for event in events:
        name = event.get("name", "")
        holds_bodies = event.get("args", {}).get("op_name") in CONTROL_FLOW  # whose nodes are timed too
        if event.get("cat") == "Node" and name.endswith("_kernel_time") and not holds_bodies:
            times[name.removesuffix("_kernel_time")].append(event["dur"] * 1e-6)
    return {name: _of_a_run(each, runs) for name, each in times.items()}


def _of_a_run(times: Sequence[float], runs: int) -> float:
    """The median over the runs but the first; in each, a node of a loop's body may run more than once."""
    calls = max(1, len(times) // (runs + 1))
    sums = [sum(times[start : start + calls]) for start in range(0, len(times), calls)]
    return statistics.median(sums[1:] or sums)


def _nodes(graph: onnx.GraphProto, light: LightProto, times: Mapping[str, float]) -> Iterator[RunNode]:
    waiting, types, left = [graph], dict[str, int](), {_plain(name): time for name, time in times.items()}
    while waiting:
        graph = waiting.pop()
        types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
        for value in (*graph.input, *graph.output, *graph.value_info):
            types[value.name] = value.type.tensor_type.elem_type
        for node in graph.node:
            waiting.extend(attribute.g for attribute in node.attribute if attribute.HasField("g"))
            made = _written_type(node, types)
            types |= dict.fromkeys([name for name in node.output if not types.get(name)], made)
            domain = "" if node.domain == "ai.onnx" else node.domain
            tags = [int(tag) for tag in _TAG.findall(node.name)]
            done = tuple(dict.fromkeys(light.nodes[tag] for tag in tags if tag < len(light.nodes)))
            # What a sum is fused into is called by what it wrote before, or by what it writes now.
            written = [*node.output[:1], *(output.name for each in done for output in each.outputs[:1])]
            called = (_plain(node.name), *(f"{name}{_LAYOUT_SUFFIX}" for name in written))
            yield RunNode(
                node.name,
                f"{domain}.{node.op_type}" if domain else node.op_type,
                done,
                tuple(ir.DataType(types[name]) if types.get(name) else None for name in node.input),
                next((left[name] for name in called if name in left), 0.0),
            )


def _plain(name: str) -> str:
    """A node's name without the number that a change of layout gives it."""
    return _TOKEN.sub("", name)


def _written_type(node: onnx.NodeProto, types: Mapping[str, int]) -> int:
    """Type of what a node writes where the graph does not say: of its zero point, or of its first input."""
    given = [types.get(name, 0) for name in node.input]
    if node.op_type.endswith(_FLOATS_FROM_CODES):
        return onnx.TensorProto.FLOAT
    if node.op_type == "QGemm":
        return given[8] if len(given) > 8 and node.input[8] else onnx.TensorProto.FLOAT
    if node.op_type == "QLinearConcat":
        return given[1]
    if node.op_type == "QLinearConv":
        return given[7]
    return given[-1] if node.op_type.startswith(_CODES) else given[0] if given else 0
