"""Casts, most often several in a row."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.testing.generate.builder import Builder, kind_of
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import recipe
from graphopt.testing.generate.recipes._parts import has_attribute


@recipe("Cast", weight=12)
def cast(b: Builder, op_type: str) -> None:
    """One to three in a row, of floats alone where small differences must stay small."""
    x = b.pick("fibu")
    for _ in range(b.choices.weighted((2, 1, 3), (4, 2, 2))):
        to = _target(b, x)
        saturate = to.name.startswith("FLOAT8") and has_attribute(b, op_type, "saturate")
        x = b.op(op_type, x, to=int(to), saturate=b.choices.choose((1, 0)) if saturate else None)


@recipe("CastLike", weight=3)
def cast_like(b: Builder, op_type: str) -> None:
    """To the type of another value or of a constant."""
    x = b.pick("fibu")
    like = b.pick("f") if b.choices.chance(0.5) else b.floats([1], _target(b, x))
    b.op(op_type, x, like)


def _target(b: Builder, x: Known) -> ir.DataType:
    if b.specials or kind_of(x.dtype) != "f":
        if b.specials and b.opset >= 19 and b.choices.chance(0.1):
            return b.choices.choose((ir.DataType.FLOAT8E4M3FN, ir.DataType.FLOAT8E5M2))
        return b.dtype("fibu")
    return b.dtype("f")
