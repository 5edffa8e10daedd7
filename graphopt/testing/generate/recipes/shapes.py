"""Shapes and sizes as values."""

from __future__ import annotations

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.recipe import recipe
from graphopt.testing.generate.recipes.views import ANY


@recipe("Shape", weight=8)
def shape(b: Builder, op_type: str) -> None:
    """Of the whole tensor or of some of its dimensions."""
    x = b.pick(ANY)
    some = b.opset >= 15 and b.choices.chance(0.5)
    start = b.choices.integer(-x.rank - 1, x.rank) if some else None
    end = b.choices.integer(-x.rank - 1, x.rank + 1) if some and b.choices.chance(0.5) else None
    b.op(op_type, x, start=start, end=end)


@recipe("Size", weight=3)
def size(b: Builder, op_type: str) -> None:
    """The number of elements."""
    b.op(op_type, b.pick(ANY))
