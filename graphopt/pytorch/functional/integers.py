"""Arithmetic on quantized integers, exact: sums are those of int32, requantizing is onnxruntime's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.library import custom_op

from graphopt.pytorch.functional.quantization import RANGES, held_as


def dynamic_quantize(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x as uint8 over its own range, 0 included; with the scale and the zero point."""
    y, scale, zero_point = _dynamic_quantize(x.detach())
    return y, scale, zero_point


def matmul_integer(
    a: Tensor, b: Tensor, a_zero_point: Tensor | None = None, b_zero_point: Tensor | None = None
) -> Tensor:
    """`(a - a_zero_point) @ (b - b_zero_point)` in int32.

    Zero points of rank 1 are one for each row of a, each column of b.
    """
    return _matmul_integer(a, b, a_zero_point, b_zero_point)


def conv_integer(
    x: Tensor,
    weight: Tensor,
    x_zero_point: Tensor | None,
    weight_zero_point: Tensor | None,
    stride: Sequence[int],
    pads: Sequence[int],
    dilation: Sequence[int],
    groups: int = 1,
) -> Tensor:
    """Convolution of `x - x_zero_point` with `weight - weight_zero_point`, in int32.

    Args:
        x: (N, C, ...) integers of 8 bits.
        weight: (C_out, C / groups, ...).
        x_zero_point: One number.
        weight_zero_point: One number, or (C_out).
        stride: Steps between windows.
        pads: Elements `x_zero_point` before each spatial dimension, then after each.
        dilation: Steps between a window's elements.
        groups: Groups of channels.
    """
    return _conv_integer(
        x, weight, x_zero_point, weight_zero_point, list(stride), list(pads), list(dilation), groups
    )


def requantize(total: Tensor, scale: Tensor, zero_point: Tensor, dtype: str) -> Tensor:
    """Integer sums times a float scale that broadcasts, rounded half to even, as integers of `dtype`."""
    low, high = RANGES[dtype]
    rounded = torch.round(total.to(torch.float32) * scale) + zero_point.to(torch.float32)
    return rounded.clamp(low, high).to(held_as(dtype))


def qlinear_matmul(
    a: Tensor,
    a_scale: Tensor,
    a_zero_point: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero_point: Tensor,
    scale: Tensor,
    zero_point: Tensor,
    dtype: str,
) -> Tensor:
    """Product of matrices of integers as integers of `dtype`, of `scale` and `zero_point`."""
    total = matmul_integer(a, b, a_zero_point, b_zero_point)
    factor = _by_row(a_scale) * b_scale / scale
    return requantize(total, factor, zero_point, dtype)


def qlinear_conv(
    x: Tensor,
    x_scale: Tensor,
    x_zero_point: Tensor,
    weight: Tensor,
    weight_scale: Tensor,
    weight_zero_point: Tensor,
    scale: Tensor,
    zero_point: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    pads: Sequence[int],
    dilation: Sequence[int],
    groups: int = 1,
    dtype: str = "uint8",
) -> Tensor:
    """Convolution of integers as integers of `dtype`; arguments are those of `conv_integer`.

    `bias` is int32 of scale `x_scale * weight_scale`.
    """
    total = conv_integer(x, weight, x_zero_point, weight_zero_point, stride, pads, dilation, groups)
    channels = [-1] + [1] * (x.dim() - 2)
    if bias is not None:
        total = total + bias.reshape(channels)
    factor = (x_scale.reshape(()) * weight_scale / scale.reshape(())).reshape(channels)
    return requantize(total, factor, zero_point.reshape(()), dtype)


def qlinear_add(
    a: Tensor,
    a_scale: Tensor,
    a_zero_point: Tensor | None,
    b: Tensor,
    b_scale: Tensor,
    b_zero_point: Tensor | None,
    scale: Tensor,
    zero_point: Tensor | None,
    dtype: str,
) -> Tensor:
    """Sum of integers as integers of `dtype`, in onnxruntime's order: two fused multiply-adds."""
    a_ratio, b_ratio = a_scale / scale, b_scale / scale
    shift = a_ratio * _shift(a_zero_point) + b_ratio * _shift(b_zero_point)
    total = _fused(a, a_ratio, _fused(b, b_ratio, _shift(zero_point) - shift))
    return torch.round(total).clamp(*RANGES[dtype]).to(held_as(dtype))


