"""Convolutional networks: convolutions with what stands around them, blocks of pixels, pyramids."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import recipe
from graphopt.testing.generate.recipes._parts import typed
from graphopt.testing.generate.recipes.convolution import image
from graphopt.testing.generate.recipes.idioms._near import add, choice, mul, step
from graphopt.testing.generate.recipes.idioms.activations import bounded
from graphopt.testing.generate.recipes.pieces import pad_value

ACTIVATIONS = ("Relu", "Clip", "LeakyRelu", "Sigmoid", "HardSwish", "Tanh", "HardSigmoid")


@recipe("Conv", weight=20)
def conv_block(b: Builder, op_type: str) -> None:
    """A convolution, BatchNormalization or scale and bias, an activation, and a sum with what went in."""
    x = image(b)
    y = _conv(b, x, b.choices.choose((x.shape[1], 4, 1)), b.choices.weighted((1, 3), (3, 2)))
    way = b.choices.weighted(("batch norm", "affine", "none"), (4, 3, 2))
    if way == "batch norm":
        y = _batch_norm(b, step(b, y))
    elif way == "affine":
        shape = [y.shape[1], *[1] * (y.rank - 2)]
        y = add(b, mul(b, y, b.floats(shape, y.dtype)), b.floats(shape, y.dtype))
    if b.choices.chance(0.6):
        y = _activated(b, y)
    if y.shape == x.shape and b.choices.chance(0.4):
        add(b, y, x)


@recipe("Conv", weight=8)
def convs_in_a_row(b: Builder, op_type: str) -> None:
    """Two convolutions, one or both of single pixels, now and then behind a BatchNormalization."""
    x = image(b)
    if b.choices.chance(0.3):
        x = _batch_norm(b, x)
    first, second = b.choices.choose(((1, 1), (3, 1), (1, 3)))
    middle = b.choices.choose((6, 2, x.shape[1]))
    _conv(b, step(b, _conv(b, x, middle, first)), b.choices.choose((2, 4)), second)


@recipe("Pad", weight=10)
def pad_before(b: Builder, op_type: str) -> None:
    """A Pad in front of a convolution or a pool, of zero or what the pool ignores."""
    x = b.pick(rank=4)
    sides = [b.choices.choose((1, 0, 2)) for _ in range(4)]
    pads = [0, choice(b, 0, 1), *sides[:2], 0, 0, *sides[2:]]
    behind = b.choices.weighted(("Conv", "MaxPool", "AveragePool"), (4, 1, 1))
    more: dict[str, Any] = {}
    if behind == "MaxPool" or b.choices.chance(0.3):
        lowest = -np.inf if b.specials else -9.0
        more = pad_value(b, x, b.choices.choose((0.0, lowest)))
    y = step(b, b.op(op_type, x, pads=pads, **more))
    if behind == "Conv":
        _conv(b, y, 2, 3, padding=b.choices.choose((0, 1)))
    else:
        b.op(behind, y, kernel_shape=[3, 3], count_include_pad=1 if behind == "AveragePool" else None)


@recipe("Reshape", weight=8)
def depth_by_views(b: Builder, op_type: str) -> None:
    """Pixels to channels or back, by Reshape, Transpose, Reshape; a convolution behind."""
    height, width, channels = b.choices.choose((4, 2)), b.choices.choose((2, 4)), b.choices.choose((1, 2))
    batch = b.choices.choose((1, 2))
    if b.choices.chance(0.5):
        x = b.new(ir.DataType.FLOAT, [batch, channels, height, width])
        split = [batch, channels, height // 2, 2, width // 2, 2]
        order = b.choices.choose(([0, 1, 3, 5, 2, 4], [0, 3, 5, 1, 2, 4], [0, 5, 3, 1, 2, 4]))
        result = [batch, 4 * channels, height // 2, width // 2]
    else:
        x = b.new(ir.DataType.FLOAT, [batch, 4 * channels, height, width])
        form = b.choices.choose(((channels, 2, 2), (2, 2, channels)))
        split = [batch, *form, height, width]
        order = [0, 1, 4, 2, 5, 3] if form[0] == channels else [0, 3, 4, 1, 5, 2]
        result = [batch, channels, 2 * height, 2 * width]
    y = b.op("Transpose", step(b, b.op(op_type, x, b.ints(split))), perm=order)
    y = b.op(op_type, y, b.ints(result))
    if b.choices.chance(0.5):
        _conv(b, y, 2, 1)


@recipe("SpaceToDepth", weight=6)
def depth_by_slices(b: Builder, op_type: str) -> None:
    """Every second pixel four times, joined, or as one operator; a convolution behind."""
    x = b.new(ir.DataType.FLOAT, [1, b.choices.choose((1, 2)), 4, 4])
    if b.choices.chance(0.4):
        y = b.op(op_type, x, blocksize=2)
    else:
        places = [(0, 0), (1, 0), (0, 1), (1, 1)]
        parts = [_every_second(b, _every_second(b, x, 2, row), 3, column) for row, column in places]
        y = b.op("Concat", *parts, axis=1)
    if b.choices.chance(0.7):
        _conv(b, y, 2, b.choices.choose((1, 3)))


@recipe("Conv", weight=6)
def quantized_conv(b: Builder, op_type: str) -> None:
    """A convolution between Dequantize and Quantize, its weight of bytes."""
    x = typed(b, ir.DataType.UINT8, 4)
    scale, zero = b.floats([], positive=True), b.constant(np.array(3, np.uint8))
    shape = [2, x.shape[1], 3, 3]
    of_weight = b.constant(np.array(0, np.int8))
    weight = b.op("DequantizeLinear", b.floats(shape, ir.DataType.INT8), scale, of_weight)
    y = b.op(op_type, b.op("DequantizeLinear", x, scale, zero), weight, pads=[1, 1, 1, 1])
    if b.choices.chance(0.5):
        y = b.op("Relu", y)
    if b.specials:
        b.op("QuantizeLinear", y, scale, zero)


def _conv(b: Builder, x: Known, outputs: int, size: int, padding: int | None = None) -> Known:
    kernel = [size] * (x.rank - 2)
    pads = [size // 2 if padding is None else padding] * (2 * len(kernel))
    bias = b.floats([outputs], x.dtype) if b.choices.chance(0.5) else None
    return b.op("Conv", x, b.floats([outputs, x.shape[1], *kernel], x.dtype), bias, pads=pads)


def _batch_norm(b: Builder, x: Known) -> Known:
    parameters = [b.floats([x.shape[1]], x.dtype) for _ in range(3)]
    return b.op("BatchNormalization", x, *parameters, b.floats([x.shape[1]], x.dtype, positive=True))


def _activated(b: Builder, x: Known) -> Known:
    kind = b.choices.choose(ACTIVATIONS)
    return bounded(b, x, 0.0, 6.0) if kind == "Clip" else b.op(kind, step(b, x))


def _every_second(b: Builder, x: Known, axis: int, start: int) -> Known:
    return b.op("Slice", x, starts=[start], ends=[1 << 62], axes=[axis], steps=[choice(b, 2, 1)])
