"""conv where each channel is a group of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Agrees = Callable[..., list[Any]]
RANGES = {"u8": (0, 255, np.uint8), "s8": (-128, 127, np.int8)}


def codes(rng: np.random.Generator, type_: str, shape: tuple[int, ...]) -> Any:
    low, high, dtype = RANGES[type_]
    return rng.integers(low, high + 1, shape).astype(dtype)


def case(
    image: tuple[int, ...],
    kernel: tuple[int, int] = (3, 3),
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (1, 1, 1, 1),
    dilations: tuple[int, int] = (1, 1),
    x_type: str = "u8",
    y_type: str = "u8",
    **more: Any,
) -> tuple[dict[str, Any], Any]:
    """Attributes that use the whole range of y, and an input."""
    rng = np.random.default_rng(sum(image) * 101 + kernel[0])
    channels = image[3]
    attributes = {
        "weights": codes(rng, "s8", (channels, *kernel, 1)),
        "weight_scale": rng.uniform(0.01, 0.02, channels).astype(np.float32),
        "bias": rng.integers(-3000, 3000, channels, dtype=np.int32),
        "x_scale": 0.03,
        "x_zero": int(rng.integers(RANGES[x_type][0], RANGES[x_type][1] + 1)),
        "strides": list(strides),
        "pads": list(pads),
        "dilations": list(dilations),
        "groups": channels,
        "y_type": y_type,
    }
    if y_type != "f32":
        attributes |= {"y_scale": 0.03 * float(kernel[0] * kernel[1]) ** 0.5, "y_zero": 7}
    return attributes | more, codes(rng, x_type, image)


@pytest.mark.parametrize("channels", [1, 3, 8, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 127, 128, 129])
@pytest.mark.parametrize("x_type", ["u8", "s8"])
def test_tails_of_channels(agrees: Agrees, channels: int, x_type: str) -> None:
    for y_type in ("u8", "s8", "f32"):
        attributes, x = case((1, 4, 6, channels), x_type=x_type, y_type=y_type)
        agrees("conv", attributes, [x], threads=(1,))


@pytest.mark.parametrize(
    "kernel", [(3, 3), (5, 5), (1, 1), (1, 5), (1, 9), (4, 1), (2, 3), (7, 7), (9, 4), (13, 3)]
)
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 1), (1, 2), (3, 2)])
def test_windows_and_strides(agrees: Agrees, kernel: tuple[int, int], strides: tuple[int, int]) -> None:
    for size in (1, 2, 9, 14):
        pads = (kernel[0] // 2, kernel[1] - 1, kernel[0] - 1, kernel[1] // 2)
        attributes, x = case((2, size, size + 1, 20), kernel, strides, pads)
        agrees("conv", attributes, [x], threads=(2,))


@pytest.mark.parametrize("width", [*range(1, 12), 31, 64, 130])
@pytest.mark.parametrize("kernel", [3, 5])
def test_tails_of_lines(agrees: Agrees, width: int, kernel: int) -> None:
    for stride, x_type in ((1, "s8"), (2, "s8"), (2, "u8")):
        pads = (kernel // 2,) * 4
        for height in (1, 3, 4):
            attributes, x = case(
                (1, height, width, 40), (kernel, kernel), (stride, stride), pads, x_type=x_type
            )
            agrees("conv", attributes, [x], threads=(1,))


@pytest.mark.parametrize("left", range(7))
@pytest.mark.parametrize("width", [1, 2, 5, 6, 40])
def test_windows_that_begin_and_end_outside(agrees: Agrees, width: int, left: int) -> None:
    for right in range(5, 8) if left == 0 else range(6):
        for kernel in (3, 5):
            if left + width + right < kernel:
                continue
            attributes, x = case((1, 5, width, 70), (kernel, kernel), (2, 2), (1, left, 2, right))
            agrees("conv", attributes, [x], threads=(1,))


@pytest.mark.parametrize("channels", [66, 96, 135])
@pytest.mark.parametrize("height", [1, 3, 8, 9])
def test_last_channels_of_several_lines(agrees: Agrees, channels: int, height: int) -> None:
    for kernel, stride in ((3, 1), (3, 2), (5, 2)):
        pads = (kernel // 2,) * 4
        attributes, x = case((2, height, 6, channels), (kernel, kernel), (stride, stride), pads)
        agrees("conv", attributes, [x], threads=(2,))


@pytest.mark.parametrize("dilations", [(2, 1), (1, 2), (3, 3)])
@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (1, 5)])
def test_dilations(agrees: Agrees, dilations: tuple[int, int], kernel: tuple[int, int]) -> None:
    for strides in ((1, 1), (2, 2)):
        attributes, x = case((1, 13, 14, 33), kernel, strides, (2, 3, 4, 5), dilations)
        agrees("conv", attributes, [x], threads=(2,))


@pytest.mark.parametrize(("kernel", "dilation"), [(63, 1), (300, 1), (31, 30), (40, 40)])
def test_long_windows(agrees: Agrees, kernel: int, dilation: int) -> None:
    for image, window, dilations in (
        ((1, 1, 1700, 5), (1, kernel), (1, dilation)),
        ((1, 1700, 2, 5), (kernel, 1), (dilation, 1)),
    ):
        attributes, x = case(image, window, (1, 1), (0, 0, 0, 0), dilations)
        agrees("conv", attributes, [x], threads=(2,), gaps=(0,))


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 8, 13])
def test_windows_of_one_line(agrees: Agrees, kernel: int, stride: int) -> None:
    for length in (13, 14, 21, 35):
        for channels in (3, 32, 70):
            attributes, x = case(
                (1, 1, length, channels), (1, kernel), (1, stride), (0, kernel // 2, 0, kernel), x_type="s8"
            )
            agrees("conv", attributes, [x], threads=(2,))


@pytest.mark.parametrize("pads", [(0, 0, 1, 1), (1, 1, 0, 0), (2, 3, 3, 2), (0, 5, 0, 5)])
@pytest.mark.parametrize("channels", [16, 32, 64, 100])
def test_pairs_of_outputs(agrees: Agrees, channels: int, pads: tuple[int, int, int, int]) -> None:
    for width in (*range(3, 13), 30):
        attributes, x = case((2, 5, width, channels), (3, 3), (2, 2), pads, y_low=20, y_high=230)
        agrees("conv", attributes, [x], threads=(1,))


@pytest.mark.parametrize("channels", [8, 32, 48, 144])
@pytest.mark.parametrize("height", [15, 18, 35])
def test_pairs_of_outputs_in_many_lines(agrees: Agrees, channels: int, height: int) -> None:
    for x_type in ("u8", "s8"):
        attributes, x = case(
            (1, height, 12, channels), (3, 3), (2, 2), (1, 1, 1, 1), x_type=x_type, y_type=x_type
        )
        agrees("conv", attributes, [x], threads=(1, 3))


@pytest.mark.parametrize("zero", [0, 255])
@pytest.mark.parametrize("weight", [-128, 127])
def test_pairs_of_outputs_far_outside_the_codes(agrees: Agrees, zero: int, weight: int) -> None:
    attributes, x = case((1, 9, 9, 70), (3, 3), (2, 2), y_zero=zero, y_scale=0.001, x_zero=128)
    attributes["weights"] = np.full_like(attributes["weights"], weight)
    x[:, ::2] = 255
    agrees("conv", attributes, [x], threads=(1,))


@pytest.mark.parametrize("x", [0, 255, -128, 127])
@pytest.mark.parametrize("weight", [-128, 127])
def test_extreme_codes(agrees: Agrees, x: int, weight: int) -> None:
    type_ = "u8" if x in (0, 255) else "s8"
    for zero in RANGES[type_][:2]:
        attributes, _ = case((1, 6, 5, 70), (5, 5), x_type=type_, y_type="f32", x_zero=zero)
        attributes["weights"] = np.full_like(attributes["weights"], weight)
        agrees("conv", attributes, [np.full((1, 6, 5, 70), x, RANGES[type_][2])], threads=(1,))


def test_zero_points_of_weights(agrees: Agrees) -> None:
    for zero in (3, 100):
        attributes, x = case((1, 6, 5, 20))
        attributes["weights"] //= 2
        agrees("conv", attributes | {"weight_zero": np.full(1, zero, np.int32)}, [x])


@pytest.mark.parametrize("zero", [-128, -5, 1, 127, 1000])
@pytest.mark.parametrize("stride", [1, 2])
def test_weights_that_have_no_room_without_their_zero_points(agrees: Agrees, zero: int, stride: int) -> None:
    for kernel, channels in (((3, 3), 20), ((5, 5), 64), ((7, 7), 96), ((1, 5), 33), ((9, 2), 3)):
        pads = (kernel[0] // 2, kernel[1] // 2) * 2
        attributes, x = case((2, 8, 9, channels), kernel, (stride, stride), pads)
        attributes["weights"][0], attributes["weights"][-1] = -128, 127
        zeros = np.full(channels, zero, np.int32)
        zeros[::3] = 0
        agrees("conv", attributes | {"weight_zero": zeros}, [x], threads=(2,))


def test_lines_in_strips(agrees: Agrees) -> None:
    attributes, x = case((1, 2, 1100, 3))
    agrees("conv", attributes, [x], threads=(1, 3))


def test_what_is_fused_behind(agrees: Agrees) -> None:
    rng = np.random.default_rng(0)
    for channels in (24, 150):
        attributes, x = case((2, 5, 6, channels))
        attributes |= {"table": codes(rng, "u8", (256,)), "table_type": "u8"}
        attributes |= {"table_scale": 0.07, "table_zero": 3}
        agrees("conv", attributes, [x])
        residual = {"r_scale": 0.11, "r_zero": 9, "sum_type": "u8", "sum_scale": 0.13, "sum_zero": 4}
        agrees("conv", attributes | residual, [x, codes(rng, "u8", (2, 5, 6, channels))])


def test_bias_of_numbers(agrees: Agrees) -> None:
    bias = np.random.default_rng(0).normal(size=50).astype(np.float32)
    attributes, x = case((1, 4, 4, 50), y_type="f32", float_bias=bias)
    agrees("conv", attributes, [x])
    agrees("conv", attributes | {"residual": 1}, [x, np.ones((1, 4, 4, 50), np.float32)])
