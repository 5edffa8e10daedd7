"""Quantization as models hold it: scales for a tensor, for channels and for blocks, of 8 and 4 bits."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import Unfit, recipe
from graphopt.testing.generate.recipes._parts import typed

BYTES = (ir.DataType.UINT8, ir.DataType.INT8)
SMALL = (*BYTES, ir.DataType.INT4, ir.DataType.UINT4)


@recipe("QuantizeLinear", weight=6)
def quantize(b: Builder, op_type: str) -> None:
    """To bytes and most often back, where the steps do no harm."""
    if not b.specials:
        raise Unfit("quantized values jump")
    x = typed(b, ir.DataType.FLOAT)
    scale, zero, axis = _grid(b, x.shape, b.choices.choose(_types(b)))
    of_channels = axis if scale.rank else None
    y = b.op(op_type, x, scale, zero, axis=of_channels)
    if b.choices.chance(0.7):
        b.op("DequantizeLinear", y, scale, zero, axis=of_channels)


@recipe("DequantizeLinear", weight=8)
def dequantize(b: Builder, op_type: str) -> None:
    """Of a constant weight, as a tensor, by channels or in blocks."""
    dtype = b.choices.choose(_types(b))
    shape = [4, *b.shape(b.choices.choose((1, 3, 0)))]
    weight = b.floats(shape, dtype)
    if b.opset >= 21 and b.choices.chance(0.3):
        scale = b.floats([2, *shape[1:]], positive=True)
        zero = b.floats(scale.shape, dtype) if b.choices.chance(0.5) else None
        b.op(op_type, weight, scale, zero, axis=0, block_size=2)
        return
    scale, zero, axis = _grid(b, shape, dtype)
    b.op(op_type, weight, scale, zero, axis=axis if scale.rank else None)


@recipe("DynamicQuantizeLinear", weight=3)
def dynamic(b: Builder, op_type: str) -> None:
    """Scales found at run time."""
    if not b.specials:
        raise Unfit("quantized values jump")
    b.op(op_type, typed(b, ir.DataType.FLOAT), outputs=3)


def _types(b: Builder) -> tuple[ir.DataType, ...]:
    return SMALL if b.opset >= 21 else BYTES


def _grid(
    b: Builder, shape: tuple[int, ...] | list[int], dtype: ir.DataType
) -> tuple[Known, Known | None, int]:
    """Scale, zero point or none (which means bytes without sign), and the axis of the channels."""
    axis = b.choices.integer(0, max(len(shape) - 1, 0))
    channels = b.opset >= 13 and len(shape) > 0 and b.choices.chance(0.4)
    length = [shape[axis]] if channels else []
    if dtype == ir.DataType.UINT8 and b.choices.chance(0.2):
        return b.floats(length, positive=True), None, axis
    zero = b.constant(np.full(length, b.choices.choose((0, 3)), dtype.numpy()))
    return b.floats(length, positive=True), zero, axis
