"""Convolutions and matrix products: of codes if that can be, otherwise of floats where programs may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from graphopt.ir import attribute_float, attribute_int
from graphopt.native.lower.forms import Codes, Form, Grid, Known, Pending, Stored
from graphopt.native.lower.ops import floats
from graphopt.native.lower.ops.windows import convolved, images, transposed
from graphopt.native.lower.scope import Scope, Unsupported, identity, renamed
from graphopt.native.lower.steps import Array, Dims, Value

_INT32 = np.iinfo(np.int32)
_BYTE = 8
_LEAST_BLOCK = 16


def conv(scope: Scope) -> Form:
    """Conv."""
    return convolve(scope, scope.form(0), scope.form(1), scope.form(2) if scope.has(2) else None)


def convolve(scope: Scope, x: Form, w: Form, b: Form | None) -> Form:
    """A convolution of images with constant weights [O, I / groups, spatial axes]."""

    def on_codes() -> Form:
        weights = _weights(w, 0)
        data, grid = scope.coded(x)
        attributes = convolved(scope, data.dims, weights.array) | _constants(grid, weights, b)
        return images(scope, data, attributes, partial(finished, scope, "conv"))

    return _either(scope, on_codes, lambda: floats.convolve(scope, x, w, b))


def conv_transpose(scope: Scope) -> Form:
    """ConvTranspose; weights [I, O / groups, spatial axes]."""
    x, w, b = scope.form(0), scope.form(1), scope.form(2) if scope.has(2) else None

    def on_codes() -> Form:
        weights = _weights(w, 1)
        if attribute_int(scope.node, "group", 1) != 1 and weights.scale.size > 1:
            raise Unsupported("weights of a grouped ConvTranspose with a scale for each channel")
        data, grid = scope.coded(x)
        attributes = transposed(scope, weights.array)
        weights = Codes(attributes["weights"], weights.scale, weights.zero, 0)
        return images(
            scope, data, attributes | _constants(grid, weights, b), partial(finished, scope, "conv_transpose")
        )

    return _either(scope, on_codes, lambda: floats.convolve_transposed(scope, x, w, b))


def matmul(scope: Scope) -> Form:
    """MatMul."""
    return multiply(scope, scope.form(0), scope.form(1), None)


def gemm(scope: Scope) -> Form:
    """Gemm."""
    node = scope.node
    alpha, beta = attribute_float(node, "alpha", 1.0), attribute_float(node, "beta", 1.0)
    a = renamed(scope.form(0), (1, 0)) if attribute_int(node, "transA", 0) else scope.form(0)
    b, transposed = scope.form(1), attribute_int(node, "transB", 0)
    bias = scope.form(2) if scope.has(2) and beta != 0 else None

    def on_codes() -> Form:
        if alpha != 1 or (bias is not None and beta != 1):
            raise Unsupported("alpha or beta of a Gemm that is not 1")
        return _multiply_codes(scope, a, b, bias, transposed)

    def in_floats() -> Form:
        return floats.multiply(
            scope, a, floats.scaled(b, alpha), bias and floats.scaled(bias, beta), transposed
        )

    return _either(scope, on_codes, in_floats)


def multiply(scope: Scope, a: Form, b: Form, bias: Form | None, transposed: int = 0) -> Form:
    """A matrix product; `transposed`: b is [..., N, K]."""
    return _either(
        scope,
        lambda: _multiply_codes(scope, a, b, bias, transposed),
        lambda: floats.multiply(scope, a, b, bias, transposed),
    )


def _multiply_codes(scope: Scope, a: Form, b: Form, bias: Form | None, transposed: int) -> Form:
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


def _either(scope: Scope, on_codes: Callable[[], Form], in_floats: Callable[[], Form]) -> Form:
    """On codes if that can be; otherwise in float, where programs may."""
    if not scope.floats_too:
        return on_codes()
    try:
        return on_codes()
    except Unsupported:
        return in_floats()


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
