"""Reductions over any axes, none and all; their axes may be an attribute, an input or left out."""

from __future__ import annotations

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.recipe import Unfit, recipe
from graphopt.testing.generate.recipes._parts import an_axis, has_attribute, some_axes


@recipe(
    "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
    "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp", weight=18,
)  # fmt: skip
def reduce(b: Builder, op_type: str) -> None:
    """With axes, also negative ones and none; an empty list means all, or nothing at all."""
    x = b.pick("fi" if b.choices.chance(0.2) else "f")
    if op_type == "ReduceLogSum":
        x = b.op("Abs", x)
    keep = 0 if b.choices.chance(0.5) else None
    noop = 1 if has_attribute(b, op_type, "noop_with_empty_axes") and b.choices.chance(0.3) else None
    axes = some_axes(b, x.rank)
    in_attribute = has_attribute(b, op_type, "axes")
    left_out = b.choices.chance(0.1) or (in_attribute and not axes)
    b.op(op_type, x, axes=None if left_out else axes, keepdims=keep, noop_with_empty_axes=noop)


@recipe("ArgMax", "ArgMin", weight=5)
def arg(b: Builder, op_type: str) -> None:
    """The first or the last of equal ones; where small differences do no harm."""
    if not b.specials:
        raise Unfit(f"{op_type} jumps")
    x = b.pick("fi")
    last = 1 if b.opset >= 12 and b.choices.chance(0.2) else None
    b.op(op_type, x, axis=an_axis(b, x.rank), keepdims=b.choices.choose((1, 0)), select_last_index=last)
