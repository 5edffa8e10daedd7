"""Passes with one classic bug each, written as somebody would write them, and what to look for it with.

Each is right on the models that its author thought of.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Changes, constant, ints, opset, static_shape
from graphopt.pipeline import Pass
from graphopt.testing.generate import OPSETS


@dataclasses.dataclass(frozen=True)
class Planted:
    """A bug and how a user would look for it.

    Attributes:
        make: Makes the pass.
        ops: Operators to build models from; () for all.
        properties: What may be found broken.
        opsets: Opsets of the models.
    """

    make: Callable[[], Pass]
    ops: tuple[str, ...]
    properties: tuple[str, ...] = ("numbers",)
    opsets: tuple[int, int] = OPSETS


def replace(old: ir.Value, new: ir.Value) -> None:
    """Let users of `old` use `new`; where `old` is an output of its graph, an Identity stands in."""
    node = old.producer()
    assert node is not None and node.graph is not None
    graph = node.graph
    if old.is_graph_output():
        stand_in = ir.Node("", "Identity", [new])
        output = stand_in.outputs[0]
        output.type, output.shape = old.type, old.shape
        graph.insert_before(node, stand_in)
        for index, each in enumerate(graph.outputs):
            if each is old:
                graph.outputs[index] = output
        output.name, old.name = old.name, f"{old.name}_before"
        new = output
    for use in tuple(old.uses()):
        use.node.replace_input_with(use.idx, new)
    graph.remove(node, safe=True)


def new_constant(node: ir.Node, array: np.ndarray) -> ir.Value:
    """A Constant in front of a node."""
    tensor = ir.tensor(array)
    made = ir.Node("", "Constant", [], [ir.AttrTensor("value", tensor)])
    made.outputs[0].name = f"{node.outputs[0].name}_{node.op_type}_constant"
    made.outputs[0].type, made.outputs[0].shape = ir.TensorType(tensor.dtype), ir.Shape(array.shape)
    assert node.graph is not None
    node.graph.insert_before(node, made)
    return made.outputs[0]


def new_node(
    node: ir.Node, op_type: str, inputs: list[ir.Value | None], **attributes: Sequence[int]
) -> ir.Value:
    """A node that takes the place of another."""
    made = ir.Node("", op_type, inputs, ir.convenience.convert_attributes(attributes))
    output, old = made.outputs[0], node.outputs[0]
    output.name, output.type, output.shape = f"{old.name}_{op_type}", old.type, old.shape
    assert node.graph is not None
    node.graph.insert_before(node, made)
    return output


def producer(node: ir.Node, index: int, op_type: str) -> ir.Node | None:
    """The node behind an input, if it is of that operator and stands in the same graph."""
    value = node.inputs[index] if index < len(node.inputs) else None
    found = None if value is None else value.producer()
    return found if found is not None and found.op_type == op_type and found.graph is node.graph else None


@dataclasses.dataclass(frozen=True)
class PlantedPass(Pass):
    """Goes over the nodes of the main graph; subclasses say what to do with one, and whether they did."""

    name: ClassVar[str] = "planted"
    op_type: ClassVar[str] = ""

    def apply(self, model: ir.Model, changes: Changes) -> None:
        for node in list(model.graph):
            if node.op_type == self.op_type and node.graph is not None and self.change(node, model):
                changes.add(self.name)

    def change(self, node: ir.Node, model: ir.Model) -> bool:
        raise NotImplementedError


class WrongAxis(PlantedPass):
    """Two Transposes become one, whose permutation is composed the wrong way round."""

    name = "wrong-axis"
    op_type = "Transpose"

    def change(self, node: ir.Node, model: ir.Model) -> bool:
        first = producer(node, 0, "Transpose")
        if first is None or "perm" not in node.attributes or "perm" not in first.attributes:
            return False
        inner, outer = first.attributes["perm"].as_ints(), node.attributes["perm"].as_ints()
        replace(
            node.outputs[0], new_node(node, "Transpose", [first.inputs[0]], perm=[outer[i] for i in inner])
        )
        return True


class WrongBroadcast(PlantedPass):
    """An Expand in front of an addition goes, whether or not the other operand is as large."""

    name = "wrong-broadcast"
    op_type = "Add"

    def change(self, node: ir.Node, model: ir.Model) -> bool:
        changed = False
        for index in (0, 1):
            while (expand := producer(node, index, "Expand")) is not None:
                node.replace_input_with(index, expand.inputs[0])
                changed = True
        return changed


class DroppedSharedUse(PlantedPass):
    """Negation twice is nothing: the first becomes an Identity, though others may use its result."""

    name = "dropped-shared-use"
    op_type = "Neg"

    def change(self, node: ir.Node, model: ir.Model) -> bool:
        first = producer(node, 0, "Neg")
        if first is None:
            return False
        first.op_type = "Identity"
        replace(node.outputs[0], first.outputs[0])
        return True


class MergedRandom(Pass):
    """Nodes that look alike become one, random ones too."""

    name = "merged-random"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        seen: dict[object, ir.Node] = {}
        for node in list(model.graph):
            if any(
                each.type in (ir.AttributeType.GRAPH, ir.AttributeType.TENSOR)
                for each in node.attributes.values()
            ):
                continue
            attributes = tuple(sorted((name, str(each.value)) for name, each in node.attributes.items()))
            key = (node.domain, node.op_type, tuple(node.inputs), attributes, len(node.outputs))
            first = seen.setdefault(key, node)
            if first is not node and len(node.outputs) == 1 and not node.outputs[0].is_graph_output():
                replace(node.outputs[0], first.outputs[0])
                changes.add("merged")


class OffByOneOpset(PlantedPass):
    """Softmax gets the axis that it has by default, which is another one from opset 13 (not 12) on."""

    name = "off-by-one-opset"
    op_type = "Softmax"

    def change(self, node: ir.Node, model: ir.Model) -> bool:
        if "axis" in node.attributes:
            return False
        version = opset(model) or 0
        node.attributes["axis"] = ir.AttrInt64("axis", -1 if version >= 12 else 1)
        return True


class DroppedOutput(PlantedPass):
    """A Neg that only an Abs reads goes, even where its result is an output of the graph too."""

    name = "dropped-output"
    op_type = "Abs"

    def change(self, node: ir.Node, model: ir.Model) -> bool:
        negation = producer(node, 0, "Neg")
        if negation is None or len(negation.outputs[0].uses()) > 1:
            return False
        node.replace_input_with(0, negation.inputs[0])
        model.graph.remove(negation)
        return True


class LostNan(PlantedPass):
    """A difference of a value and itself is zero; not where it is NaN or infinite."""

    name = "lost-nan"
    op_type = "Sub"
    exact = True

    def change(self, node: ir.Node, model: ir.Model) -> bool:
        shape, dtype = static_shape(node.outputs[0]), node.outputs[0].dtype
        if node.inputs[0] is not node.inputs[1] or shape is None or dtype is None:
            return False
        replace(node.outputs[0], new_constant(node, np.zeros(shape, dtype.numpy())))
        return True


class LostNegativeZero(PlantedPass):
    """Adding zero changes nothing; but it makes 0.0 of -0.0."""

    name = "lost-negative-zero"
    op_type = "Add"
    exact = True

    def change(self, node: ir.Node, model: ir.Model) -> bool:
        for index in (0, 1):
            value, zero = node.inputs[1 - index], constant(node.inputs[index])
            if value is None or zero is None or zero.dtype.kind != "f" or zero.any():
                continue
            if not zero.shape or static_shape(value) == zero.shape:
                replace(node.outputs[0], value)
                return True
        return False


class ShiftedOptional(PlantedPass):
    """Inputs that are left out are taken off the list, so that the upper bound becomes the lower one."""

    name = "shifted-optional"
    op_type = "Clip"

    def change(self, node: ir.Node, model: ir.Model) -> bool:
        given = [value for value in node.inputs if value is not None]
        if len(given) == len(node.inputs):
            return False
        replace(node.outputs[0], new_node(node, "Clip", list(given)))
        return True


class IgnoredCapture(Pass):
    """Nodes that no other node reads are dead; what bodies of control flow read is forgotten."""

    name = "ignored-capture"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        graph = model.graph
        for node in reversed(list(graph)):
            read = {value for other in graph for value in other.inputs}
            if not any(value in read or value.is_graph_output() for value in node.outputs):
                graph.remove(node)
                changes.add("dead")


class WrongBranch(PlantedPass):
    """An If whose condition is known becomes the branch that does not run."""

    name = "wrong-branch"
    op_type = "If"

    def change(self, node: ir.Node, model: ir.Model) -> bool:
        condition = constant(node.inputs[0])
        if condition is None or node.graph is None:
            return False
        branches = [node.attributes[name].as_graph() for name in ("then_branch", "else_branch")]
        body = branches[int(condition)]
        if body.initializers or any(output.producer() is None for output in body.outputs):
            return False
        if any(value.is_graph_output() for value in node.outputs) or any(
            "graph" in str(each.type).lower() for inner in body for each in inner.attributes.values()
        ):
            return False
        outputs, nodes = list(body.outputs), list(body)
        del body.outputs[:]
        body.remove(nodes)
        for number, inner in enumerate(nodes):
            for place, value in enumerate(inner.outputs):
                value.name = f"{node.outputs[0].name}_inlined_{number}_{place}" if value.name else value.name
        node.graph.insert_before(node, nodes)
        for old, new in zip(node.outputs, outputs, strict=True):
            for use in tuple(old.uses()):
                use.node.replace_input_with(use.idx, new)
        node.graph.remove(node, safe=True)
        return True


class WrongType(PlantedPass):
    """Of two Casts the second is enough; not where the first loses something."""

    name = "wrong-type"
    op_type = "Cast"

    def change(self, node: ir.Node, model: ir.Model) -> bool:
        first = producer(node, 0, "Cast")
        if first is None:
            return False
        node.replace_input_with(0, first.inputs[0])
        return True


class CopiedDimension(PlantedPass):
    """Of two Reshapes the second is enough; not where it copies a dimension of what the first gave."""

    name = "copied-dimension"
    op_type = "Reshape"

    def change(self, node: ir.Node, model: ir.Model) -> bool:
        first = producer(node, 0, "Reshape")
        if first is None or ints(node.inputs[1]) is None:
            return False
        node.replace_input_with(0, first.inputs[0])
        return True


class IntegerReciprocal(PlantedPass):
    """A quotient by a constant becomes a product with its reciprocal, which is 0 for integers."""

    name = "integer-reciprocal"
    op_type = "Div"

    def change(self, node: ir.Node, model: ir.Model) -> bool:
        divisor = constant(node.inputs[1])
        if divisor is None or not divisor.size or not np.all(divisor):
            return False
        reciprocal = new_constant(node, (1 / divisor).astype(divisor.dtype))
        replace(node.outputs[0], new_node(node, "Mul", [node.inputs[0], reciprocal]))
        return True


class NeverDone(PlantedPass):
    """Negation twice is nothing; and to be safe, an Identity is put where they were, each time."""

    name = "never-done"
    op_type = "Neg"

    def change(self, node: ir.Node, model: ir.Model) -> bool:
        value = node.inputs[0]
        if value is None:
            return False
        node.replace_input_with(0, new_node(node, "Identity", [value]))
        source, copy = value, node.inputs[0]
        assert copy is not None
        copy.name, copy.type, copy.shape = f"{source.name}_{len(model.graph)}", source.type, source.shape
        return True


class WrongCount(PlantedPass):
    """Every Identity that was looked at is counted, those too that had to stay."""

    name = "wrong-count"
    op_type = "Identity"

    def change(self, node: ir.Node, model: ir.Model) -> bool:
        if node.inputs[0] is not None and not node.outputs[0].is_graph_output():
            replace(node.outputs[0], node.inputs[0])
        return True


PLANTED = {
    planted.make().name: planted
    for planted in (
        Planted(WrongAxis, ("Transpose", "Relu", "Add"), ("numbers", "valid")),
        Planted(WrongBroadcast, ("Expand", "Add", "Mul"), ("numbers", "valid")),
        Planted(DroppedSharedUse, ("Neg", "Add")),
        Planted(MergedRandom, ("RandomNormalLike", "RandomUniformLike", "Bernoulli", "Add", "Mul")),
        Planted(OffByOneOpset, ("Softmax", "Add"), opsets=(10, 14)),
        Planted(DroppedOutput, ("Neg", "Abs"), ("valid",)),
        Planted(LostNan, ("Sub", "Mul", "Neg")),
        Planted(LostNegativeZero, ("Add", "Mul", "Neg")),
        Planted(ShiftedOptional, ("Clip", "Add"), ("numbers", "valid")),
        Planted(IgnoredCapture, ("If", "Loop", "Add", "Mul"), ("valid",)),
        Planted(WrongBranch, ("If", "Add", "Neg"), ("numbers", "valid")),
        Planted(WrongType, ("Cast", "Add")),
        Planted(CopiedDimension, ("Reshape", "Relu"), ("numbers", "valid", "idempotent")),
        Planted(IntegerReciprocal, ("Div", "Add")),
        Planted(NeverDone, ("Neg", "Add"), ("idempotent",)),
        Planted(WrongCount, ("Identity", "Add"), ("count", "idempotent")),
    )
}
