"""QuantizeLinear, DequantizeLinear, and the operators that have these built in: QLinearConv and its like.

The latter are lowered as what stands inside between a DequantizeLinear and a QuantizeLinear.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from graphopt.ir import attribute_float, attribute_int
from graphopt.native.lower.forms import Codes, Form, Grid, Known, Stored
from graphopt.native.lower.ops import elementwise, pools, products, rows, views
from graphopt.native.lower.scope import Scope, Unsupported

_TYPES = {ir.DataType.UINT8: "u8", ir.DataType.INT8: "s8"}


def quantize_linear(scope: Scope) -> Form:
    """Numbers to codes."""
    if attribute_int(scope.node, "precision", 0) not in (0, 1):
        raise Unsupported("a precision of its own")
    return scope.quantized(scope.form(0), _grid(scope, 1, 2, _code_type(scope)))


def dequantize_linear(scope: Scope) -> Form:
    """Codes to numbers."""
    form = scope.form(0)
    if isinstance(form, Known):
        return _constant(scope, form, 1, 2)
    if isinstance(form, Stored) and form.value.type == "s32":
        if scope.array(1).size != 1:
            raise Unsupported("a scale for each channel of a computed value")
        attributes = {
            "scale": scope.number(1),
            "zero": int(scope.number(2)) if scope.has(2) else 0,
            "layout": "same",
        }
        value = scope.step("dequantize", [form.value], attributes, "f32", form.value.dims)
        return Stored(value, form.order)
    return scope.dequantized(form, _grid(scope, 1, 2, None))


def q_linear_conv(scope: Scope) -> Form:
    """QLinearConv: x, its scale and zero point, w, its, y's, bias as int32."""
    x = _operand(scope, 0)
    w = _constant(scope, scope.form(3), 4, 5)
    result = products.convolve(scope, x, w, scope.form(8) if scope.has(8) else None)
    return scope.quantized(result, _grid(scope, 6, 7, None))


def q_linear_matmul(scope: Scope) -> Form:
    """QLinearMatMul: a, b and y, each with scale and zero point behind it."""
    b = scope.form(3)
    other = _constant(scope, b, 4, 5) if isinstance(b, Known) else _operand(scope, 3)
    result = products.multiply(scope, _operand(scope, 0), other, None)
    return scope.quantized(result, _grid(scope, 6, 7, None))


def q_gemm(scope: Scope) -> Form:
    """QGemm of com.microsoft: a, b, bias as int32, y's scale and zero point, which may be missing."""
    node = scope.node
    if attribute_float(node, "alpha", 1.0) != 1 or attribute_int(node, "transA", 0):
        raise Unsupported("alpha that is not 1, or a first operand that is transposed")
    b = scope.form(3)
    other = _constant(scope, b, 4, 5) if isinstance(b, Known) else _operand(scope, 3)
    bias = scope.form(6) if scope.has(6) else None
    result = products.multiply(scope, _operand(scope, 0), other, bias, attribute_int(node, "transB", 0))
    return scope.quantized(result, _grid(scope, 7, 8, None)) if scope.has(7) else result


def q_linear_binary(scope: Scope) -> Form:
    """QLinearAdd and QLinearMul of com.microsoft: a, b and y."""
    op = "add" if scope.node.op_type == "QLinearAdd" else "mul"
    result = elementwise.combined(scope, op, _operand(scope, 0), _operand(scope, 3), scope.output_dims())
    return scope.quantized(result, _grid(scope, 6, 7, None))


def q_linear_unary(scope: Scope) -> Form:
    """QLinearSigmoid and QLinearLeakyRelu of com.microsoft: x and y."""
    if scope.node.op_type == "QLinearSigmoid":
        result = elementwise.mapped(scope, _operand(scope, 0), "sigmoid", {})
    else:
        alpha = attribute_float(scope.node, "alpha", 0.01)
        result = elementwise.mapped(scope, _operand(scope, 0), "leaky_relu", {"alpha": alpha})
    return scope.quantized(result, _grid(scope, 3, 4, None))


def q_linear_pool(scope: Scope) -> Form:
    """QLinearGlobalAveragePool and QLinearAveragePool of com.microsoft: x and y."""
    last = bool(attribute_int(scope.node, "channels_last", 0))
    if last:
        raise Unsupported("channels that are last in the graph")
    whole = scope.node.op_type == "QLinearGlobalAveragePool"
    pool = pools.pooled_whole if whole else pools.averaged
    return scope.quantized(pool(scope, _operand(scope, 0)), _grid(scope, 3, 4, None))


