"""Merge a reduction of a reduction of the same kind: sum of sums, mean of means, maximum of maxima.

Sums are then taken in another order, so results may differ in the last bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, attribute_int, op, rest, rule, var
from graphopt.passes.operands import known_rank, node_ints, normalized_axes
from graphopt.pipeline import RewritePass

KINDS = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum")


@rule(*(op(kind, op(kind, var("x"), rest("_"), name="inner"), rest("__"), name="outer") for kind in KINDS))
def reduce_of_reduce(tape: Tape, x: ir.Value, inner: ir.Node, outer: ir.Node) -> ir.Value:
    """Reduce(Reduce(x, a), b)  ->  Reduce(x, a and b)."""
    keepdims = attribute_int(outer, "keepdims", 1)
    if attribute_int(inner, "keepdims", 1) != keepdims:
        raise Reject("one keeps the dimensions that it reduces, the other does not")
    first, second = node_ints(inner, "axes", 1), node_ints(outer, "axes", 1)
    if not first or not second:
        raise Reject("one reduces all axes or none")
    axes = known_rank(x)
    first = normalized_axes(first, axes)
    left = range(axes) if keepdims else [axis for axis in range(axes) if axis not in first]
    merged = sorted({*first, *(left[axis] for axis in normalized_axes(second, len(left)))})
    if tape.opset < first_opset_with_axes_input(outer.op_type):
        return tape.op(outer.op_type, [x], {"axes": merged, "keepdims": keepdims})
    return tape.op(outer.op_type, [x, tape.ints(merged, "axes")], {"keepdims": keepdims})


def first_opset_with_axes_input(op_type: str) -> int:
    """Opset at which the axes of a reduction became an input."""
    return 13 if op_type == "ReduceSum" else 18


@dataclass(frozen=True)
class MergeReduces(RewritePass):
    """Merge a reduction of a reduction of the same kind."""

    name: ClassVar[str] = "merge-reduces"
    rules: ClassVar[tuple[Rule, ...]] = (reduce_of_reduce,)
