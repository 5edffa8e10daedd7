"""Convolutions and matrix products of codes, and of floats with weights in codes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from graphopt.ir import attribute_float, attribute_int, attribute_ints, attribute_string
from graphopt.native.lower.forms import Codes, Form, Grid, Known, Pending, Stored
from graphopt.native.lower.scope import Scope, Unsupported, channels_last, identity, known
from graphopt.native.lower.steps import Array, Dims, Value

_INT32 = np.iinfo(np.int32)
_BYTE = 8
_LEAST_BLOCK = 16


def conv(scope: Scope) -> Form:
    """Conv with its operands behind DequantizeLinear."""
    return convolve(scope, scope.form(0), scope.form(1), scope.form(2) if scope.has(2) else None)


def convolve(scope: Scope, x: Form, w: Form, b: Form | None) -> Form:
    """A convolution of images with constant weights [O, I / groups, spatial axes]."""
    node = scope.node
    weights = _weights(w, 0)
    data, grid = scope.coded(x)
    rank = weights.array.ndim
    if rank not in (3, 4):
        raise Unsupported(f"a convolution over {rank - 2} spatial axes")
    attributes, pads = _window(scope, rank, weights.array.shape[2:])
    groups = attribute_int(node, "group", 1)
    if attribute_string(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        pads = _same_pads(scope, data.dims, attributes, weights.array.shape[2:])
    array = np.moveaxis(weights.array, 1, -1)
    attributes |= {
        "weights": np.ascontiguousarray(array if rank == 4 else array[:, None]),
        "pads": pads,
        "groups": groups,
        **_constants(grid, weights, b),
    }
    return _images(scope, "conv", data, attributes, rank)


def conv_transpose(scope: Scope) -> Form:
    """ConvTranspose with its operands behind DequantizeLinear; weights [I, O / groups, spatial axes]."""
    node = scope.node
    groups = attribute_int(node, "group", 1)
    weights = _weights(scope.form(1), 1)
    if groups != 1 and weights.scale.size > 1:
        raise Unsupported("weights of a grouped ConvTranspose with a scale for each channel")
    data, grid = scope.coded(scope.form(0))
    rank = weights.array.ndim
    if rank not in (3, 4):
        raise Unsupported(f"a convolution over {rank - 2} spatial axes")
    if attribute_ints(node, "output_shape") or attribute_string(node, "auto_pad", "NOTSET") != "NOTSET":
        raise Unsupported("padding that depends on the sizes of images")
    attributes, pads = _window(scope, rank, weights.array.shape[2:])
    extra = attribute_ints(node, "output_padding") or [0] * (rank - 2)
    # [I, O / g, ...] -> [g, I / g, O / g, ...] -> [g, O / g, ..., I / g] -> [O, ..., I / g].
    array = weights.array.reshape(groups, -1, *weights.array.shape[1:])
    array = np.moveaxis(array, 1, -1)
    array = array.reshape(-1, *array.shape[2:])
    weights = Codes(array, weights.scale, weights.zero, 0)
    attributes |= {
        "weights": np.ascontiguousarray(array if rank == 4 else array[:, None]),
        "pads": pads,
        "groups": groups,
        "output_padding": extra if rank == 4 else [0, *extra],
        **_constants(grid, weights, scope.form(2) if scope.has(2) else None),
    }
    return _images(scope, "conv_transpose", data, attributes, rank)


def matmul(scope: Scope) -> Form:
    """MatMul with its operands behind DequantizeLinear."""
    return multiply(scope, scope.form(0), scope.form(1), None)


def gemm(scope: Scope) -> Form:
    """Gemm with its operands behind DequantizeLinear: alpha and beta 1, A as it is."""
    node = scope.node
    if attribute_float(node, "alpha", 1.0) != 1 or attribute_float(node, "beta", 1.0) != 1:
        raise Unsupported("alpha or beta of a Gemm that is not 1")
    if attribute_int(node, "transA", 0):
        raise Unsupported("a Gemm that transposes its first operand")
    return multiply(
        scope,
        scope.form(0),
        scope.form(1),
        scope.form(2) if scope.has(2) else None,
        attribute_int(node, "transB", 0),
    )


def multiply(scope: Scope, a: Form, b: Form, bias: Form | None, transposed: int = 0) -> Form:
    """A matrix product; `transposed`: b is [..., N, K]."""
    data, grid = scope.coded(a)
    rank = len(data.dims)
    if isinstance(b, Known) and b.array.ndim == 2:
        weights = _weights(b, 0 if transposed else 1)
        if not transposed:
            weights = Codes(np.ascontiguousarray(weights.array.T), weights.scale, weights.zero, 0)
        attributes = {"weights": weights.array, **_constants(grid, weights, bias)}
        data = scope.in_order(data, identity(rank))
        dims = (*data.dims[:-1], weights.array.shape[0])
        result = finished(scope, "gemm", [data.value], attributes, dims, identity(rank))
        if bias is not None:
            return result

        def biased(numbers: Array) -> Pending | None:
            if numbers.shape != dims[-1:]:
                return None
            codes = {**attributes, "bias": _bias(grid, weights, Known(numbers))}
            exact = finished(scope, "gemm", [data.value], codes, dims, identity(rank))
            added = {**attributes, "float_bias": np.ascontiguousarray(numbers)}
            rest = finished(scope, "gemm", [data.value], added, dims, identity(rank))
            return replace(exact, to_floats=rest.to_floats)

        return replace(result, biased=biased)
    if bias is not None:
        raise Unsupported("a Gemm of two computed operands with a bias")
    other, other_grid = scope.coded(b)
    if rank < 2 or len(other.dims) < 2:
        raise Unsupported("a product with a vector")
    data, other = scope.in_order(data, identity(rank)), scope.in_order(other, identity(len(other.dims)))
    attributes = {
        "a_scale": grid.scale,
        "a_zero": grid.zero,
        "b_scale": other_grid.scale,
        "b_zero": other_grid.zero,
        "transpose_b": transposed,
    }
    dims = scope.output_dims()
    return finished(scope, "matmul", [data.value, other.value], attributes, dims, identity(len(dims)))


def matmul_nbits(scope: Scope) -> Form:
    """MatMulNBits of floats with constant weights of 4 or 8 bits in blocks.

    Its `accuracy_level` is a lower bound: sums here are in float32.
    """
    node = scope.node
    depth, columns = attribute_int(node, "K", 0), attribute_int(node, "N", 0)
    bits, block = attribute_int(node, "bits", 4), attribute_int(node, "block_size", 0)
    if bits not in (4, 8):
        raise Unsupported(f"weights of {bits} bits")
    if block < _LEAST_BLOCK or block & (block - 1):
        raise Unsupported(f"blocks of {block}")
    if attribute_int(node, "weight_prepacked", 0):
        raise Unsupported("weights in an order that is onnxruntime's own")
    if scope.has(4):
        raise Unsupported("weights whose groups are in an order of their own")
    blocks = -(-depth // block)
    packed: dict[str, tuple[int, tuple[int, ...], type[np.generic]]] = {
        "weights": (1, (columns, blocks, block * bits // _BYTE), np.uint8),
        "scales": (2, (columns, blocks), np.float32),
    }
    if scope.has(3):
        packed["zeros"] = (3, (columns, -(-blocks * bits // _BYTE)), np.uint8)
    if scope.has(5):
        packed["bias"] = (5, (columns,), np.float32)
    attributes: dict[str, Any] = {"bits": bits, "block": block, "depth": depth}
    for name, (index, shape, dtype) in packed.items():
        array = scope.array(index)
        if array.dtype != dtype or array.size != np.prod(shape):
            raise Unsupported(f"{name} of type {array.dtype} and shape {list(array.shape)}")
        attributes[name] = np.ascontiguousarray(array).reshape(shape)
    order = identity(len(scope.dims(0)))
    data = scope.floats_in(scope.form(0), order)
    return Stored(
        scope.step("matmul_nbits", [data.value], attributes, "f32", (*data.dims[:-1], columns)), order
    )


def finished(
    scope: Scope,
    kind: str,
    inputs: list[Value],
    attributes: dict[str, Any],
    dims: Dims,
    order: tuple[int, ...],
    shaped: Callable[[Value], Stored] | None = None,
) -> Pending:
    """A product that is yet to be rounded, or not."""
    memory = tuple(dims[axis] for axis in order)
    node = scope.node

    def made(value: Value) -> Stored:
        return Stored(value, order) if shaped is None else shaped(value)

    def to_codes(grid: Grid, low: int, high: int) -> Stored:
        what = {**attributes, "y_type": grid.type, "y_scale": grid.scale, "y_zero": grid.zero}
        if (low, high) != (grid.low, grid.high):
            what |= {"y_low": low, "y_high": high}
        return made(scope.steps.add(kind, inputs, what, grid.type, memory, node.name or ""))

    def to_floats() -> Stored:
        return made(
            scope.steps.add(kind, inputs, {**attributes, "y_type": "f32"}, "f32", memory, node.name or "")
        )

    return Pending(dims, to_codes, to_floats)


def _images(scope: Scope, kind: str, data: Stored, attributes: dict[str, Any], rank: int) -> Pending:
    """A convolution; one of rows is one of images of height 1."""
    order = channels_last(rank)
    dims = scope.output_dims()
    data = scope.in_order(data, order)
    if rank == 4:
        return finished(scope, kind, [data.value], attributes, dims, order)
    n, length, channels = data.value.dims
    high = scope.reshaped(data.value, (n, 1, length, channels))
    flat = (dims[0], dims[2], dims[1])

    def shaped(value: Value) -> Stored:
        return Stored(scope.reshaped(value, flat), order)

    return finished(scope, kind, [high], attributes, (dims[0], dims[1], 1, dims[2]), channels_last(4), shaped)


def _weights(form: Form, axis: int) -> Codes:
    """Constant weights as int8, with a scale for all or one along `axis`."""
    if not isinstance(form, Known):
        raise Unsupported("its weights are computed, not constant")
    if form.codes is None:
        raise Unsupported("it is in float: its weights are not quantized")
    codes = form.codes
    if codes.scale.size > 1 and codes.axis != axis:
        raise Unsupported(f"the scales of its weights are along axis {codes.axis}, not {axis}")
    zero = np.broadcast_to(codes.zero.reshape(-1).astype(np.int32), codes.scale.shape)
    if codes.array.dtype == np.int8:
        return Codes(codes.array, codes.scale, zero, axis)
    if codes.array.dtype == np.uint8:
        return Codes((codes.array.astype(np.int16) - 128).astype(np.int8), codes.scale, zero - 128, axis)
    raise Unsupported(f"weights of type {codes.array.dtype}")


def _constants(grid: Grid, weights: Codes, bias: Form | None) -> dict[str, Any]:
    """What gemm and conv take alike."""
    result: dict[str, Any] = {
        "x_scale": grid.scale,
        "x_zero": grid.zero,
        "weight_scale": np.ascontiguousarray(weights.scale.reshape(-1), np.float32),
    }
    if weights.zero.any():
        result["weight_zero"] = np.ascontiguousarray(weights.zero.reshape(-1), np.int32)
    if bias is not None:
        result["bias"] = _bias(grid, weights, bias)
    return result


def _bias(grid: Grid, weights: Codes, bias: Form) -> Array:
    if not isinstance(bias, Known):
        raise Unsupported("its bias is computed")
    channels = weights.array.shape[0] if bias.array.size == 1 else bias.array.size
    if bias.array.shape[-1:] != (bias.array.size,) and bias.array.size != 1:
        raise Unsupported("a bias that is not one for each column")
    scale = np.float32(grid.scale) * weights.scale.reshape(-1)
    codes = bias.codes
    exact_codes = codes is not None and codes.array.dtype == np.int32 and not codes.zero.any()
    if codes is not None and exact_codes and np.allclose(codes.scale.reshape(-1), scale, rtol=1e-3):
        return np.ascontiguousarray(np.broadcast_to(codes.array.reshape(-1), (channels,)))
    if bias.array.dtype == np.int32:
        return bias.array.reshape(-1)
    exact = np.rint(bias.array.reshape(-1).astype(np.float64) / scale)
    exact = np.broadcast_to(exact, (channels,))
    if not np.isfinite(exact).all() or exact.min() < _INT32.min or exact.max() > _INT32.max:
        raise Unsupported("a bias too large for an int32 of the scale of its products")
    return exact.astype(np.int32)


def _window(scope: Scope, rank: int, kernel: tuple[int, ...]) -> tuple[dict[str, Any], list[int]]:
    """Strides and dilations of a convolution in two axes, and its pads: top, left, bottom, right."""
    node, axes = scope.node, rank - 2
    strides = attribute_ints(node, "strides") or [1] * axes
    dilations = attribute_ints(node, "dilations") or [1] * axes
    pads = attribute_ints(node, "pads") or [0] * (2 * axes)
    if attribute_string(node, "auto_pad", "NOTSET") != "NOTSET":
        pads = [0] * (2 * axes)
    if axes == 1:
        strides, dilations, pads = [1, *strides], [1, *dilations], [0, pads[0], 0, pads[1]]
    return {"strides": strides, "dilations": dilations}, pads


def _same_pads(scope: Scope, dims: Dims, attributes: dict[str, Any], kernel: tuple[int, ...]) -> list[int]:
    """Pads of SAME_UPPER and SAME_LOWER: where strides are 1 they need no sizes."""
    upper = attribute_string(scope.node, "auto_pad", "NOTSET") == "SAME_UPPER"
    begins, ends = [], []
    strides, dilations = attributes["strides"][-len(kernel) :], attributes["dilations"][-len(kernel) :]
    for size, taps, stride, dilation in zip(dims[2:], kernel, strides, dilations, strict=True):
        reach = (taps - 1) * dilation
        total = (
            reach
            if stride == 1
            else max(0, (-(-known(size) // stride) - 1) * stride + reach + 1 - known(size))
        )
        begins.append(total // 2 if upper else total - total // 2)
        ends.append(total - begins[-1])
    return [*begins, *ends] if len(kernel) == 2 else [0, begins[0], 0, ends[0]]
