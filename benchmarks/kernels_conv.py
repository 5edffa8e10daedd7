"""Rows of `kernels.py` for convolutions: dense, depthwise, stems, in groups, 1-D and transposed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from kernels_rows import Array, Row, Seconds, in_onnxruntime, node, timed

from graphopt._native import Operator

X_SCALE, X_ZERO, WEIGHT_SCALE = 0.02, 120, 0.01
Y_SCALE, Y_ZERO = 0.5, 118


@dataclass(frozen=True)
class Case:
    """A convolution of one image of `size` pixels, padded by `pads` at both ends of its sides."""

    name: str
    size: tuple[int, int]
    inputs: int
    outputs: int
    kernel: tuple[int, int]
    stride: int = 1
    groups: int = 1
    pads: tuple[int, int] = (0, 0)
    type_: str = "u8"

    def __str__(self) -> str:
        height, width = self.size
        window = "x".join(map(str, self.kernel))
        stride = f" s{self.stride}" if self.stride > 1 else ""
        channels = f"{self.inputs}" if self.inputs == self.outputs else f"{self.inputs}->{self.outputs}"
        return f"{self.name} {self.type_} {window}{stride} {height}x{width}x{channels}"


def dense(size: int, inputs: int, outputs: int, kernel: int, stride: int = 1) -> Case:
    """Of all channels."""
    return Case(
        "conv", (size, size), inputs, outputs, (kernel, kernel), stride, 1, (kernel // 2, kernel // 2)
    )


def depthwise(size: int, channels: int, kernel: int, stride: int) -> Case:
    """Of each channel by itself."""
    sides = (kernel, kernel)
    return Case(
        "depthwise", (size, size), channels, channels, sides, stride, channels, (kernel // 2, kernel // 2)
    )


CASES = [
    dense(56, 64, 64, 3),
    dense(28, 128, 128, 3),
    dense(14, 256, 256, 3),
    dense(7, 512, 512, 3),
    dense(28, 256, 256, 3, 2),
    dense(56, 64, 64, 1),
    dense(112, 16, 96, 1),
    dense(56, 64, 256, 1),
    dense(14, 1024, 256, 1),
    dense(56, 256, 512, 1, 2),
    replace(dense(56, 64, 64, 3), type_="s8"),
    replace(dense(224, 3, 32, 3, 2), name="stem"),
    replace(dense(224, 3, 64, 7, 2), name="stem"),
    *(depthwise(size, channels, 3, 1) for size, channels in ((112, 32), (56, 144), (28, 192), (14, 384))),
    *(depthwise(size, channels, 3, 2) for size, channels in ((112, 96), (56, 144), (28, 240), (14, 672))),
    *(depthwise(size, channels, 5, 1) for size, channels in ((28, 240), (14, 672), (7, 1152))),
    *(depthwise(size, channels, 5, 2) for size, channels in ((56, 144), (14, 672))),
    replace(depthwise(28, 192, 3, 1), type_="s8"),
    replace(dense(56, 128, 128, 3), name="32 groups", groups=32),
    Case("1-D", (1, 400), 256, 256, (1, 5), pads=(0, 2)),
    Case("1-D depthwise", (1, 400), 256, 256, (1, 5), groups=256, pads=(0, 2)),
]
TRANSPOSED = [(80, 96, 24, 2, 2), (160, 24, 1, 2, 2), (28, 128, 64, 4, 2)]
"""Size, inputs, outputs, side of the window, stride."""


def codes(shape: tuple[int, ...], type_: str) -> Array:
    """Any codes."""
    low = 0 if type_ == "u8" else -128
    dtype = np.uint8 if type_ == "u8" else np.int8
    return np.random.default_rng(0).integers(low, low + 256, shape).astype(dtype)


def weights_of(shape: tuple[int, ...]) -> Array:
    """Any weights."""
    return np.random.default_rng(1).integers(-127, 128, shape).astype(np.int8)


def zero_of(zero: int, type_: str) -> Any:
    """A zero point of codes, which those of s8 have lower by 128."""
    return np.uint8(zero) if type_ == "u8" else np.int8(zero - 128)


def attributes_of(weights: Array, pads: list[int], stride: int, groups: int, type_: str) -> dict[str, Any]:
    """As our operators take them."""
    return {
        "weights": weights,
        "weight_scale": np.full(1, WEIGHT_SCALE, np.float32),
        "strides": [stride, stride],
        "pads": pads,
        "dilations": [1, 1],
        "groups": groups,
        "x_scale": X_SCALE,
        "x_zero": int(zero_of(X_ZERO, type_)),
        "y_type": type_,
        "y_scale": Y_SCALE,
        "y_zero": int(zero_of(Y_ZERO, type_)),
    }


def beside_onnxruntime(case: Case, x: Array, weights: Array) -> Seconds:
    """QLinearConv, with channels last as its own optimizer prefers them."""
    constants = {
        "c_x_scale": np.float32(X_SCALE),
        "c_x_zero": zero_of(X_ZERO, case.type_),
        "c_w": np.ascontiguousarray(np.moveaxis(weights, 3, 1)),
        "c_w_scale": np.float32(WEIGHT_SCALE),
        "c_w_zero": np.int8(0),
        "c_y_scale": np.float32(Y_SCALE),
        "c_y_zero": zero_of(Y_ZERO, case.type_),
    }
    convolution = node(
        "QLinearConv",
        ["x", *constants],
        domain="com.microsoft",
        channels_last=1,
        kernel_shape=case.kernel,
        strides=[case.stride, case.stride],
        pads=[*case.pads, *case.pads],
        group=case.groups,
    )
    return in_onnxruntime([convolution], {"x": x}, constants)


def beside_torch(case: Case, x: Array, weights: Array) -> Seconds:
    """Quantized convolution of oneDNN, with channels last."""
    torch.backends.quantized.engine = "onednn"
    quantized = torch.quantize_per_tensor(
        torch.from_numpy(np.ascontiguousarray(np.moveaxis(weights, 3, 1))).float() * WEIGHT_SCALE,
        WEIGHT_SCALE,
        0,
        torch.qint8,
    )
    packed = torch.ops.quantized.conv2d_prepack(
        quantized, None, [case.stride, case.stride], [*case.pads], [1, 1], case.groups
    )
    image = torch.from_numpy(x).permute(0, 3, 1, 2).float() * X_SCALE
    given = torch.quantize_per_tensor(image, X_SCALE, X_ZERO, torch.quint8).contiguous(
        memory_format=torch.channels_last
    )
    return timed(lambda: torch.ops.quantized.conv2d(given, packed, Y_SCALE, Y_ZERO))


def rows(tier: str | None) -> Iterator[Row]:
    """conv and conv_transpose."""
    for case in CASES:
        x = codes((1, *case.size, case.inputs), case.type_)
        weights = weights_of((case.outputs, *case.kernel, case.inputs // case.groups))
        attributes = attributes_of(weights, [*case.pads, *case.pads], case.stride, case.groups, case.type_)
        operator = Operator("conv", attributes, tier=tier)
        sides = [
            (size + 2 * pad - side) // case.stride + 1
            for size, pad, side in zip(case.size, case.pads, case.kernel, strict=True)
        ]
        operations = 2 * int(np.prod(sides)) * weights.size
        peers = {"onnxruntime": beside_onnxruntime(case, x, weights)}
        if case.type_ == "u8":
            peers["torch"] = beside_torch(case, x, weights)
        yield Row(str(case), operations, operator.bind([x], 1).seconds, peers)
    yield from transposed(tier)


def transposed(tier: str | None) -> Iterator[Row]:
    """conv_transpose beside a float ConvTranspose between codes: onnxruntime has no other."""
    for size, inputs, outputs, side, stride in TRANSPOSED:
        pad = (side - stride) // 2
        x = codes((1, size, size, inputs), "u8")
        weights = weights_of((outputs, side, side, inputs))
        attributes = attributes_of(weights, [pad] * 4, stride, 1, "u8") | {"output_padding": [0, 0]}
        constants = {
            "c_x_scale": np.float32(X_SCALE),
            "c_x_zero": np.uint8(X_ZERO),
            "c_w": np.ascontiguousarray(weights.transpose(3, 0, 1, 2)).astype(np.float32) * WEIGHT_SCALE,
            "c_y_scale": np.float32(Y_SCALE),
            "c_y_zero": np.uint8(Y_ZERO),
        }
        nodes = [
            node("DequantizeLinear", ["x", "c_x_scale", "c_x_zero"], "real"),
            node("ConvTranspose", ["real", "c_w"], "sum", strides=[stride] * 2, pads=[pad] * 4),
            node("QuantizeLinear", ["sum", "c_y_scale", "c_y_zero"]),
        ]
        peer = in_onnxruntime(nodes, {"x": np.ascontiguousarray(x.transpose(0, 3, 1, 2))}, constants)
        operator = Operator("conv_transpose", attributes, tier=tier)
        name = f"conv_transpose u8 {side}x{side} s{stride} {size}x{size}x{inputs}->{outputs}"
        yield Row(name, 2 * size * size * weights.size, operator.bind([x], 1).seconds, {"onnxruntime": peer})
