"""Rows of `kernels.py`: convolutions and products of floats, for layers that stay in float."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from kernels_rows import Array, Row, in_onnxruntime, node

from graphopt._native import Operator

# Rows, columns, depth.
PRODUCTS = [(512, 512, 512), (128, 768, 768), (3136, 64, 64), (16, 1000, 1280), (1, 1024, 1024)]
# Heads, rows, columns, depth: scores and sums of attention.
COMPUTED = [(12, 128, 128, 64), (12, 128, 64, 128), (8, 40, 40, 15)]
# Height and width, inputs, outputs, window, stride, groups.
CONVS = [
    (56, 64, 64, 3, 1, 1),
    (14, 256, 256, 3, 1, 1),
    (56, 64, 64, 1, 1, 1),
    (224, 3, 32, 3, 2, 1),
    (112, 96, 96, 3, 2, 96),
    (56, 144, 144, 3, 1, 144),
    (14, 672, 672, 5, 1, 672),
]
# Height and width, inputs, outputs, window; with a stride of 2.
TRANSPOSED = [(80, 24, 24, 2), (160, 24, 1, 2), (28, 128, 64, 4)]


def _floats(*shape: int) -> Array:
    return np.random.default_rng(list(shape)).normal(size=shape).astype(np.float32)


def _first(image: Array) -> Array:
    """N, H, W, C as onnxruntime has it."""
    return np.ascontiguousarray(np.moveaxis(image, -1, 1))


def products(tier: str | None) -> Iterator[Row]:
    """Floats by constant weights, and by floats that are computed."""
    for rows, columns, depth in PRODUCTS:
        x, weights, bias = _floats(rows, depth), _floats(columns, depth), _floats(columns)
        ours = Operator("gemm_f32", {"weights": weights, "bias": bias}, tier=tier).bind([x], 1)
        theirs = in_onnxruntime(
            [node("Gemm", ["x", "c_w", "c_b"], transB=1)], {"x": x}, {"c_w": weights, "c_b": bias}
        )
        yield Row(f"gemm f32 {rows}x{columns}x{depth}", 0, ours.seconds, {"onnxruntime": theirs})
    for heads, rows, columns, depth in COMPUTED:
        a, b = _floats(heads, rows, depth), _floats(heads, depth, columns)
        ours = Operator("matmul_f32", {}, tier=tier).bind([a, b], 1)
        theirs = in_onnxruntime([node("MatMul", ["a", "b"])], {"a": a, "b": b}, {})
        yield Row(f"matmul f32 {heads}x{rows}x{columns}x{depth}", 0, ours.seconds, {"onnxruntime": theirs})


def convolutions(tier: str | None) -> Iterator[Row]:
    """Images of floats by constant weights, and transposes."""
    for size, inputs, outputs, window, stride, groups in CONVS:
        pads = [window // 2] * 4
        weights = _floats(outputs, window, window, inputs // groups)
        what: dict[str, Any] = {"strides": [stride] * 2, "pads": pads, "dilations": [1, 1]}
        x, bias = _floats(1, size, size, inputs), _floats(outputs)
        attributes = {**what, "weights": weights, "bias": bias, "groups": groups}
        ours = Operator("conv_f32", attributes, tier=tier).bind([x], 1)
        theirs = node("Conv", ["x", "c_w", "c_b"], group=groups, **what)
        constants = {"c_w": _first(weights), "c_b": bias}
        peers = {"onnxruntime": in_onnxruntime([theirs], {"x": _first(x)}, constants)}
        name = f"conv f32 {window}x{window} s{stride} {size}^2x{inputs} to {outputs}, groups {groups}"
        yield Row(name, 0, ours.seconds, peers)
    for size, inputs, outputs, window in TRANSPOSED:
        weights = _floats(outputs, window, window, inputs)
        what = {"strides": [2, 2], "pads": [(window - 2) // 2] * 4, "dilations": [1, 1]}
        x, bias = _floats(1, size, size, inputs), _floats(outputs)
        attributes = {**what, "weights": weights, "bias": bias, "groups": 1, "output_padding": [0, 0]}
        ours = Operator("conv_transpose_f32", attributes, tier=tier).bind([x], 1)
        constants = {"c_w": np.ascontiguousarray(weights.transpose(3, 0, 1, 2)), "c_b": bias}
        theirs = node("ConvTranspose", ["x", "c_w", "c_b"], **what)
        peers = {"onnxruntime": in_onnxruntime([theirs], {"x": _first(x)}, constants)}
        yield Row(
            f"conv_transpose f32 {window}x{window} {size}^2x{inputs} to {outputs}", 0, ours.seconds, peers
        )


def rows(tier: str | None) -> Iterator[Row]:
    """All of them."""
    yield from products(tier)
    yield from convolutions(tier)
