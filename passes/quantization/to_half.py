"""Compute in float16 or bfloat16 where that holds the numbers, and store weights in it everywhere.

Nodes that may leave the range of the half type stay float32, with a Cast on either side: those that read
constants such as a mask's -1e9, or what is computed from them, up to a Softmax or another operator whose
results are small; those of which `calibrate` saw larger numbers; those whose epsilon would be zero; and a few
whose results leave any range, or that count. So do operators that the standard or onnxruntime does not have
in the half type, bodies of Ifs and Loops, and light nodes that would only add Casts.

Weights of nodes that stay float32 are stored as half floats too, behind a Cast, which runtimes fold when they
load the model. For `ort-cpu` that is all: onnxruntime has no arithmetic of half floats for x86-64 and
computes in float32 between Casts; of bfloat16 it has hardly any kernel at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.ir import Changes, Names, constant_tensor, graphs, opset, want_opset
from graphopt.ir.edit import function_graphs
from graphopt.passes.quantization._half import (
    HALF_TYPES,
    READERS,
    Halves,
    choose,
    constant_halves,
    holds_scales,
)
from graphopt.pipeline import Pass

FIRST_OPSETS = {ir.DataType.FLOAT16: 6, ir.DataType.BFLOAT16: 13}
"""From which on a Cast knows the type."""
STORED_ONLY = ("ort-cpu",)
"""Targets whose processor does not compute in half floats."""


@dataclass(frozen=True)
class ToHalf(Pass):
    """Compute in half precision where that holds the numbers.

    Attributes:
        dtype: float16 or bfloat16.
        keep_io: Inputs and outputs stay float32. `optimize` emits nothing else: other types take
            `Pipeline.run`.
        target: Name of a target; for ort-cpu weights are stored as half floats, and nothing computes in them.
        least: Fewest elements of a weight of float32 nodes that is stored as half floats.
        keep: Names of nodes that stay float32.
    """

    name: ClassVar[str] = "to-half"
    lossy: ClassVar[bool] = True
    dtype: str = "float16"
    keep_io: bool = True
    target: str = "portable"
    least: int = 4096
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.dtype not in HALF_TYPES:
            raise UsageError(f"to-half: dtype={self.dtype}, expected {' or '.join(HALF_TYPES)}")

    def apply(self, model: ir.Model, changes: Changes) -> None:
        half = HALF_TYPES[self.dtype]
        if opset(model) < FIRST_OPSETS[half]:
            want_opset(model, FIRST_OPSETS[half], self.name)
            changes.refuse(
                f"{self.dtype} needs opset {FIRST_OPSETS[half]}, and the model is at {opset(model)}"
            )
            return
        casts = _Casts(model, half, changes)
        if self.target not in STORED_ONLY:
            chosen = choose(model, half, self.keep)
            for node, reason in chosen.reasons.items():
                changes.refuse(reason, node.name or node.outputs[0].name)
            casts.compute(chosen, keep_io=self.keep_io)
        casts.store(self.least)


class _Casts:
    """Changes types of values, and casts between them."""

    def __init__(self, model: ir.Model, half: ir.DataType, changes: Changes) -> None:
        self._model = model
        self._half = half
        self._changes = changes
        self._names = Names(model)
        self._constants: dict[ir.Value, ir.Value] = {}

    def compute(self, chosen: Halves, *, keep_io: bool) -> None:
        """Let the nodes chosen compute in half floats."""
        graph = self._model.graph
        given = [] if keep_io else [value for value in graph.inputs if _is_plain_float(value)]
        wanted = [] if keep_io else [value for value in graph.outputs if value.dtype == ir.DataType.FLOAT]
        halves = dict.fromkeys(given)
        halves.update(
            (node.outputs[index], None) for node in chosen.outputs for index in chosen.outputs[node]
        )
        float_values = {
            value: None
            for node in chosen.inputs
            for index in chosen.inputs[node]
            if (value := node.inputs[index]) is not None and value not in halves
        }
        for value in float_values:
            users = [(node, i) for node, i in _uses(value) if i in chosen.inputs.get(node, ())]
            self._give(users, self._constant(value) or self._narrowed(value))
        for value in halves:
            self._widen(value, chosen, is_output_half=value in wanted)
        for value in wanted:
            if value not in halves and value.dtype == ir.DataType.FLOAT and value.producer() is not None:
                self._narrow_output(value)
        self._changes.add("computes in half floats", len(chosen.inputs))
        for value in float_values:
            _drop(value)

    def store(self, least: int) -> None:
        """Store what is left of large weights of float32 as half floats, behind a Cast."""
        skipped = function_graphs(self._model)
        for graph in list(graphs(self._model)):
            for value in list(graph.initializers.values()) if graph not in skipped else ():
                tensor = constant_tensor(value)
                if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size < max(least, 1):
                    continue
                if not value.uses():
                    continue
                if holds_scales(value):
                    self._changes.refuse("the scales of codes stay float32", value.name)
                elif value.is_graph_output():
                    self._changes.refuse("the weights are an output of the graph, too", value.name)
                elif (stored := self._constant(value)) is None:
                    self._changes.refuse(
                        f"the weights are more than {self._half.name.lower()} holds", value.name
                    )
                else:
                    cast = self._cast(stored, ir.DataType.FLOAT, value)
                    _first(graph, cast)
                    self._give(_uses(value), cast.outputs[0])
                    _drop(value)
                    self._changes.add("stored as half floats")

    def _constant(self, value: ir.Value) -> ir.Value | None:
        """A constant as half floats, in the graph that holds it; None if it is none that fits."""
        if value not in self._constants:
            array, graph = constant_halves(value, self._half), value.graph
            if array is None or not isinstance(graph, ir.Graph):
                return None
            name = self._names.fresh(f"{value.name}/half")
            made = ir.Value(
                name=name,
                type=ir.TensorType(self._half),
                shape=ir.Shape(array.shape),
                const_value=ir.Tensor(np.ascontiguousarray(array).reshape(array.shape), name=name),
            )
            graph.initializers.add(made)
            self._constants[value] = made
        return self._constants[value]

    def _narrowed(self, value: ir.Value) -> ir.Value:
        """A value of float32 as half floats; what is cast to float32 anyway is cast but once."""
        producer = value.producer()
        source = value
        if producer is not None and producer.op_type == "Cast" and not producer.domain:
            given = producer.inputs[0]
            if given is not None and given.dtype in _WHOLE:
                source = given
        cast = self._cast(source, self._half, value)
        self._place_behind(value, cast)
        return cast.outputs[0]

    def _widen(self, value: ir.Value, chosen: Halves, *, is_output_half: bool) -> None:
        """Make half floats of a value; those who need float32 read a Cast of it."""
        users = [
            (node, index)
            for node, index in _uses(value)
            if index not in chosen.inputs.get(node, ())
            and not _reads_anything(node, index, self._model.graph)
        ]
        needs_output = value.is_graph_output() and not is_output_half
        value.type = ir.TensorType(self._half)
        if not users and not needs_output:
            return
        cast = self._cast(value, ir.DataType.FLOAT, value)
        if needs_output:
            self._take_output(value, cast.outputs[0], users)
        self._place_behind(value, cast)
        self._give(users, cast.outputs[0])

    def _narrow_output(self, value: ir.Value) -> None:
        cast = self._cast(value, self._half, value)
        self._place_behind(value, cast)
        self._take_output(value, cast.outputs[0], [])

    def _take_output(self, value: ir.Value, cast: ir.Value, users: list[tuple[ir.Node, int]]) -> None:
        """Let the outcome of a Cast be the output of the graph, by the name of what it casts."""
        cast.shape = value.shape
        cast.metadata_props.update(value.metadata_props)
        for index, output in enumerate(self._model.graph.outputs):
            if output is value:
                self._model.graph.outputs[index] = cast
        name, value.name = value.name, self._names.fresh(f"{value.name}/uncast")
        cast.name = name

    def _cast(self, source: ir.Value, to: ir.DataType, value: ir.Value) -> ir.Node:
        output = ir.Value(
            name=self._names.fresh(f"{value.name}/Cast"), type=ir.TensorType(to), shape=value.shape
        )
        attribute = ir.AttrInt64("to", to.value)
        return ir.Node("", "Cast", [source], [attribute], outputs=[output], name=output.name)

    def _place_behind(self, value: ir.Value, cast: ir.Node) -> None:
        producer = value.producer()
        if producer is None:
            _first(self._model.graph, cast)
        else:
            assert producer.graph is not None
            producer.graph.insert_after(producer, [cast])

    def _give(self, users: list[tuple[ir.Node, int]], value: ir.Value) -> None:
        for node, index in users:
            if node is not value.producer():
                node.replace_input_with(index, value)


_WHOLE = (
    ir.DataType.BOOL, ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT16, ir.DataType.UINT16,
    ir.DataType.INT32, ir.DataType.INT64,
)  # fmt: skip


def _reads_anything(node: ir.Node, index: int, graph: ir.Graph) -> bool:
    """Whether a use takes a value of any type: the second input of a CastLike says the type of its output."""
    return node.op_type in READERS and not node.domain and node.graph is graph and index == 0


def _is_plain_float(value: ir.Value) -> bool:
    return value.dtype == ir.DataType.FLOAT and not value.is_initializer()


def _uses(value: ir.Value) -> list[tuple[ir.Node, int]]:
    return [(use.node, use.idx) for use in value.uses()]


def _first(graph: ir.Graph, node: ir.Node) -> None:
    if len(graph):
        graph.insert_before(graph[0], [node])
    else:
        graph.append(node)


def _drop(value: ir.Value) -> None:
    """Remove a constant or a Cast that nobody reads any more."""
    if value.uses() or value.is_graph_output() or value.is_graph_input():
        return
    producer = value.producer()
    if producer is None:
        if value.graph is not None and value.name is not None:
            value.graph.initializers.pop(value.name, None)
    elif (
        producer.op_type in ("Cast", "Constant") and len(producer.outputs) == 1 and producer.graph is not None
    ):
        producer.replace_input_with(0, None) if producer.inputs else None
        producer.graph.remove(producer)
