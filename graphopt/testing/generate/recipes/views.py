"""The same elements under another shape, in another order, or repeated along dimensions of size 1."""

from __future__ import annotations

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.recipe import recipe
from graphopt.testing.generate.recipes._parts import factors, has_attribute

ANY = "fibus"


@recipe("Reshape", weight=25)
def reshape(b: Builder, op_type: str) -> None:
    """To sizes, to a -1 and to zeros that copy, or stand for nothing with `allowzero`."""
    x = b.pick(_kinds(b))
    target = factors(b, x.array.size, b.choices.choose((2, 1, 3, 4)))
    if b.choices.chance(0.4):
        target[b.choices.integer(0, len(target) - 1)] = -1
    for axis in range(min(len(target), x.rank)):
        if target[axis] == x.shape[axis] and b.choices.chance(0.3):
            target[axis] = 0
    allow = has_attribute(b, op_type, "allowzero") and b.choices.chance(0.1)
    b.op(op_type, x, b.ints(target), allowzero=1 if allow else None)


@recipe("Transpose", weight=25)
def transpose(b: Builder, op_type: str) -> None:
    """Any order of axes, the order there is, or none given."""
    x = b.pick(_kinds(b))
    b.op(op_type, x, perm=None if b.choices.chance(0.1) else b.choices.permutation(x.rank))


@recipe("Squeeze", weight=8)
def squeeze(b: Builder, op_type: str) -> None:
    """One dimension of size 1, all of them, or those that there are."""
    found = [value for value in b.visible() if value.is_tensor and 1 in value.shape]
    x = b.choices.choose(found) if found else b.new(b.dtype("f"), [1, 2, 1, 3])
    axes = [axis for axis, size in enumerate(x.shape) if size == 1]
    kept = axes[:1] if b.choices.chance(0.5) else axes
    if b.counts_back(0.3):
        kept = [axis - x.rank for axis in kept]
    b.op(op_type, x, axes=None if b.choices.chance(0.1) else kept)


@recipe("Unsqueeze", weight=12)
def unsqueeze(b: Builder, op_type: str) -> None:
    """One or two new dimensions, in any order."""
    x = b.pick(_kinds(b), where=lambda v: v.rank < 5)
    count = b.choices.choose((1, 2)) if x.rank < 4 else 1
    axes = b.choices.permutation(x.rank + count)[:count]
    if b.counts_back(0.3):
        axes = [axis - x.rank - count for axis in axes]
    b.op(op_type, x, axes=axes)


@recipe("Flatten", weight=8)
def flatten(b: Builder, op_type: str) -> None:
    """At any axis, both ends included."""
    x = b.pick(_kinds(b))
    axis = b.choices.integer(0, x.rank)
    b.op(op_type, x, axis=axis - x.rank if x.rank and axis < x.rank and b.counts_back(0.2) else axis)


@recipe("Expand", weight=10)
def expand(b: Builder, op_type: str) -> None:
    """To a shape that broadcasts with it, often its own."""
    x = b.pick(_kinds(b))
    b.op(op_type, x, b.ints(x.shape if b.choices.chance(0.2) else b.broadcastable(x.shape)))


def _kinds(b: Builder) -> str:
    return ANY if b.choices.chance(0.2) else "f"
