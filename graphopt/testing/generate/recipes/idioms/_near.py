"""Steps of idioms: as exporters write them most often, and now and then nearly so."""

from __future__ import annotations

import numpy as np

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipes._parts import either_order

OFF = 0.06
"""How often a step is not what it should be."""


def number(b: Builder, like: Known, usual: float) -> Known:
    """A constant of one element, of the type of `like`."""
    value = usual
    if b.choices.chance(OFF):
        value = b.choices.choose((usual * 1.01, -usual, usual + 1.0, 0.0))
    shape: tuple[int, ...] = b.choices.weighted(((), (1,), (1,) * like.rank), (8, 2, 1))
    return b.constant(np.full(shape, value, like.array.dtype), fresh=True)


def add(b: Builder, x: Known, y: Known) -> Known:
    """Their sum, in either order."""
    return b.op("Add", *either_order(b, step(b, x), y))


def mul(b: Builder, x: Known, y: Known) -> Known:
    """Their product, in either order."""
    return b.op("Mul", *either_order(b, step(b, x), y))


def step(b: Builder, x: Known) -> Known:
    """The value itself; seldom one with another user, or with a node more."""
    if not b.choices.chance(OFF):
        return x
    way = b.choices.choose(("shared", "more"))
    more = b.op(b.choices.choose(("Relu", "Identity", "Neg")), x)
    return x if way == "shared" else more


def choice(b: Builder, usual: int, *others: int) -> int:
    """A number as it should be, seldom another one: of an axis, or of a size."""
    return b.choices.choose(others) if b.choices.chance(OFF) else usual
