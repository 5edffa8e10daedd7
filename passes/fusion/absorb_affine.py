"""Let weights take up scales and shifts by constants that stand some nodes away from them.

A scale passes Relu, pooling, Reshape, Transpose, Concat, Clip, an Add and more on its way, backwards to what
makes the value or forwards to everything that reads it; a shift passes fewer. It goes only as a whole: one
node less each time, never a node moved. Bodies of functions are left alone: they hold no initializers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir import (
    PROVENANCE_KEY,
    Changes,
    Names,
    Reject,
    constant_tensor,
    constant_value,
    graph_and_bodies,
    opset,
    remove_node,
    replace_value,
)
from graphopt.passes.fusion._affine import AFFINE, affine, is_one, is_zero
from graphopt.passes.fusion._backward import backward
from graphopt.passes.fusion._carry import Kind
from graphopt.passes.fusion._forward import forward
from graphopt.passes.fusion._plan import Plan
from graphopt.pipeline import Pass

MOST_ROUNDS = 16


@dataclass(frozen=True)
class AbsorbAffine(Pass):
    """Fold multiplications and additions by constants into weights some nodes away."""

    name: ClassVar[str] = "absorb-affine"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        names = Names(model)
        for graph in graph_and_bodies(model.graph):
            for _ in range(MOST_ROUNDS):
                refused = Changes()
                if not sum(_absorb(graph, node, opset(model), names, changes, refused) for node in graph):
                    for reason, examples in refused.examples.items():
                        changes.refusals[reason] += refused.refusals[reason]
                        changes.examples.setdefault(reason, examples)
                    break


def _absorb(
    graph: ir.Graph, node: ir.Node, version: int, names: Names, changes: Changes, refused: Changes
) -> bool:
    """Take one Mul, Div, Add, Sub or Neg by a constant out of the graph, if weights can take it up."""
    if node.op_type not in AFFINE or node.domain:
        return False
    try:
        read = affine(node)
    except Reject:
        return False
    if is_zero(read.shift) == is_one(read.scale) or not read.keeps_shape:
        return False
    if constant_tensor(read.data) is not None:
        return False  # two constants are to be folded
    kind, array = (Kind.SCALE, read.scale) if is_zero(read.shift) else (Kind.SHIFT, read.shift)
    array = array.reshape(()) if array.size == 1 else array
    narrow = read.data.dtype == ir.DataType.FLOAT16
    try:
        plan = Plan(graph, version, narrow=narrow)
        backward(plan, node, node.inputs.index(read.data), array, kind)
        _carry_out(node, read.data, plan, names)
        changes.add(f"{kind.value} into what makes the value")
        return True
    except Reject:
        pass  # the reason why what follows cannot take it up either is the one to tell
    try:
        plan = Plan(graph, version, narrow=narrow)
        forward(plan, node.outputs[0], array, kind)
        _carry_out(node, read.data, plan, names)
        changes.add(f"{kind.value} into what reads the value")
        return True
    except Reject as rejection:
        refused.refuse(f"{kind.value}: {rejection}", node.name)
        return False


def _carry_out(node: ir.Node, data: ir.Value, plan: Plan, names: Names) -> None:
    """Let `data` stand for the output of `node`, with new constants in place; on Reject nothing is done."""
    made = plan.new_constants()
    replace_value(node.outputs[0], data)
    for reader, index, array in made:
        _set_constant(reader, index, array, names)
    for reader, view in plan.views.items():
        reader.attributes.update(view.attributes())
    for reader in dict.fromkeys(reader for reader, _, _ in made):
        origin = (reader.metadata_props.get(PROVENANCE_KEY) or reader.name, node.name)
        reader.metadata_props[PROVENANCE_KEY] = ", ".join(filter(None, origin))
    remove_node(node)


def _set_constant(node: ir.Node, index: int, array: npt.NDArray[Any], names: Names) -> None:
    old = node.inputs[index] if index < len(node.inputs) else None
    value = constant_value(names.fresh((old and old.name) or f"{node.name}/bias"), array)
    assert node.graph is not None
    node.graph.initializers.add(value)
    if index >= len(node.inputs):
        node.resize_inputs(index + 1)
    node.replace_input_with(index, value)