def qlinear_mul(
    a: Tensor,
    a_scale: Tensor,
    a_zero_point: Tensor | None,
    b: Tensor,
    b_scale: Tensor,
    b_zero_point: Tensor | None,
    scale: Tensor,
    zero_point: Tensor | None,
    dtype: str,
) -> Tensor:
    """Product of integers as integers of `dtype`; onnxruntime rounds it after the zero point is added."""
    product = (a.to(torch.float32) - _shift(a_zero_point)) * (b.to(torch.float32) - _shift(b_zero_point))
    total = product * (a_scale * b_scale / scale) + _shift(zero_point)
    return torch.round(total).clamp(*RANGES[dtype]).to(held_as(dtype))


def _shift(zero_point: Tensor | None) -> Tensor | float:
    return 0.0 if zero_point is None else zero_point.to(torch.float32)


def _fused(x: Tensor, factor: Tensor, addend: Tensor | float) -> Tensor:
    """`x * factor + addend`, rounded once to float32."""
    exact = x.to(torch.float64) * factor.to(torch.float64)
    return (exact + addend).to(torch.float32)


def _by_row(parameter: Tensor) -> Tensor:
    """A parameter for each row, as a column."""
    return parameter.unsqueeze(-1) if parameter.dim() == 1 else parameter


def _exact(x: Tensor, zero_point: Tensor | None) -> Tensor:
    """Integers in float64, which adds up 2**37 products of bytes without rounding."""
    return x.double() if zero_point is None else x.double() - zero_point.double()