def q_linear_concat(scope: Scope) -> Form:
    """QLinearConcat of com.microsoft: y's scale and zero point, then each operand with its."""
    operands = [_operand(scope, index) for index in range(2, len(scope.node.inputs), 3)]
    return scope.quantized(views.joined(scope, operands), _grid(scope, 0, 1, None))


def q_linear_softmax(scope: Scope) -> Form:
    """QLinearSoftmax of com.microsoft: x and y."""
    result = rows.softmaxed(scope, _operand(scope, 0), attribute_int(scope.node, "axis", -1))
    return scope.quantized(result, _grid(scope, 3, 4, None))


def _operand(scope: Scope, index: int) -> Form:
    """The numbers behind codes with scale and zero point as the next two inputs."""
    form = scope.form(index)
    if isinstance(form, Known):
        return _constant(scope, form, index + 1, index + 2)
    return scope.dequantized(form, _grid(scope, index + 1, index + 2, None))


def _grid(scope: Scope, scale: int, zero: int, kind: str | None) -> Grid:
    """The grid of a tensor of activations: one scale for all of it."""
    array = scope.array(scale)
    if array.size != 1:
        raise Unsupported("an activation with a scale for each channel or block")
    if array.dtype != np.float32:
        raise Unsupported(f"a scale of type {array.dtype}")
    number = float(array.reshape(())[()])
    if not np.isfinite(number) or number <= 0:
        raise Unsupported(f"a scale of {number}")
    if not scope.has(zero):
        return Grid(kind or "u8", number, 0)
    point = scope.array(zero)
    kinds = {np.dtype(np.uint8): "u8", np.dtype(np.int8): "s8"}
    if point.dtype not in kinds or point.size != 1:
        raise Unsupported(f"codes of type {point.dtype}")
    return Grid(kinds[point.dtype], number, int(point.reshape(())[()]))


def _code_type(scope: Scope) -> str | None:
    kind = scope.node.outputs[0].dtype
    if kind is not None and kind not in _TYPES:
        raise Unsupported(f"codes of type {kind.name.lower()}")
    return None if kind is None else _TYPES[kind]


def _constant(scope: Scope, form: Form, scale: int, zero: int) -> Known:
    """A constant that is stored as codes, with the numbers these stand for."""
    if not isinstance(form, Known):
        raise Unsupported("its weights are computed")
    codes = form.array
    if codes.dtype not in (np.dtype(np.uint8), np.dtype(np.int8), np.dtype(np.int32)):
        raise Unsupported(f"constant codes of type {codes.dtype}")
    if attribute_int(scope.node, "block_size", 0):
        raise Unsupported("scales for blocks")
    scales = scope.array(scale)
    if scales.dtype != np.float32 or scales.ndim > 1:
        raise Unsupported("scales that are not one, or one for each channel, in float32")
    zeros = scope.array(zero) if scope.has(zero) else np.zeros(scales.shape, codes.dtype)
    zeros = np.broadcast_to(zeros.astype(np.int32), scales.shape)
    axis = attribute_int(scope.node, "axis", 1) if scope.node.op_type == "DequantizeLinear" else 0
    if scope.node.op_type in ("QLinearMatMul", "QGemm") and scales.size > 1:
        axis = 0 if attribute_int(scope.node, "transB", 0) else codes.ndim - 1
    axis = axis + codes.ndim if axis < 0 else axis
    if scales.size > 1 and (axis >= codes.ndim or codes.shape[axis] != scales.size):
        raise Unsupported("as many scales as its axis has elements were expected")
    shape = [scales.size if place == axis and scales.size > 1 else 1 for place in range(codes.ndim)]
    centred = codes.astype(np.int64) - zeros.reshape(shape)
    numbers = (centred.astype(np.float32) * scales.reshape(shape)).astype(np.float32)
    return Known(numbers, Codes(codes, scales.reshape(-1), zeros.reshape(-1), axis))


MICROSOFT: Mapping[str, Callable[[Scope], Form]] = {
    "QuantizeLinear": quantize_linear,
    "DequantizeLinear": dequantize_linear,
    "QLinearAdd": q_linear_binary,
    "QLinearMul": q_linear_binary,
    "QLinearSigmoid": q_linear_unary,
    "QLinearLeakyRelu": q_linear_unary,
    "QLinearGlobalAveragePool": q_linear_pool,
    "QLinearAveragePool": q_linear_pool,
    "QLinearConcat": q_linear_concat,
    "QLinearSoftmax": q_linear_softmax,
    "QGemm": q_gemm,
}
"""Operators of com.microsoft."""
