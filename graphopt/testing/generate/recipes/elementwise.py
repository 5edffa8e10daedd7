"""Elementwise operators of one, two or three operands: odd broadcasts, and bounds that may be missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.recipe import Unfit, recipe
from graphopt.testing.generate.recipes._parts import either_order

ROUGH = ("Ceil", "Floor", "Log", "Reciprocal", "Round", "Sign", "Sqrt")
"""They jump, or are not defined everywhere."""


@recipe(
    "Relu", "Abs", "Elu", "Erf", "Exp", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Neg", "Sigmoid",
    "Sin", "Softplus", "Tanh", weight=30,
)  # fmt: skip
def smooth(b: Builder, op_type: str) -> None:
    """One operand."""
    b.op(op_type, b.pick())


@recipe(*ROUGH)
def rough(b: Builder, op_type: str) -> None:
    """One operand, where small differences may become large ones."""
    if not b.specials:
        raise Unfit(f"{op_type} jumps")
    b.op(op_type, b.pick())


@recipe("Add", "Mul", "Sub", weight=50)
def ring(b: Builder, op_type: str) -> None:
    """Two operands of any numeric type in either order."""
    x = b.pick(b.choices.weighted(("f", "iu"), (6, 1)))
    b.op(op_type, *either_order(b, x, b.operand(x)))


@recipe("Div", "Pow")
def quotient(b: Builder, op_type: str) -> None:
    """Division by, and powers of, what is not near zero; anything where specials are let in."""
    x = b.pick()
    positive = not b.specials
    if op_type == "Pow":
        b.op(op_type, b.op("Abs", x) if positive else x, b.floats([], x.dtype))
    else:
        b.op(
            op_type,
            x,
            b.floats(b.broadcastable(x.shape), x.dtype, positive=True) if positive else b.operand(x),
        )


@recipe("Min", "Max", weight=12)
def extremum(b: Builder, op_type: str) -> None:
    """One to three operands."""
    x = b.pick()
    b.op(op_type, x, *(b.operand(x) for _ in range(b.choices.choose((1, 0, 2)))))


@recipe("Clip", weight=15)
def clip(b: Builder, op_type: str) -> None:
    """Any bounds, also none or a maximum below the minimum."""
    x = b.pick()
    bounds: dict[str, Any] = {}
    for name in ("min", "max"):
        if b.choices.chance(0.8):
            bound = b.choices.choose((0.0, 6.0, 1.0, -1.0, -2.0, 0.5))
            in_attribute = name in b.schema(op_type).attributes
            bounds[name] = bound if in_attribute else b.constant(np.array(bound, x.array.dtype))
    b.op(op_type, x, **bounds)


@recipe("Where")
def where(b: Builder, op_type: str) -> None:
    """A condition that is known, or computed; branches that broadcast."""
    given = b.pick("b") if b.forced and b.forced[0].dtype == ir.DataType.BOOL else None
    x = b.pick("fi")
    shape = b.broadcastable(x.shape)
    if given is not None:
        condition = given
    elif b.specials and b.choices.chance(0.5):
        condition = b.pick("b")
    elif b.choices.chance(0.5):
        condition = b.constant(np.full(shape, b.choices.chance(0.5)))
    else:
        condition = b.constant(b.choices.numbers().random(tuple(shape)) < 0.5)
    b.op(op_type, condition, *either_order(b, x, b.operand(x)))
