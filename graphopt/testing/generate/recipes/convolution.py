"""Convolutions of rank 3 to 5: groups, dilations, every kind of padding, weights that may be shared."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import recipe
from graphopt.testing.generate.recipes._parts import typed, window

RANKS = (4, 3, 5)
_RANK_WEIGHTS = (6, 3, 1)


def image(b: Builder, kinds: str = "f") -> Known:
    """A tensor of a batch, channels and one to three more dimensions."""
    return b.pick(kinds, b.choices.weighted(RANKS, _RANK_WEIGHTS))


def filters(b: Builder, x: Known, *, transposed: bool = False) -> tuple[list[int], int, int]:
    """Shape of a weight for `x`, the number of groups, and of channels that come out."""
    channels = x.shape[1]
    group = max(channels, 1) if b.choices.chance(0.25) else 1
    outputs = group * b.choices.choose((1, 2, 3))
    shape = [channels, outputs // group] if transposed else [outputs, channels // group]
    kernel = [b.choices.weighted((1, 3, 2), (5, 4, 2)) for _ in range(x.rank - 2)]
    return [*shape, *kernel], group, outputs


@recipe("Conv", weight=30)
def conv(b: Builder, op_type: str) -> None:
    """With or without a bias; the weight is now and then computed."""
    x = image(b)
    shape, group, outputs = filters(b, x)
    bias = b.floats([outputs], x.dtype) if b.choices.chance(0.5) else None
    weight = b.floats(shape, x.dtype)
    if b.choices.chance(0.05):
        weight = b.op("Neg", weight)
    b.op(op_type, x, weight, bias, group=group, **window(b, shape[2:]))


@recipe("ConvTranspose")
def conv_transpose(b: Builder, op_type: str) -> None:
    """With or without a bias, and an output that may be larger than need be."""
    x = image(b)
    shape, group, outputs = filters(b, x, transposed=True)
    bias = b.floats([outputs], x.dtype) if b.choices.chance(0.5) else None
    more = window(b, shape[2:])
    if "strides" in more and b.choices.chance(0.3):
        more["output_padding"] = [stride - 1 for stride in more["strides"]]
    b.op(op_type, x, b.floats(shape, x.dtype), bias, group=group, **more)


@recipe("ConvInteger", weight=3)
def conv_integer(b: Builder, op_type: str) -> None:
    """Of bytes, with or without zero points."""
    x = _bytes_image(b)
    shape, group, _ = filters(b, x)
    weight = b.floats(shape, b.choices.choose((x.dtype, ir.DataType.INT8)))
    zero = b.constant(np.array(1, x.array.dtype)) if b.choices.chance(0.5) else None
    b.op(op_type, x, weight, zero, group=group, **window(b, shape[2:]))


@recipe("QLinearConv", weight=3)
def qlinear_conv(b: Builder, op_type: str) -> None:
    """Of bytes, with a scale for the tensor or for each channel."""
    x = _bytes_image(b)
    shape, group, outputs = filters(b, x)
    weight = b.floats(shape, ir.DataType.INT8)
    per_channel = [outputs] if b.choices.chance(0.4) else []
    scale = b.floats([], positive=True)
    zero = b.constant(np.array(2, x.array.dtype))
    weight_zero = b.constant(np.zeros(per_channel, np.int8))
    bias = b.ints([3] * outputs, ir.DataType.INT32) if b.choices.chance(0.5) else None
    operands = (x, scale, zero, weight, b.floats(per_channel, positive=True), weight_zero, scale, zero, bias)
    b.op(op_type, *operands, group=group, **window(b, shape[2:]))


def _bytes_image(b: Builder) -> Known:
    dtype = b.choices.choose((ir.DataType.UINT8, ir.DataType.INT8))
    return typed(b, dtype, 4)
