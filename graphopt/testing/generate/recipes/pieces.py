"""What takes apart, joins, repeats, pads and rearranges."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import recipe
from graphopt.testing.generate.recipes._parts import an_axis, has_attribute
from graphopt.testing.generate.recipes.views import ANY

FAR = 1 << 62
"""Bounds of slices that exporters write for the end."""


@recipe("Concat", weight=15)
def concat(b: Builder, op_type: str) -> None:
    """One to three values or constants alike but along the axis; the same one twice."""
    x = b.pick(_kinds(b), where=lambda v: v.rank > 0)
    axis = an_axis(b, x.rank)
    parts = [_beside(b, x, axis % x.rank) for _ in range(b.choices.weighted((1, 0, 2), (5, 1, 3)))]
    b.op(op_type, *(reversed([x, *parts]) if b.choices.chance(0.3) else [x, *parts]), axis=axis)


@recipe("Split", weight=12)
def split(b: Builder, op_type: str) -> None:
    """Into given sizes, also 0, or equal ones; now and then joined again."""
    x = b.pick(_kinds(b), where=lambda v: v.rank > 0)
    axis = an_axis(b, x.rank)
    size = x.shape[axis]
    if b.choices.chance(0.4):
        count = b.choices.choose((2, 1, 3))
        more: dict[str, Any] = {"num_outputs": count} if has_attribute(b, op_type, "num_outputs") else {}
    else:
        first = b.choices.integer(0, size)
        count, more = 2, {"split": [first, size - first]}
    b.op(op_type, x, axis=axis, outputs=count, **more)
    if b.choices.chance(0.3):
        b.op("Concat", *b.values[-count:], axis=axis)


@recipe("Slice", weight=25)
def slice_(b: Builder, op_type: str) -> None:
    """One or two axes; bounds beyond the ends, steps of either sign."""
    x = b.pick(_kinds(b), where=lambda v: v.rank > 0)
    axes = b.choices.permutation(x.rank)[: b.choices.weighted((1, 2), (4, 1))]
    starts = [b.choices.integer(-x.shape[axis] - 1, x.shape[axis]) for axis in axes]
    ends = [b.choices.choose((x.shape[axis], -1, FAR, -FAR, 2)) for axis in axes]
    steps = [b.choices.weighted((1, 2, -1, -2), (6, 2, 1, 1)) for _ in axes]
    needed = b.choices.chance(0.9) or axes != list(range(len(axes)))
    if b.counts_back(0.3):
        axes = [axis - x.rank for axis in axes]
    b.op(op_type, x, starts=starts, ends=ends, axes=axes if needed else None, **_steps(b, axes, steps))


@recipe("Pad", weight=15)
def pad(b: Builder, op_type: str) -> None:
    """All modes; zero, negative and uneven padding; some axes alone."""
    x = b.pick(where=lambda v: v.rank > 0)
    mode = b.choices.weighted(("constant", "edge", "reflect"), (6, 1, 2))
    if mode == "reflect" and b.opset >= 19 and b.choices.chance(0.4):
        mode = "wrap"
    axes = b.choices.some(range(x.rank), 0.6) if b.opset >= 18 and b.choices.chance(0.3) else None
    count = x.rank if axes is None else len(axes)
    pads = [b.choices.weighted((0, 1, 2, -1), (5, 2, 1, 1)) for _ in range(2 * count)]
    more: dict[str, Any] = {} if mode == "constant" and b.choices.chance(0.5) else {"mode": mode}
    if mode == "constant" and b.choices.chance(0.6):
        more.update(pad_value(b, x, b.choices.choose((0.0, 1.5, -1.0))))
    b.op(op_type, x, pads=pads, axes=axes, **more)


def pad_value(b: Builder, x: Known, value: float) -> dict[str, Any]:
    """The constant that a Pad pads with, as an attribute or as an input."""
    if has_attribute(b, "Pad", "value"):
        return {"value": value}
    return {"constant_value": b.constant(np.array(value, x.array.dtype))}


@recipe("Tile", weight=6)
def tile(b: Builder, op_type: str) -> None:
    """Any repeats, also none."""
    x = b.pick(_kinds(b))
    b.op(op_type, x, b.ints([b.choices.weighted((1, 2, 3, 0), (5, 3, 1, 1)) for _ in range(x.rank)]))


@recipe("DepthToSpace", "SpaceToDepth", weight=4)
def depth(b: Builder, op_type: str) -> None:
    """Blocks of 1 or 2."""
    size = b.choices.choose((2, 1))
    x = b.new(b.dtype("f"), [1, 4 * b.choices.choose((1, 2)), 4, b.choices.choose((2, 4))])
    told = has_attribute(b, op_type, "mode")
    b.op(op_type, x, blocksize=size, mode=b.choices.choose(("DCR", "CRD")) if told else None)


@recipe("Trilu", weight=4)
def trilu(b: Builder, op_type: str) -> None:
    """Either triangle, at a diagonal or the main one."""
    x = b.pick("fib", where=lambda v: v.rank > 1)
    diagonal = b.ints(b.choices.choose((0, 1, -1, 5))) if b.choices.chance(0.6) else None
    b.op(op_type, x, diagonal, upper=b.choices.choose((1, 0)))


@recipe("ReverseSequence", "CumSum", weight=4)
def along(b: Builder, op_type: str) -> None:
    """Backwards, or summed up, along an axis."""
    x = b.pick(where=lambda v: v.rank > 1)
    if op_type == "CumSum":
        exclusive, reverse = int(b.choices.chance(0.3)), int(b.choices.chance(0.3))
        b.op(op_type, x, b.ints(an_axis(b, x.rank)), exclusive=exclusive, reverse=reverse)
        return
    batch = b.choices.choose((0, 1))
    longest = x.shape[1 - batch]
    lengths = [b.choices.integer(1, max(longest, 1)) for _ in range(x.shape[batch])]
    b.op(op_type, x, b.ints(lengths), batch_axis=batch, time_axis=1 - batch)


def _beside(b: Builder, x: Known, axis: int) -> Known:
    def fits(v: Known) -> bool:
        alike = v.dtype == x.dtype and v.rank == x.rank
        return alike and v.shape[:axis] == x.shape[:axis] and v.shape[axis + 1 :] == x.shape[axis + 1 :]

    if b.choices.chance(0.5):
        return b.pick(ANY, x.rank, fits)
    shape = list(x.shape)
    shape[axis] = b.choices.choose((shape[axis], 1, 2, 0))
    return b.floats(shape, x.dtype)


def _steps(b: Builder, axes: list[int], steps: list[int]) -> dict[str, Any]:
    if b.opset < 10:
        return {}
    if set(steps) == {1} and b.choices.chance(0.5):
        return {}
    return {"steps": steps}


def _kinds(b: Builder) -> str:
    return ANY if b.choices.chance(0.2) else "f"
