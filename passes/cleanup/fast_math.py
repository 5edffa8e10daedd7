"""Identities that hold for every finite value, but not for the sign of zero, at infinity or for NaN.

x + 0.0 turns -0.0 into 0.0, as sums, means and onnxruntime's Where do; a Clip without a bound stops at the
largest finite number; MaxPool drops NaN. What holds bit for bit stands in `simplify-algebra` and
`eliminate-identities`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, attribute_ints, const, op, rest, rule, var
from graphopt.passes.cleanup.simplify_algebra import keep_if_neutral
from graphopt.passes.operands import is_filled_with, keep, keeps_shape, squeezed_reduction
from graphopt.pipeline import RewritePass


@rule(op(("Add", "Sub"), var("x"), const("zero")))
def add_any_zero(tape: Tape, x: ir.Value, zero: ir.Value) -> ir.Value:
    """x + 0, x - 0."""
    return keep_if_neutral(x, zero, 0.0)


@rule(op("Clip", var("x"), name="node"))
def clip_without_bounds(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    """Clip with neither a minimum nor a maximum."""
    return keep(x, not node.attributes)


@rule(op(("ReduceMean", "ReduceSum", "GlobalAveragePool", "GlobalMaxPool"), var("x"), rest("_"), name="node"))
def reduction_of_single_elements(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    """Sum, mean or global pool over axes of size 1."""
    if not node.op_type.startswith("Reduce"):
        return keep(x, keeps_shape(x, node.outputs[0]))
    return squeezed_reduction(tape, node, x)


@rule(op(("AveragePool", "MaxPool"), var("x"), name="node"))
def pool_of_single_elements(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    """AveragePool or MaxPool with a window of one element, stride 1 and no padding."""
    windows = attribute_ints(node, "kernel_shape") or [0]
    strides, pads = attribute_ints(node, "strides") or [], attribute_ints(node, "pads") or []
    return keep(x, {*windows, *strides} == {1} and not any(pads) and keeps_shape(x, node.outputs[0]))


@rule(op("Where", const("condition"), var("x"), var("y"), name="node"))
def where_of_one_side(tape: Tape, node: ir.Node, condition: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
    """Where with a condition that is true everywhere, or nowhere."""
    for truth, side in ((True, x), (False, y)):
        if is_filled_with(condition, truth):
            return keep(side, keeps_shape(side, node.outputs[0]), "the side taken is broadcast")
    raise Reject("")


@dataclass(frozen=True)
class FastMath(RewritePass):
    """Remove what changes at most the sign of a zero, an infinity or NaN."""

    name: ClassVar[str] = "fast-math"
    rules: ClassVar[tuple[Rule, ...]] = (
        add_any_zero,
        clip_without_bounds,
        reduction_of_single_elements,
        pool_of_single_elements,
        where_of_one_side,
    )
