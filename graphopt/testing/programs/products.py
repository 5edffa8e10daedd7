"""What multiplies by weights: products of matrices and convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.testing.programs.maker import (
    MOST_ELEMENTS,
    Maker,
    Recipe,
    Value,
    epilogue,
    is_codes,
    is_image,
    taking,
    type_made,
    weights,
)


@taking(lambda each: is_codes(each) and len(each.shape) > 0)
def _gemm(maker: Maker, value: Value) -> None:
    if value.shape[-1] == 0:
        return
    columns = int(maker.rng.choice((1, 8, 10, value.shape[-1])))
    shape = (*value.shape[:-1], columns)
    attributes, more = epilogue(maker, shape)
    attributes |= weights(maker, (columns, value.shape[-1]), value)
    maker.step("gemm", [value, *more], attributes, type_made(attributes), shape)


@taking(lambda each: each.type == "f32" and len(each.shape) > 0)
def _matmul_nbits(maker: Maker, value: Value) -> None:
    if value.shape[-1] == 0:
        return
    depth = value.shape[-1]
    columns = int(maker.rng.choice((1, 8, 10, depth)))
    bits, block = int(maker.rng.choice((4, 8))), int(maker.rng.choice((16, 32)))
    blocks = -(-depth // block)
    attributes: dict[str, Any] = {"bits": bits, "block": block, "depth": depth}
    attributes["weights"] = maker.rng.integers(0, 256, (columns, blocks, block * bits // 8), np.uint8)
    attributes["scales"] = maker.rng.uniform(0.2, 1.5, (columns, blocks)).astype(np.float32) / np.float32(
        1 << bits
    )
    if maker.chance(0.5):
        attributes["zeros"] = maker.rng.integers(0, 256, (columns, -(-blocks * bits // 8)), np.uint8)
    if maker.chance(0.5):
        attributes["bias"] = maker.array("f32", (columns,))
    maker.step("matmul_nbits", [value], attributes, "f32", (*value.shape[:-1], columns))


def _ends(maker: Maker) -> dict[str, Any]:
    """What floats are clamped to, if they are."""
    return {"low": -0.5, "high": float(maker.below(3))} if maker.chance(0.5) else {}


@taking(lambda each: each.type == "f32" and len(each.shape) > 0)
def _gemm_f32(maker: Maker, value: Value) -> None:
    columns = int(maker.rng.choice((1, 8, 20, max(1, value.shape[-1]))))
    attributes = {"weights": maker.array("f32", (columns, value.shape[-1])), **_ends(maker)}
    if maker.chance(0.5):
        attributes["bias"] = maker.array("f32", (columns,))
    maker.step("gemm_f32", [value], attributes, "f32", (*value.shape[:-1], columns))


@taking(lambda each: each.type == "f32" and len(each.shape) > 1)
def _matmul_f32(maker: Maker, value: Value) -> None:
    shape = (*value.shape[:-1], value.shape[-2])
    if np.prod(shape) <= MOST_ELEMENTS:
        maker.step("matmul_f32", [value, value], {"transpose_b": 1}, "f32", shape)


@taking(lambda each: each.type == "f32" and len(each.shape) == 4)
def _conv_f32(maker: Maker, value: Value) -> None:
    if 0 in value.shape:
        return
    attributes, shape = _window(maker, value)
    attributes |= {"weights": maker.array("f32", attributes["weights"]), **_ends(maker)}
    maker.step("conv_f32", [value], attributes, "f32", shape)


@taking(lambda each: each.type == "f32" and len(each.shape) == 4)
def _conv_transpose_f32(maker: Maker, value: Value) -> None:
    if 0 in value.shape or 8 * np.prod(value.shape) > MOST_ELEMENTS:
        return
    count, height, width, channels = value.shape
    kernel, columns = 2 + maker.below(2), int(maker.rng.choice((2, channels)))
    attributes = {
        "weights": maker.array("f32", (columns, kernel, kernel, channels)),
        "bias": maker.array("f32", (columns,)),
        "strides": [2, 2],
        "pads": [0, 0, kernel - 2, kernel - 2],
        "dilations": [1, 1],
        "groups": 1,
        "output_padding": [0, 0],
        **_ends(maker),
    }
    shape = (count, 2 * height, 2 * width, columns)
    maker.step("conv_transpose_f32", [value], attributes, "f32", shape)


def _window(maker: Maker, value: Value) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Attributes of a convolution, with the shape of its weights, and the shape of what it computes."""
    count, height, width, channels = value.shape
    kernel = int(maker.rng.choice((1, 3)))
    stride = int(maker.rng.choice((1, 1, 2)))
    pad = kernel // 2
    depthwise = maker.chance(0.4)
    groups = channels if depthwise else 1
    columns = channels if depthwise else int(maker.rng.choice((4, 8, channels)))
    shape = (
        count,
        (height + 2 * pad - kernel) // stride + 1,
        (width + 2 * pad - kernel) // stride + 1,
        columns,
    )
    return {
        "weights": (columns, kernel, kernel, channels // groups),
        "strides": [stride] * 2,
        "pads": [pad] * 4,
        "dilations": [1, 1],
        "groups": groups,
    }, shape


@taking(is_image)
def _conv(maker: Maker, value: Value) -> None:
    if 0 in value.shape:
        return
    given, shape = _window(maker, value)
    attributes, more = epilogue(maker, shape)
    attributes |= {**given, **weights(maker, given["weights"], value)}
    maker.step("conv", [value, *more], attributes, type_made(attributes), shape)


@taking(is_image)
def _conv_transpose(maker: Maker, value: Value) -> None:
    if 0 in value.shape or 8 * np.prod(value.shape) > MOST_ELEMENTS:
        return
    count, height, width, channels = value.shape
    columns = int(maker.rng.choice((2, channels)))
    shape = (count, 2 * height, 2 * width, columns)
    attributes, more = epilogue(maker, shape)
    attributes |= weights(maker, (columns, 2, 2, channels), value)
    attributes |= {"strides": [2, 2], "pads": [0] * 4, "dilations": [1, 1], "groups": 1}
    attributes["output_padding"] = [0, 0]
    maker.step("conv_transpose", [value, *more], attributes, type_made(attributes), shape)


RECIPES: dict[str, Recipe] = {
    "conv": _conv,
    "conv_f32": _conv_f32,
    "conv_transpose": _conv_transpose,
    "conv_transpose_f32": _conv_transpose_f32,
    "gemm": _gemm,
    "gemm_f32": _gemm_f32,
    "matmul_f32": _matmul_f32,
    "matmul_nbits": _matmul_nbits,
}
