"""The ONNX form of the quantization operators of `graphopt.pytorch.functional`: the nodes they came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import onnx_ir as ir
import torch
from onnxscript import opset13, opset21

from graphopt.ir import nodes
from graphopt.ir.opsets import raise_opset
from graphopt.pytorch.functional import integers, quantization

_TYPES = {
    "int2": ir.DataType.INT2,
    "uint2": ir.DataType.UINT2,
    "int4": ir.DataType.INT4,
    "uint4": ir.DataType.UINT4,
    "int8": ir.DataType.INT8,
    "uint8": ir.DataType.UINT8,
    "int16": ir.DataType.INT16,
    "uint16": ir.DataType.UINT16,
    "int32": ir.DataType.INT32,
    "float8_e4m3fn": ir.DataType.FLOAT8E4M3FN,
    "float8_e4m3fnuz": ir.DataType.FLOAT8E4M3FNUZ,
    "float8_e5m2": ir.DataType.FLOAT8E5M2,
    "float8_e5m2fnuz": ir.DataType.FLOAT8E5M2FNUZ,
}
_BYTES = {"int8", "uint8"}
_HELD_IN_A_BYTE = {"int2", "uint2", "int4", "uint4"}
_NEWEST_OPSET = 21
"""The one of blocks, and of types that are not a byte."""


def translations() -> Mapping[Callable[..., Any], Callable[..., Any]]:
    """Translation of each operator, for `torch.onnx.export(custom_translation_table=...)`."""
    assert quantization and integers  # their import defines the operators
    table: dict[str, Callable[..., Any]] = {
        "quantize": _quantize,
        "dequantize": _dequantize,
        "fake_quantize": _fake_quantize,
        "dynamic_quantize": _dynamic_quantize,
        "matmul_integer": _matmul_integer,
        "conv_integer": _conv_integer,
    }
    return {getattr(torch.ops.graphopt, name).default: function for name, function in table.items()}


def settle_opset(model: ir.Model) -> None:
    """Raise a model to the opset that its quantized types and blocks need."""
    if any(node.op_type in _QUANTIZING and "block_size" in node.attributes for node in nodes(model)):
        raise_opset(model, max(_NEWEST_OPSET, model.opset_imports.get("", _NEWEST_OPSET)))


_QUANTIZING = {"QuantizeLinear", "DequantizeLinear"}


def _quantize(
    x: Any, scale: Any, zero_point: Any, dtype: str, axis: int, block_size: int, saturate: bool
) -> Any:
    quantized = _quantized(x, scale, zero_point, dtype, axis, block_size, saturate)
    if dtype in _HELD_IN_A_BYTE:
        return opset21.Cast(quantized, to=ir.DataType.INT8 if dtype.startswith("int") else ir.DataType.UINT8)
    return quantized


def _fake_quantize(
    x: Any, scale: Any, zero_point: Any, dtype: str, axis: int, block_size: int, saturate: bool
) -> Any:
    quantized = _quantized(x, scale, zero_point, dtype, axis, block_size, saturate)
    return _dequantized(quantized, scale, zero_point, axis, block_size, dtype)


def _dequantize(x: Any, scale: Any, zero_point: Any, axis: int, block_size: int, dtype: str) -> Any:
    if dtype in _HELD_IN_A_BYTE:
        x = opset21.Cast(x, to=_TYPES[dtype])
    return _dequantized(x, scale, zero_point, axis, block_size, dtype)


def _quantized(
    x: Any, scale: Any, zero_point: Any, dtype: str, axis: int, block_size: int, saturate: bool
) -> Any:
    zero_point = _as_narrow(zero_point, dtype)
    if dtype in _BYTES and not block_size and (zero_point is not None or dtype == "uint8"):
        return opset13.QuantizeLinear(x, scale, zero_point, axis=axis)
    options: dict[str, Any] = {} if zero_point is not None else {"output_dtype": _TYPES[dtype]}
    return opset21.QuantizeLinear(
        x, scale, zero_point, axis=axis, block_size=block_size, saturate=int(saturate), **options
    )


def _dequantized(x: Any, scale: Any, zero_point: Any, axis: int, block_size: int, dtype: str) -> Any:
    zero_point = _as_narrow(zero_point, dtype)
    is_old = not block_size and x.dtype in (ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT32)
    if dtype in _BYTES or (is_old and dtype not in _TYPES):
        return opset13.DequantizeLinear(x, scale, zero_point, axis=axis)
    return opset21.DequantizeLinear(x, scale, zero_point, axis=axis, block_size=block_size)


def _as_narrow(zero_point: Any, dtype: str) -> Any:
    """A zero point of less than a byte, which PyTorch held in one."""
    if zero_point is None or dtype not in _HELD_IN_A_BYTE:
        return zero_point
    return opset21.Cast(zero_point, to=_TYPES[dtype])


def _dynamic_quantize(x: Any) -> Any:
    return opset13.DynamicQuantizeLinear(x)


def _matmul_integer(a: Any, b: Any, a_zero_point: Any, b_zero_point: Any) -> Any:
    return opset13.MatMulInteger(a, b, a_zero_point, b_zero_point)


def _conv_integer(
    x: Any,
    w: Any,
    x_zero_point: Any,
    w_zero_point: Any,
    stride: list[int],
    pads: list[int],
    dilation: list[int],
    groups: int,
) -> Any:
    return opset13.ConvInteger(
        x,
        w,
        x_zero_point,
        w_zero_point,
        strides=list(stride),
        pads=list(pads),
        dilations=list(dilation),
        group=groups,
    )
