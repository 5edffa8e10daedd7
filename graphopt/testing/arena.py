"""Run a graph as its memory plan says, every value in one arena, to see that the plan changes no result.

Nodes run one by one, each as a model of its own. Memory that is free is filled with rubbish; what the plan
says need not be copied is looked at before it is written. Slow: for tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from graphopt.errors import ModelError
from graphopt.execute import Session
from graphopt.ir import constant
from graphopt.memory.aliases import Kind, Link
from graphopt.memory.graph_plan import GraphPlan
from graphopt.memory.steps import START, read_values
from graphopt.testing.windows import slide

RUBBISH = 0xA5

Array = np.ndarray[Any, Any]


def run_in_arena(model: ir.Model, plan: GraphPlan, inputs: Mapping[str, Any]) -> dict[str, Array]:
    """The outputs of a model whose values all lie in an arena.

    Args:
        model: The model that the plan is of; its bodies run outside of the arena.
        plan: Made for the shapes of the inputs.
        inputs: Arrays by input name.

    Raises:
        ModelError: A value has another shape than was planned for, or its bytes are not where the plan says
            they are already. The message names the value.
        ExecutionError: No runtime here takes a node.
    """
    run = _Run(model, plan)
    run.feed(inputs)
    for place, step in enumerate(plan.order):
        run.step(step)
        run.release(place + 1)
    return run.outputs()


class _Run:
    """The arena, and the constants beside it."""

    def __init__(self, model: ir.Model, plan: GraphPlan) -> None:
        self._model, self._plan, self._steps = model, plan, plan.steps
        self._arena = np.full(plan.arena, RUBBISH, dtype=np.uint8)
        self._placed = {value for box in plan.boxes for value in box.values}
        self._links: dict[int, list[Link]] = {}
        for link in plan.shared:
            self._links.setdefault(link.step, []).append(link)
        self._constants: dict[ir.Value, Array] = {}
        planned = set(plan.steps.nodes)
        for value in model.graph.initializers.values():
            self._note(value)
        for node in model.graph:
            if node not in planned:
                self._fold(node)

    def feed(self, inputs: Mapping[str, Any]) -> None:
        for index, value in enumerate(self._steps.values):
            if self._steps.makers[index] == START and index in self._placed:
                self._write(index, np.asarray(inputs[value.name or ""]))

    def step(self, step: int) -> None:
        node = self._steps.nodes[step]
        followed = self._links.get(step, [])
        if any(link.kind is Kind.OVERLAP for link in followed):
            source, *others = node.inputs
            assert source is not None
            read = self._view(self._steps.index[source])
            slide(node, read, *map(self._operand, others), out=self._view(followed[0].part))
            return
        reads = dict.fromkeys(read_values(node))
        feed = {value: self._operand(value) for value in reads if self._is_known(value)}
        made = _run_node(self._model, node, feed, self._constants)
        for link in followed:
            self._look(link, made)
        for value, array in made.items():
            self._write(self._steps.index[value], array)

    def release(self, place: int) -> None:
        """Fill what is free from a place on with rubbish."""
        for box in self._plan.boxes:
            if box.upper == place < len(self._plan.order):
                self._arena[box.offset : box.offset + box.size] = RUBBISH

    def outputs(self) -> dict[str, Array]:
        return {value.name or "": self._operand(value) for value in self._model.graph.outputs}

    def _note(self, value: ir.Value) -> None:
        tensor = value.const_value
        if tensor is not None:
            self._constants[value] = tensor.numpy()

    def _fold(self, node: ir.Node) -> None:
        array = constant(node.outputs[0])
        if array is not None:
            self._constants[node.outputs[0]] = array
            return
        feed = {value: self._constants[value] for value in node.inputs if value is not None}
        self._constants.update(_run_node(self._model, node, feed, self._constants))

    def _is_known(self, value: ir.Value) -> bool:
        return value in self._constants or value in self._steps.index

    def _operand(self, value: ir.Value | None) -> Any:
        if value is None:
            return None
        if value in self._constants:
            return self._constants[value]
        return self._view(self._steps.index[value]).copy()

    def _view(self, index: int) -> Array:
        """A value where it stands in the arena."""
        value, shape = self._steps.values[index], self._steps.shapes[index]
        assert value.dtype is not None
        dtype = value.dtype.numpy()
        if not self._steps.sizes[index]:
            return np.empty(shape, dtype)
        start = self._plan.offsets[value.name or ""]
        return self._arena[start : start + self._steps.sizes[index]].view(dtype).reshape(shape)

    def _write(self, index: int, array: Array) -> None:
        planned = self._steps.shapes[index]
        if array.shape != planned:
            raise ModelError(f"{self._steps.name(index)!r} has shape {array.shape}, planned for {planned}")
        if index in self._placed:
            self._view(index)[...] = array

    def _look(self, link: Link, made: Mapping[ir.Value, Array]) -> None:
        """Make sure that what a link spares is there already."""
        value = self._steps.values[link.part]
        expected = made[value] if value in made else self._operand(value)
        if not np.array_equal(_bytes(self._view(link.part)), _bytes(expected)):
            raise ModelError(f"{self._steps.name(link.part)!r} is not where it was said to be")
        inside = (
            self._plan.offsets[self._steps.name(link.part)] - self._plan.offsets[self._steps.name(link.whole)]
        )
        if self._steps.sizes[link.part] and inside != link.offset:
            raise ModelError(f"{self._steps.name(link.part)!r} lies {inside} bytes into what it is part of")


def _bytes(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _run_node(
    model: ir.Model, node: ir.Node, feed: Mapping[ir.Value, Array], constants: Mapping[ir.Value, Array]
) -> dict[ir.Value, Array]:
    """The named outputs of one node; what its bodies read from outside is among what it is fed."""
    proto = onnx.ModelProto(ir_version=max(model.ir_version, 4))
    for domain, version in model.opset_imports.items():
        proto.opset_import.add(domain=domain, version=version)
    proto.graph.name = "node"
    proto.graph.node.append(ir.serde.serialize_node(node))
    inputs = {}
    for value, array in feed.items():
        name = value.name or ""
        assert value.dtype is not None
        if value in constants:
            tensor = ir.Tensor(array, dtype=value.dtype, name=name)
            proto.graph.initializer.append(ir.serde.serialize_tensor(tensor))
        else:
            inputs[name] = array
            port = proto.graph.input.add(name=name)
            port.type.tensor_type.elem_type = value.dtype.value
            port.type.tensor_type.shape.SetInParent()
            for size in array.shape:
                port.type.tensor_type.shape.dim.add(dim_value=size)
    named = [value for value in node.outputs if value.name]
    for value in named:
        port = proto.graph.output.add(name=value.name)
        if value.dtype is not None:
            port.type.tensor_type.elem_type = value.dtype.value
    results = Session(ir.serde.deserialize_model(proto), optimize=False).run(inputs)
    return {value: np.asarray(results[value.name or ""]) for value in named}
