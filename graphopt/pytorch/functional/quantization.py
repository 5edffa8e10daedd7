"""Quantization: floats to integers and back, and fake-quantization that can be trained.

Each is an operator of the `graphopt` library, so that torch.export keeps it whole and it becomes the ONNX
operator that it came from. Arithmetic is onnxruntime's, bit for bit: x / scale in float32, rounded half to
even, plus the zero point, clamped.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from graphopt.pytorch.functional.casts import to_float8

RANGES: dict[str, tuple[int, int]] = {
    "int2": (-2, 1),
    "uint2": (0, 3),
    "int4": (-8, 7),
    "uint4": (0, 15),
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "uint16": (0, 65535),
    "int32": (-(2**31), 2**31 - 1),
}
"""Smallest and largest integer of each type that ONNX quantizes to."""

# PyTorch has no integers of less than a byte: they are held one to a byte.
_HELD_AS = {"int2": "int8", "uint2": "uint8", "int4": "int8", "uint4": "uint8"}


def fake_quantize(
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    dtype: str = "uint8",
    axis: int = 1,
    block_size: int = 0,
    saturate: bool = True,
) -> Tensor:
    """`dequantize(quantize(x))`; its gradient is that of x where x is within the range, 0 elsewhere.

    Args:
        x: Floats of any shape.
        scale: One number, one for each index of `axis`, or for each block of it.
        zero_point: Shaped as `scale`; None is 0.
        dtype: The type quantized to, as "int8", "uint4" or "float8_e4m3fn".
        axis: The dimension that several scales are for.
        block_size: How many elements of `axis` share a scale; 0 where each has its own.
        saturate: Whether floats too large for a float8 become the largest one.
    """
    return _fake_quantize(x, scale, zero_point, dtype, axis, block_size, saturate)


def quantize(
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    dtype: str = "uint8",
    axis: int = 1,
    block_size: int = 0,
    saturate: bool = True,
) -> Tensor:
    """`x / scale + zero_point` as integers of `dtype`, or float8; integers of 2 and 4 bits one to a byte.

    Arguments are those of `fake_quantize`. Nothing can be learned through it.
    """
    return _quantize(x.detach(), scale.detach(), zero_point, dtype, axis, block_size, saturate)


def dequantize(
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    axis: int = 1,
    block_size: int = 0,
    dtype: str = "",
    to: torch.dtype | None = None,
) -> Tensor:
    """`(x - zero_point) * scale`, of the scale's type or `to`.

    Args:
        x: Integers or float8 of any shape.
        scale: As of `fake_quantize`; its gradient flows.
        zero_point: Shaped as `scale`; None is 0.
        axis: The dimension that several scales are for.
        block_size: How many elements of `axis` share a scale; 0 where each has its own.
        dtype: What x holds where that is not its type: "int4" and the like.
        to: The type of the result.
    """
    y = _dequantize(x, scale, zero_point, axis, block_size, dtype)
    return y if to is None else y.to(to)


def held_as(dtype: str) -> torch.dtype:
    """The PyTorch type that holds a type quantized to."""
    return getattr(torch, _HELD_AS.get(dtype, dtype))


def spread(parameter: Tensor, x: Tensor, axis: int, block_size: int) -> Tensor:
    """A scale or zero point in a shape that broadcasts with x."""
    if parameter.numel() == 1:
        return parameter.reshape(())
    axis = axis % x.dim()
    if block_size:
        return parameter.repeat_interleave(block_size, axis).narrow(axis, 0, x.shape[axis])
    return parameter.reshape([-1 if i == axis else 1 for i in range(x.dim())])


def _scaled(x: Tensor, scale: Tensor, axis: int, block_size: int) -> Tensor:
    """x / scale, in float32 or better."""
    compute = torch.float64 if x.dtype == torch.float64 else torch.float32
    return x.to(compute) / spread(scale, x, axis, block_size).to(compute)


def _rounded(x: Tensor, scale: Tensor, zero_point: Tensor | None, axis: int, block_size: int) -> Tensor:
    """The integers, as floats and not clamped yet."""
    rounded = torch.round(_scaled(x, scale, axis, block_size))
    if zero_point is None:
        return rounded
    return rounded + spread(_integers(zero_point), x, axis, block_size)


def _integers(x: Tensor) -> Tensor:
    """Integers of any width as int32, in which they can be computed with; float8 as float32."""
    return x.to(torch.float32) if x.dtype.is_floating_point else x.to(torch.int32)


def _quantize_kernel(
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor | None,
    dtype: str,
    axis: int,
    block_size: int,
    saturate: bool,
) -> Tensor:
    if dtype in RANGES:
        low, high = RANGES[dtype]
        rounded = _rounded(x, scale, zero_point, axis, block_size)
        return rounded.clamp(low, high).nan_to_num(low).to(held_as(dtype))
    return to_float8(_scaled(x, scale, axis, block_size), held_as(dtype), saturate)


def _quantize_shape(
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor | None,
    dtype: str,
    axis: int,
    block_size: int,
    saturate: bool,
) -> Tensor:
    return torch.empty_like(x, dtype=held_as(dtype))


_quantize: Any = custom_op("graphopt::quantize", _quantize_kernel, mutates_args=())
_quantize.register_fake(_quantize_shape)


def _dequantize_kernel(
    x: Tensor, scale: Tensor, zero_point: Tensor | None, axis: int, block_size: int, dtype: str
) -> Tensor:
    integers = _integers(x)
    if zero_point is not None:
        integers = integers - spread(_integers(zero_point), x, axis, block_size)
    compute = torch.float64 if scale.dtype == torch.float64 else torch.float32
    y = integers.to(compute) * spread(scale, x, axis, block_size).to(compute)
    return y.to(scale.dtype)


def _dequantize_shape(
    x: Tensor, scale: Tensor, zero_point: Tensor | None, axis: int, block_size: int, dtype: str
) -> Tensor:
    return torch.empty_like(x, dtype=scale.dtype)


_dequantize: Any = custom_op("graphopt::dequantize", _dequantize_kernel, mutates_args=())
_dequantize.register_fake(_dequantize_shape)


def _keep_integers(
    ctx: torch.autograd.function.FunctionCtx, inputs: tuple[object, ...], output: Tensor
) -> None:
    x, scale, zero_point, ctx.axis, ctx.block_size, _ = inputs
    ctx.save_for_backward(x, scale, zero_point)


def _scale_gradient(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, scale, zero_point = ctx.saved_tensors
    ones = torch.ones_like(scale)
    integers = _dequantize(x, ones, zero_point, ctx.axis, ctx.block_size, "")
    with torch.enable_grad():
        leaf = scale.detach().requires_grad_()
        wide = spread(leaf, x, ctx.axis, ctx.block_size).expand_as(x)
        (found,) = torch.autograd.grad(wide, leaf, grad * integers)
    return None, found, None, None, None, None


_dequantize.register_autograd(_scale_gradient, setup_context=_keep_integers)


def _fake_quantize_kernel(
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor | None,
    dtype: str,
    axis: int,
    block_size: int,
    saturate: bool,
) -> Tensor:
    integers = _quantize(x, scale, zero_point, dtype, axis, block_size, saturate)
    return _dequantize(integers, scale, zero_point, axis, block_size, dtype)


def _fake_quantize_shape(
    x: Tensor,
    scale: Tensor,
    zero_point: Tensor | None,
    dtype: str,
    axis: int,
    block_size: int,
    saturate: bool,
) -> Tensor:
    return torch.empty_like(x, dtype=scale.dtype)


_fake_quantize: Any = custom_op("graphopt::fake_quantize", _fake_quantize_kernel, mutates_args=())
_fake_quantize.register_fake(_fake_quantize_shape)


def _keep_range(ctx: torch.autograd.function.FunctionCtx, inputs: tuple[object, ...], output: Tensor) -> None:
    x, scale, zero_point, dtype, axis, block_size, _ = inputs
    assert isinstance(x, Tensor) and isinstance(scale, Tensor) and isinstance(dtype, str)
    assert isinstance(axis, int) and isinstance(block_size, int)
    assert zero_point is None or isinstance(zero_point, Tensor)
    if dtype in RANGES:
        low, high = RANGES[dtype]
        rounded = _rounded(x, scale, zero_point, axis, block_size)
        within = (low <= rounded) & (rounded <= high)
    else:
        within = _scaled(x, scale, axis, block_size).abs() <= torch.finfo(held_as(dtype)).max
    ctx.save_for_backward(within)
    ctx.dtype = x.dtype


def _straight_through(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
    (within,) = ctx.saved_tensors
    return (grad * within).to(ctx.dtype), None, None, None, None, None, None


_fake_quantize.register_autograd(_straight_through, setup_context=_keep_range)
