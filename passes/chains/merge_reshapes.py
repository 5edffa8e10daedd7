"""Merge chains of Reshape, Flatten, Squeeze and Unsqueeze into one of them, or none, or into a reduction.

The elements stay in order, so only the last shape counts. It is kept as it is written where that can be, and
else worked out from shape inference, with 0 and -1 for sizes that are not known. Axes that an old opset does
not count from the end are counted from the front first, since their shapes are not inferred.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    Reject,
    Rule,
    Tape,
    attribute_int,
    attribute_ints,
    constant,
    op,
    rest,
    rule,
    same_shape,
    var,
)
from graphopt.ir.ops import FIRST_OPSET_COUNTING_BACK, REDUCTIONS
from graphopt.passes.chains._views import reshaped
from graphopt.passes.operands import (
    keeps_shape,
    known_rank,
    node_ints,
    normalized_axes,
    reduced_axes,
    with_axes,
)
from graphopt.pipeline import RewritePass

VIEWS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


@rule(
    *(
        op(kind, op(kind, var("x"), rest("_"), shared=True, name="inner"), rest("__"), name="outer")
        for kind in ("Squeeze", "Unsqueeze")
    )
)
def squeeze_of_squeeze(tape: Tape, x: ir.Value, inner: ir.Node, outer: ir.Node) -> ir.Value:
    """Squeeze(Squeeze(x)), Unsqueeze(Unsqueeze(x))  ->  one of them with all axes."""
    first, second = node_ints(inner, "axes", 1), node_ints(outer, "axes", 1)
    if not first or not second:
        raise Reject("")  # a Squeeze of no axes is one of all that have size 1
    narrow = known_rank(x)
    if outer.op_type == "Squeeze":
        first = normalized_axes(first, narrow)
        left = [axis for axis in range(narrow) if axis not in first]
        axes = first + [left[axis] for axis in normalized_axes(second, len(left))]
    else:
        rank_after = narrow + len(first) + len(second)
        second = normalized_axes(second, rank_after)
        free = [axis for axis in range(rank_after) if axis not in second]
        axes = second + [free[axis] for axis in normalized_axes(first, len(free))]
    return with_axes(tape, outer.op_type, x, sorted(axes))


@rule(op(("Squeeze", "Unsqueeze"), var("x"), name="node"))
def axes_from_the_front(tape: Tape, x: ir.Value, node: ir.Node) -> ir.Value:
    """Axes counted from the end, in an opset that does not have it so  ->  the same from the front."""
    axes = attribute_ints(node, "axes") or []
    if tape.opset >= FIRST_OPSET_COUNTING_BACK or min(axes, default=0) >= 0:
        raise Reject("")
    rank_counted = known_rank(x) + (len(axes) if node.op_type == "Unsqueeze" else 0)
    return with_axes(tape, node.op_type, x, sorted(normalized_axes(axes, rank_counted)))


@rule(op(VIEWS, op(VIEWS, var("x"), rest("_"), shared=True, name="inner"), rest("__"), name="outer"))
def view_of_view(tape: Tape, x: ir.Value, outer: ir.Node) -> ir.Value:
    """A view of a view  ->  Reshape, or nothing where the shape comes back."""
    result = outer.outputs[0]
    if keeps_shape(x, result):
        return x
    if outer.op_type == "Reshape" and _names_all_sizes(outer):
        return tape.op("Reshape", [x, outer.inputs[1]], outer.attributes)
    return reshaped(tape, x, result.shape)


@rule(op(VIEWS, op(REDUCTIONS, var("x"), rest("_"), name="inner"), rest("__"), name="outer"))
def view_of_reduction(tape: Tape, x: ir.Value, inner: ir.Node, outer: ir.Node) -> ir.Value:
    """Unsqueeze(Reduce(x))  ->  Reduce(x) that keeps its dimensions; Squeeze(Reduce(x)) the reverse."""
    if x.shape is None:
        raise Reject("the shape of the operand is not known")
    axes = set(reduced_axes(inner, len(x.shape)))
    keepdims = 1 - attribute_int(inner, "keepdims", 1)
    dims = [1 if index in axes else dim for index, dim in enumerate(x.shape.dims)]
    shape = ir.Shape(dims if keepdims else [dim for index, dim in enumerate(dims) if index not in axes])
    if not same_shape(shape, outer.outputs[0].shape):
        raise Reject("")
    return tape.op(inner.op_type, inner.inputs, {**inner.attributes, "keepdims": keepdims})


def _names_all_sizes(node: ir.Node) -> bool:
    """Whether the target of a Reshape copies no size of its input, so that it serves any other input too."""
    target = constant(node.inputs[1])
    if attribute_int(node, "allowzero", 0):
        return True
    return target is not None and not np.any(target == 0)


@dataclass(frozen=True)
class MergeReshapes(RewritePass):
    """Merge chains of Reshape, Flatten, Squeeze and Unsqueeze."""

    name: ClassVar[str] = "merge-reshapes"
    exact: ClassVar[bool] = True
    rules: ClassVar[tuple[Rule, ...]] = (
        axes_from_the_front,
        squeeze_of_squeeze,
        view_of_view,
        view_of_reduction,
    )