def _dynamic_quantize_kernel(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    low, high = x.amin().clamp(max=0), x.amax().clamp(min=0)
    scale = torch.where(high == low, torch.ones_like(high), (high - low) / 255)
    zero_point = torch.round((-low / scale).clamp(0, 255))
    y = (torch.round(x / scale) + zero_point).clamp(0, 255)
    return y.to(torch.uint8), scale, zero_point.to(torch.uint8)


def _dynamic_quantize_shape(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape, dtype=torch.uint8), x.new_empty(()), x.new_empty((), dtype=torch.uint8)


_dynamic_quantize: Any = custom_op("graphopt::dynamic_quantize", _dynamic_quantize_kernel, mutates_args=())
_dynamic_quantize.register_fake(_dynamic_quantize_shape)


def _matmul_integer_kernel(
    a: Tensor, b: Tensor, a_zero_point: Tensor | None, b_zero_point: Tensor | None
) -> Tensor:
    left = _exact(a, None if a_zero_point is None else _by_row(a_zero_point))
    return torch.matmul(left, _exact(b, b_zero_point)).to(torch.int64).to(torch.int32)


def _matmul_integer_shape(
    a: Tensor, b: Tensor, a_zero_point: Tensor | None, b_zero_point: Tensor | None
) -> Tensor:
    return torch.matmul(a.to(torch.float32), b.to(torch.float32)).to(torch.int32)


_matmul_integer: Any = custom_op("graphopt::matmul_integer", _matmul_integer_kernel, mutates_args=())
_matmul_integer.register_fake(_matmul_integer_shape)


def _conv_integer_kernel(
    x: Tensor,
    weight: Tensor,
    x_zero_point: Tensor | None,
    weight_zero_point: Tensor | None,
    stride: Sequence[int],
    pads: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    channels = [-1] + [1] * (weight.dim() - 1)
    shift = None if weight_zero_point is None else weight_zero_point.reshape(channels)
    x_shift = None if x_zero_point is None else x_zero_point.reshape(())
    exact = _convolved(_exact(x, x_shift), _exact(weight, shift), stride, pads, dilation, groups)
    return exact.to(torch.int64).to(torch.int32)


def _conv_integer_shape(
    x: Tensor,
    weight: Tensor,
    x_zero_point: Tensor | None,
    weight_zero_point: Tensor | None,
    stride: Sequence[int],
    pads: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    floats = x.to(torch.float32), weight.to(torch.float32)
    return _convolved(*floats, stride, pads, dilation, groups).to(torch.int32)


_conv_integer: Any = custom_op("graphopt::conv_integer", _conv_integer_kernel, mutates_args=())
_conv_integer.register_fake(_conv_integer_shape)


def _convolved(
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    pads: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    rank = x.dim() - 2
    begin, end = pads[:rank], pads[rank:]
    pairs = [size for i in reversed(range(rank)) for size in (begin[i], end[i])]
    convolution = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[rank]
    return convolution(F.pad(x, pairs), weight, None, stride, 0, dilation, groups)


def qgemm(
    a: Tensor,
    a_scale: Tensor,
    a_zero_point: Tensor,
    b: Tensor,
    b_scale: Tensor,
    b_zero_point: Tensor,
    c: Tensor | None,
    scale: Tensor | None,
    zero_point: Tensor | None,
    trans_a: bool = False,
    trans_b: bool = False,
    alpha: float = 1.0,
    dtype: str = "",
) -> Tensor:
    """`alpha * a @ b + c` of integers: as integers of `dtype` if there is a `scale`, otherwise as floats.

    `c` is int32 of scale `alpha * a_scale * b_scale`.
    """
    left, right = a.mT if trans_a else a, b.mT if trans_b else b
    total = matmul_integer(left, right, a_zero_point.reshape(()), b_zero_point)
    if c is not None:
        total = total + c
    factor = alpha * a_scale * b_scale
    if scale is None or zero_point is None:
        return total.to(factor.dtype) * factor
    return requantize(total, factor / scale, zero_point, dtype)


def matmul_integer_to_float(
    a: Tensor,
    b: Tensor,
    a_scale: Tensor,
    b_scale: Tensor,
    a_zero_point: Tensor | None = None,
    b_zero_point: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """`(a - a_zero_point) * a_scale @ (b - b_zero_point) * b_scale + bias` in floats."""
    total = matmul_integer(a, b, a_zero_point, b_zero_point)
    y = total.to(a_scale.dtype) * (_by_row(a_scale) * b_scale)
    return y if bias is None else y + bias


def unpack_weight(
    packed: Tensor, scales: Tensor, zero_points: Tensor | None, bits: int, rows: int, block_size: int
) -> Tensor:
    """Dequantize a weight whose integers lie several to a byte, the first in the lowest bits.

    Args:
        packed: (columns, blocks, block_size * bits / 8) uint8.
        scales: (columns, blocks) or flat.
        zero_points: Packed as the weight is, or floats; None is the middle of the range.
        bits: 2, 4 or 8.
        rows: Length of each row of the result.
        block_size: Integers that share a scale.

    Returns:
        (columns, rows).
    """
    columns, blocks = packed.shape[0], packed.shape[1]
    integers = _unpacked(packed, bits).to(scales.dtype)
    if zero_points is None:
        middle: Tensor | int = 2 ** (bits - 1)
    elif zero_points.dtype.is_floating_point:
        middle = zero_points.reshape(columns, blocks, 1)
    else:
        unpacked = _unpacked(zero_points.reshape(columns, -1), bits)
        middle = unpacked[:, :blocks].unsqueeze(-1).to(scales.dtype)
    weight = (integers - middle) * scales.reshape(columns, blocks, 1)
    return weight.reshape(columns, blocks * block_size)[:, :rows]


def _unpacked(packed: Tensor, bits: int) -> Tensor:
    """The integers of the last dimension's bytes, in as many more elements."""
    shifts = torch.arange(0, 8, bits, device=packed.device)
    parts = (packed.to(torch.int32).unsqueeze(-1) >> shifts) & (2**bits - 1)
    return parts.flatten(-2)
