"""Merge Cast after Cast where the first one loses nothing that the second would have kept.

Never float -> integer -> float, double rounding, or anything that saturates: those chains compute something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, op, rule, var
from graphopt.pipeline import RewritePass

_MANTISSA_BITS = {
    ir.DataType.BFLOAT16: 8,
    ir.DataType.FLOAT16: 11,
    ir.DataType.FLOAT: 24,
    ir.DataType.DOUBLE: 53,
}
_EXPONENT_BITS = {
    ir.DataType.BFLOAT16: 8,
    ir.DataType.FLOAT16: 5,
    ir.DataType.FLOAT: 8,
    ir.DataType.DOUBLE: 11,
}
_INTEGERS = frozenset(
    ir.DataType[f"{sign}INT{bits}"] for sign in ("", "U") for bits in (8, 16, 32, 64)
)  # fmt: skip


@rule(op("Cast", op("Cast", var("x"), shared=True, name="inner"), name="outer"))
def cast_of_cast(tape: Tape, x: ir.Value, inner: ir.Node, outer: ir.Node) -> ir.Value:
    """Cast(Cast(x))  ->  Cast(x), or x where that is its dtype."""
    target = ir.DataType(outer.attributes["to"].as_int())
    between = ir.DataType(inner.attributes["to"].as_int())
    if x.dtype is None:
        raise Reject("the dtype of the first operand is not known")
    if not _may_skip(x.dtype, between, target):
        raise Reject(f"{x.dtype} -> {between} -> {target} is not the same as {x.dtype} -> {target}")
    return x if x.dtype == target else tape.op("Cast", [x], outer.attributes)


def _may_skip(source: ir.DataType, between: ir.DataType, target: ir.DataType) -> bool:
    """Whether source -> between -> target is source -> target for every value, NaN and overflow included."""
    if source in _INTEGERS and between in _INTEGERS and target in _INTEGERS:
        # Conversions wrap: what counts are the low bits, which a wider or equal type in between keeps.
        return is_lossless(source, between) or target.bitwidth <= between.bitwidth
    if not is_lossless(source, between):
        return False
    if source in _INTEGERS and target in _INTEGERS:
        return is_lossless(source, target)  # beyond its range a float does not wrap
    return target in _INTEGERS or target in _MANTISSA_BITS or target == ir.DataType.BOOL


def is_lossless(source: ir.DataType, target: ir.DataType) -> bool:
    """Whether every value of `source` is one of `target`; False for types not looked at."""
    if source == target:
        return source in _INTEGERS or source in _MANTISSA_BITS or source == ir.DataType.BOOL
    if source == ir.DataType.BOOL:
        return target in _INTEGERS or target in _MANTISSA_BITS
    if source in _MANTISSA_BITS:
        return (
            target in _MANTISSA_BITS
            and _MANTISSA_BITS[source] <= _MANTISSA_BITS[target]
            and _EXPONENT_BITS[source] <= _EXPONENT_BITS[target]
        )
    if source not in _INTEGERS:
        return False
    range_of_source = np.iinfo(source.numpy())
    if target in _INTEGERS:
        range_of_target = np.iinfo(target.numpy())
        return range_of_target.min <= range_of_source.min and range_of_source.max <= range_of_target.max
    return target in _MANTISSA_BITS and range_of_source.max.bit_length() <= _MANTISSA_BITS[target]


@dataclass(frozen=True)
class MergeCasts(RewritePass):
    """Merge Cast after Cast where the first loses nothing."""

    name: ClassVar[str] = "merge-casts"
    exact: ClassVar[bool] = True
    rules: ClassVar[tuple[Rule, ...]] = (cast_of_cast,)
