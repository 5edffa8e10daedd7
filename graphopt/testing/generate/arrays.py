"""Arrays to build with: plain ones, and those whose values passes like to be wrong about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from graphopt.testing.generate.choices import Choices
from graphopt.testing.generate.known import Array

EQUAL = (1.0, 0.0, -1.0, 2.0, 0.5, -0.25, 3.0, -0.0)
"""Values of constants whose elements are all the same."""
SPECIAL = (np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-40, 1e30)
"""Single elements among others; 1e-40 is a denormal float32."""
WORDS = np.array(["", "a", "b", "ab", "é"], dtype=object)


def array(choices: Choices, dtype: ir.DataType, shape: Sequence[int], *, specials: bool = False) -> Array:
    """Elements all alike or at random, of small magnitude.

    Args:
        choices: Decides.
        dtype: Element type.
        shape: Sizes.
        specials: Let an element be NaN, infinite, denormal or a zero of either sign.
    """
    kind = choices.weighted(("equal", "random", "positive"), (4, 5, 1))
    if kind == "equal" and dtype != ir.DataType.STRING:
        return _as(np.full(shape, choices.choose(EQUAL)), dtype)
    made = random_array(choices.numbers(), dtype, shape)
    if kind == "positive" and dtype.is_floating_point():
        made = _as(np.abs(made.astype(np.float64)) + 0.5, dtype)
    if specials and dtype.is_floating_point() and made.size and choices.chance(0.25):
        with np.errstate(over="ignore"):
            made.reshape(-1)[choices.integer(0, made.size - 1)] = choices.choose(SPECIAL)
    return made


def extremes(choices: Choices, dtype: ir.DataType, shape: Sequence[int]) -> Array:
    """Integers at the ends of their range, and at those of smaller types."""
    bits = dtype.bitwidth
    top = (1 << (bits - 1 if dtype.is_signed() else bits)) - 1
    bottom = -top - 1 if dtype.is_signed() else 0
    ends = [end for end in (top, bottom, 1 << 31, (1 << 24) + 1, 256, -129) if bottom <= end <= top]
    wide = np.uint64 if top > 1 << 63 else np.int64
    return np.full(shape, choices.choose(ends), wide).astype(dtype.numpy())


def random_array(numbers: np.random.Generator, dtype: ir.DataType, shape: Sequence[int]) -> Array:
    """Normally distributed floats, integers from -4 (or 0) to 5, any booleans, short strings."""
    if dtype == ir.DataType.STRING:
        return np.array(WORDS[numbers.integers(0, len(WORDS), tuple(shape))], dtype=object)
    if dtype == ir.DataType.BOOL:
        return np.asarray(numbers.random(tuple(shape)) < 0.5)
    if dtype.is_integer():
        return _as(numbers.integers(-4 if dtype.is_signed() else 0, 6, shape), dtype)
    return _as(numbers.normal(0.0, 2.0, tuple(shape)), dtype)


def _as(values: Array, dtype: ir.DataType) -> Array:
    if dtype == ir.DataType.BOOL:
        return np.asarray(values > 0)
    if dtype.is_integer():
        values = np.trunc(values) if dtype.is_signed() else np.abs(np.trunc(values))
    return np.asarray(values).astype(dtype.numpy())
