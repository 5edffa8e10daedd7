"""Comparisons and what is made of them; they jump, so only where specials are let in."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.recipe import Unfit, recipe
from graphopt.testing.generate.recipes._parts import either_order, typed

INTEGERS = (ir.DataType.INT64, ir.DataType.INT32)


@recipe("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", weight=10)
def compare(b: Builder, op_type: str) -> None:
    """Of floats where they may jump, of integers anywhere; also of a value with itself."""
    x = b.pick("f") if b.specials and b.choices.chance(0.5) else typed(b, b.choices.choose(INTEGERS))
    b.op(op_type, *either_order(b, x, x if b.choices.chance(0.05) else b.operand(x)))


@recipe("And", "Or", "Xor", weight=6)
def connect(b: Builder, op_type: str) -> None:
    """Of two values, or one and a constant that is all true or all false."""
    x = b.pick("b")
    if b.choices.chance(0.5):
        y = b.constant(np.full(b.broadcastable(x.shape), b.choices.chance(0.5)))
    else:
        y = b.operand(x)
    b.op(op_type, *either_order(b, x, y))


@recipe("Not", weight=4)
def negate(b: Builder, op_type: str) -> None:
    """Of what there is."""
    b.op(op_type, b.pick("b"))


@recipe("IsNaN", "IsInf", weight=3)
def odd(b: Builder, op_type: str) -> None:
    """Whether elements are no ordinary numbers."""
    if not b.specials:
        raise Unfit(f"{op_type} jumps")
    negative = 0 if op_type == "IsInf" and b.choices.chance(0.3) else None
    b.op(op_type, b.pick(), detect_negative=negative)
