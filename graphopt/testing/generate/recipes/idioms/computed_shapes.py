"""Shapes computed as models compute them, and put to use."""

from __future__ import annotations

import numpy as np

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import recipe
from graphopt.testing.generate.recipes._parts import factors


@recipe("Reshape", weight=10)
def chain(b: Builder, op_type: str) -> None:
    """Dimensions taken from a Shape, joined with constants, then a Reshape (or an Expand) to them."""
    x = b.pick(where=lambda v: v.rank > 0)
    kept = b.choices.integer(1, x.rank)
    sizes = [dimension(b, x, axis) for axis in range(kept)]
    rest = factors(b, int(np.prod(x.shape[kept:])), b.choices.choose((1, 2)))
    ends = [b.ints([each]) for each in ([-1] if b.choices.chance(0.5) else rest)]
    b.op(op_type, x, b.op("Concat", *sizes, *ends, axis=0))


@recipe("Expand", weight=4)
def expand_like(b: Builder, op_type: str) -> None:
    """To the shape of another value."""
    x = b.pick(where=lambda v: v.rank > 0)
    small = b.floats(b.broadcastable(x.shape), x.dtype)
    b.op(op_type, small, b.op("Shape", x))


@recipe("Slice", weight=4)
def cut_like(b: Builder, op_type: str) -> None:
    """Up to a bound that comes of another value's shape."""
    x = b.pick(where=lambda v: v.rank > 0)
    axis = b.choices.integer(0, x.rank - 1)
    end = dimension(b, b.pick(where=lambda v: v.rank > 0), 0)
    if b.choices.chance(0.5):
        end = b.op(b.choices.choose(("Add", "Sub", "Mul", "Div")), end, b.ints([b.choices.choose((1, 2))]))
    b.op(op_type, x, b.ints([0]), end, b.ints([axis]))


def dimension(b: Builder, x: Known, axis: int) -> Known:
    """A vector of one dimension's size, in one of the ways that exporters write it."""
    whole = b.op("Shape", x)
    way = b.choices.weighted(("scalar", "vector", "slice"), (4, 2, 2))
    if way == "scalar":
        return b.op("Unsqueeze", b.op("Gather", whole, b.ints(axis)), axes=[0])
    if way == "vector":
        return b.op("Gather", whole, b.ints([axis]))
    return b.op("Slice", whole, starts=[axis], ends=[axis + 1], axes=[0])
