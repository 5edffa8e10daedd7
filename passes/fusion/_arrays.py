"""Arithmetic on weights: pure functions on arrays, all in float64.

Reading widens to float64, `rounded` narrows once at the end and refuses what the narrow type cannot hold.
Nothing here knows nodes or graphs.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir import Reject, constant, constant_tensor

Array = npt.NDArray[np.float64]

FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE})
ZERO: Array = np.zeros(())
ONE: Array = np.ones(())


def is_float(value: ir.Value | None) -> bool:
    """Whether a constant is a floating-point tensor that passes compute with."""
    tensor = constant_tensor(value)
    return tensor is not None and tensor.dtype in FLOATS


def exact(value: ir.Value) -> Array:
    """The elements of a constant in float64.

    Raises:
        Reject: It is not constant, not floating point, or holds infinities or NaN.
    """
    if constant_tensor(value) is None:
        raise Reject(f"{value.name!r} is not constant")
    if not is_float(value):
        raise Reject("the constant is not floating point")
    wide = np.asarray(constant(value)).astype(np.float64)
    if not np.isfinite(wide).all():
        raise Reject("a constant is infinite or not a number")
    return wide


def dtype_of(value: ir.Value) -> np.dtype[Any]:
    """NumPy's type of the elements of a constant."""
    assert value.dtype is not None
    return np.dtype(value.dtype.numpy())


def rounded(wide: Array, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """`wide` in `dtype`, rounded once.

    Raises:
        Reject: It overflows, or underflows so far that more than rounding is lost.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        narrow = wide.astype(dtype)
        back = narrow.astype(np.float64)
    if not np.isfinite(back).all():
        raise Reject(f"the folded constant overflows {dtype}")
    epsilon = float(ml_dtypes.finfo(dtype).eps)  # type: ignore[no-untyped-call]
    if wide.size and np.abs(back - wide).max() > epsilon * np.abs(wide).max():
        raise Reject(f"the folded constant underflows {dtype}")
    return narrow


def inverse(array: Array) -> Array:
    """1 / array; Reject of a zero."""
    if not array.all():
        raise Reject("a scale of zero")
    return 1 / array


def aligned(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """`shape` with ones put in front, as broadcasting reads it against `rank` dimensions."""
    return (1,) * (rank - len(shape)) + shape


def along_axis(array: Array, rank: int, axis: int, size: int) -> Array:
    """A constant that broadcasts against `rank` dimensions, as shape () or, one per channel, [size].

    Raises:
        Reject: It varies along another axis, as a plain [C] does along the *last*, or has more dimensions.
    """
    if array.size == 1 and array.ndim <= rank:
        return array.reshape(())
    dims = aligned(array.shape, rank)
    if array.ndim > rank or dims[axis] != size or array.size != size:
        raise Reject(f"a constant of shape {list(array.shape)} is not one per channel")
    return array.reshape(-1)


def batch_norm(
    scale: Array, bias: Array, mean: Array, variance: Array, epsilon: float
) -> tuple[Array, Array]:
    """Scale and shift per channel that make up a BatchNormalization in inference.

    It is scale * (x - mean) / sqrt(variance + epsilon) + bias, as the standard defines it; all [C].

    Raises:
        Reject: variance + epsilon is not positive somewhere.
    """
    spread = variance + epsilon
    if not (spread > 0).all():
        raise Reject("the variance of a BatchNormalization is not positive")
    factor = scale / np.sqrt(spread)
    return factor, bias - mean * factor


def _shaped(channels: Array, rank: int, axis: int) -> Array:
    return channels if channels.ndim == 0 else channels.reshape((-1,) + (1,) * (rank - axis - 1))


def scale_conv(weight: Array, inputs: Array, outputs: Array, group: int) -> Array:
    """Weight [O, I/group, k...] of a Conv with its inputs times `inputs` and its outputs times `outputs`.

    Args:
        weight: The weight.
        inputs: Shape () or [I].
        outputs: Shape () or [O].
        group: Number of groups.
    """
    scaled = weight * _shaped(outputs, weight.ndim, 0)
    if inputs.ndim == 0:
        return scaled * inputs
    parts = scaled.reshape(group, -1, *weight.shape[1:])
    factors = inputs.reshape(group, 1, -1, *(1,) * (weight.ndim - 2))
    return (parts * factors).reshape(weight.shape)


def scale_conv_transpose(weight: Array, inputs: Array, outputs: Array, group: int) -> Array:
    """Weight [I, O/group, k...] of a ConvTranspose, its inputs, () or [I], and outputs, () or [O], scaled."""
    scaled = weight * _shaped(inputs, weight.ndim, 0)
    if outputs.ndim == 0:
        return scaled * outputs
    parts = scaled.reshape(group, -1, *weight.shape[1:])
    factors = outputs.reshape(group, 1, -1, *(1,) * (weight.ndim - 2))
    return (parts * factors).reshape(weight.shape)


def scale_matrix(matrix: Array, rows: Array, columns: Array) -> Array:
    """A matrix with its rows, () or [rows], and columns, () or [columns], scaled."""
    return matrix * _shaped(rows, 2, 0) * columns


def conv_of_constant(weight: Array, inputs: Array, group: int) -> Array:
    """What an unpadded Conv, weight [O, I/group, k...], makes of a constant input, () or [I]: [O]."""
    taps = weight.reshape(*weight.shape[:2], -1).sum(axis=2)
    per_input = np.broadcast_to(inputs, (weight.shape[1] * group,)).reshape(group, 1, -1)
    sums: Array = (taps.reshape(group, -1, weight.shape[1]) * per_input).sum(axis=2)
    return sums.reshape(-1)
