"""Quantization: QuantizeLinear and DequantizeLinear, alone and as pairs, which become fake-quantization."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
from torch import fx

from graphopt.errors import TranslationError
from graphopt.ir import constant
from graphopt.pytorch.exporter.dtypes import torch_dtype
from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.functional import quantization as functions

CONTRIB = "com.microsoft"

QUANTIZED: dict[ir.DataType, str] = {
    ir.DataType.INT2: "int2",
    ir.DataType.UINT2: "uint2",
    ir.DataType.INT4: "int4",
    ir.DataType.UINT4: "uint4",
    ir.DataType.INT8: "int8",
    ir.DataType.UINT8: "uint8",
    ir.DataType.INT16: "int16",
    ir.DataType.UINT16: "uint16",
    ir.DataType.INT32: "int32",
    ir.DataType.FLOAT8E4M3FN: "float8_e4m3fn",
    ir.DataType.FLOAT8E4M3FNUZ: "float8_e4m3fnuz",
    ir.DataType.FLOAT8E5M2: "float8_e5m2",
    ir.DataType.FLOAT8E5M2FNUZ: "float8_e5m2fnuz",
}
"""Types to quantize to, as the functions call them."""

_LESS_THAN_A_BYTE = {ir.DataType.INT2, ir.DataType.UINT2, ir.DataType.INT4, ir.DataType.UINT4}


@translates("QuantizeLinear")
@translates("QuantizeLinear", domain=CONTRIB)
def quantize_linear(site: Site) -> fx.Node | None:
    """Nothing where only its inverse reads it: that becomes one call with it."""
    if _is_undone(site.node):
        return None
    return site.call(functions.quantize, site.tensor(0), *_parameters(site), **_quantizing(site))


@translates("DequantizeLinear")
@translates("DequantizeLinear", domain=CONTRIB)
def dequantize_linear(site: Site) -> fx.Node:
    to = _result_type(site)
    source = site.node.inputs[0]
    before = None if source is None else source.producer()
    if before is not None and _is_undone(before):
        quantizing = Site(site.emitter, before)
        x = quantizing.tensor(0)
        parameters = _parameters(quantizing)
        y = site.emitter.shared(
            ("fake_quantize", before),
            lambda: quantizing.call(functions.fake_quantize, x, *parameters, **_quantizing(quantizing)),
        )
        return y if to is None else site.method("to", y, to)
    dtype = site.dtype(0)
    held = QUANTIZED[dtype] if dtype in _LESS_THAN_A_BYTE else None
    return site.call(
        functions.dequantize, site.tensor(0), *_parameters(site), **_layout(site), dtype=held, to=to
    )


def quantized_type(site: Site, zero_point: int | None) -> str:
    """What a node quantizes to: the type of its zero point, or of its result, or what an attribute says.

    Raises:
        TranslationError: PyTorch holds no such numbers.
    """
    named = site.attribute("output_dtype", 0)
    found = None if zero_point is None else site.dtype(zero_point)
    dtype = found or site.node.outputs[0].dtype or (ir.DataType(named) if named else ir.DataType.UINT8)
    if dtype not in QUANTIZED:
        raise TranslationError(f"PyTorch has no numbers of type {dtype.name}")
    return QUANTIZED[dtype]


def _quantizing(site: Site) -> dict[str, Any]:
    dtype = quantized_type(site, 2)
    saturate = None if site.attribute("saturate", 1) else False
    if site.attribute("precision", 0) not in (0, ir.DataType.FLOAT):
        site.refuse("it divides in another precision than float32")
    return {"dtype": dtype, **_layout(site), "saturate": saturate}


def _layout(site: Site) -> dict[str, Any]:
    """The axis and size of blocks, where the scale is more than one number and they are not the defaults."""
    shape = site.shape(1)
    if shape is not None and all(size == 1 for size in shape) and not site.attribute("block_size", 0):
        return {}
    axis, block_size = site.attribute("axis", 1), site.attribute("block_size", 0)
    return {"axis": None if axis == 1 else axis, "block_size": block_size or None}


def _parameters(site: Site) -> list[fx.Node | None]:
    """The scale, and the zero point unless it is left out or 0."""
    zero_point = site.constant(2)
    if not site.has(2) or (zero_point is not None and not zero_point.astype("f4").any()):
        return [site.tensor(1)]
    return [site.tensor(1), site.tensor(2)]


def _result_type(site: Site) -> Any:
    """The type to cast the result of dequantizing to; None where it is the scale's."""
    named = site.attribute("output_dtype", 0)
    if not named or ir.DataType(named) == site.dtype(1):
        return None
    return torch_dtype(ir.DataType(named))


def _is_undone(node: ir.Node) -> bool:
    """Whether a node quantizes, and all that reads it dequantizes by the same scale and zero point."""
    if node.op_type != "QuantizeLinear" or node.domain not in ("", CONTRIB):
        return False
    quantized = node.outputs[0]
    uses = quantized.uses()
    if quantized.is_graph_output() or not uses:
        return False
    return all(use.idx == 0 and _is_inverse(use.node, node) for use in uses)


def _is_inverse(node: ir.Node, of: ir.Node) -> bool:
    if node.op_type != "DequantizeLinear" or node.domain != of.domain or node.graph is not of.graph:
        return False
    names = ("axis", "block_size")
    if any(_number(node, name) != _number(of, name) for name in names):
        return False
    return all(_same(_input(node, i), _input(of, i)) for i in (1, 2))


def _same(a: ir.Value | None, b: ir.Value | None) -> bool:
    if a is b:
        return True
    x, y = constant(a), constant(b)
    if x is None or y is None:
        return False
    return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()


def _number(node: ir.Node, name: str) -> int | None:
    found = node.attributes.get(name)
    return None if found is None else found.as_int()


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None
