"""Softmax and its kin; before opset 13 they flatten their operand at the axis."""

from __future__ import annotations

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.recipe import Unfit, recipe
from graphopt.testing.generate.recipes._parts import an_axis


@recipe("Softmax", "LogSoftmax", "Hardmax", weight=8)
def softmax(b: Builder, op_type: str) -> None:
    """Along any axis, the last one, or that of the opset."""
    if op_type == "Hardmax" and not b.specials:
        raise Unfit("Hardmax jumps")
    x = b.pick(where=lambda v: v.rank > 0)
    axis = b.choices.weighted(("last", "any", "default"), (4, 4, 1))
    number = None if axis == "default" else x.rank - 1 if axis == "last" else an_axis(b, x.rank)
    b.op(op_type, x, axis=number)
