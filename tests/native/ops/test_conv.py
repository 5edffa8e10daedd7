"""conv: windows of images of codes, of every form, with all that is fused behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]
RANGES = {"u8": (0, 255, np.uint8), "s8": (-128, 127, np.int8)}
KIND = "conv"


def codes(rng: np.random.Generator, type_: str, shape: tuple[int, ...]) -> Any:
    low, high, dtype = RANGES[type_]
    return rng.integers(low, high + 1, shape).astype(dtype)


def case(
    image: tuple[int, ...],
    columns: int,
    kernel: tuple[int, int] = (3, 3),
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilations: tuple[int, int] = (1, 1),
    groups: int = 1,
    x_type: str = "u8",
    y_type: str = "u8",
    **more: Any,
) -> tuple[dict[str, Any], Any]:
    """Attributes that use the whole range of y, and an input."""
    rng = np.random.default_rng(sum(image) * 101 + columns)
    depth = image[3] // groups
    products = depth * kernel[0] * kernel[1]
    attributes = {
        "weights": codes(rng, "s8", (columns, *kernel, depth)),
        "weight_scale": rng.uniform(0.01, 0.02, columns).astype(np.float32),
        "bias": rng.integers(-3000, 3000, columns, dtype=np.int32),
        "x_scale": 0.03,
        "x_zero": int(rng.integers(RANGES[x_type][0], RANGES[x_type][1] + 1)),
        "strides": list(strides),
        "pads": list(pads),
        "dilations": list(dilations),
        "groups": groups,
        "y_type": y_type,
    }
    if y_type != "f32":
        attributes |= {"y_scale": 0.03 * float(products) ** 0.5, "y_zero": 7}
    return attributes | more, codes(rng, x_type, image)


@pytest.mark.parametrize("x_type", ["u8", "s8"])
def test_sums_are_exact(agrees: Agrees, x_type: str) -> None:
    attributes, x = case((2, 5, 4, 3), 5, x_type=x_type, y_type="f32", pads=(1, 1, 1, 1), x_scale=1.0)
    attributes["weight_scale"] = np.ones(1, np.float32)
    (found,) = agrees(KIND, attributes, [x])
    padded = np.pad(
        x.astype(np.int64) - attributes["x_zero"], ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=0
    )
    wanted = np.zeros((2, 5, 4, 5), np.int64) + attributes["bias"]
    for row in range(3):
        for column in range(3):
            window = padded[:, row : row + 5, column : column + 4]
            wanted += window @ attributes["weights"][:, row, column].astype(np.int64).T
    np.testing.assert_array_equal(found, wanted)


def test_windows_of_many_odd_channels(agrees: Agrees) -> None:
    for x_type in ("u8", "s8"):
        attributes, x = case((1, 3, 4, 229), 20, x_type=x_type, pads=(1, 1, 1, 1))
        agrees(KIND, attributes, [x], threads=(1,), gaps=(0,))


@pytest.mark.parametrize("kernel", [(1, 1), (1, 3), (3, 1), (2, 2), (3, 3), (5, 4), (7, 7)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 3)])
def test_windows_and_strides(agrees: Agrees, kernel: tuple[int, int], strides: tuple[int, int]) -> None:
    for channels in (3, 8, 18, 52):
        for pads in ((0, 0, 0, 0), (1, 2, 0, 3)):
            attributes, x = case((2, 8, 9, channels), 20, kernel, strides, pads)
            agrees(KIND, attributes, [x], threads=(2,))


@pytest.mark.parametrize("dilations", [(2, 1), (1, 2), (3, 3)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_dilations(agrees: Agrees, dilations: tuple[int, int], strides: tuple[int, int]) -> None:
    for channels in (1, 3, 16):
        attributes, x = case((1, 9, 8, channels), 9, (3, 3), strides, (3, 2, 3, 2), dilations)
        agrees(KIND, attributes, [x], threads=(2,))


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 6, 7, 9, 12])
@pytest.mark.parametrize("kernel", [(3, 3), (2, 7), (1, 5)])
def test_few_channels(agrees: Agrees, channels: int, kernel: tuple[int, int]) -> None:
    for x_type in ("u8", "s8"):
        attributes, x = case((2, 7, 11, channels), 32, kernel, (2, 2), (1, 1, 1, 1), x_type=x_type)
        agrees(KIND, attributes, [x], threads=(2,))


@pytest.mark.parametrize("channels", [1, 3, 4, 16, 30, 48, 52])
@pytest.mark.parametrize("width", [190, 450])
def test_wide_lines(agrees: Agrees, channels: int, width: int) -> None:
    """Of more outputs than a block has, or of so many that two lines of them do not fill one."""
    for strides, pads in (((1, 1), (1, 1, 1, 1)), ((2, 3), (0, 0, 0, 0)), ((1, 2), (2, 0, 0, 3))):
        attributes, x = case((1, 5, width, channels), 17, (3, 3), strides, pads)
        agrees(KIND, attributes, [x], threads=(2,))


@pytest.mark.parametrize("channels", [1, 4, 6, 48, 52, 54])
@pytest.mark.parametrize("kernel", [(2, 3), (1, 1), (4, 1)])
def test_windows_wholly_outside(agrees: Agrees, channels: int, kernel: tuple[int, int]) -> None:
    for strides in ((1, 1), (2, 2)):
        attributes, x = case((2, 3, 4, channels), 18, kernel, strides, (4, 6, 5, 7))
        agrees(KIND, attributes, [x], threads=(1,))


@pytest.mark.parametrize("x_type", ["u8", "s8"])
@pytest.mark.parametrize("weight_zero", [0, 5, 300])
def test_lines_of_padding(agrees: Agrees, x_type: str, weight_zero: int) -> None:
    """Long enough that products with them are left out; of images with lines of all taps, or without."""
    for height, pads, dilation in ((6, 1, 1), (9, 3, 1), (9, 4, 2), (2, 2, 1), (3, 5, 2)):
        for kernel in ((3, 3), (5, 2), (7, 1)):
            extent = (kernel[0] - 1) * dilation + 1
            if height + 2 * pads < extent:
                continue
            image = (2, height, 7, 24)
            sides = (pads, 1, pads, 1)
            attributes, x = case(image, 70, kernel, (1, 1), sides, (dilation, 1), x_type=x_type)
            attributes["weight_zero"] = np.full(1, weight_zero, np.int32)
            agrees(KIND, attributes, [x], gaps=(0,))


def test_lines_of_padding_of_what_is_added_to(agrees: Agrees) -> None:
    attributes, x = case((2, 7, 7, 32), 64, pads=(2, 2, 2, 2), y_type="u8")
    residual = {"r_scale": 0.1131, "r_zero": 9, "sum_type": "u8", "sum_scale": 0.2377, "sum_zero": 4}
    other = codes(np.random.default_rng(5), "u8", (2, 9, 9, 64))
    agrees(KIND, attributes | residual, [x, other], gaps=(0, 3))


def test_weights_that_are_more_than_the_codes(agrees: Agrees) -> None:
    """Blocks then go by panels."""
    for kernel, image in (((3, 3), (3, 9, 9, 200)), ((1, 1), (2, 11, 20, 250))):
        attributes, x = case(image, 700, kernel, pads=(1, 1, 1, 1) if kernel == (3, 3) else (0, 0, 0, 0))
        agrees(KIND, attributes, [x], gaps=(0,))


@pytest.mark.parametrize("columns", [1, 8, 15, 16, 17, 33, 64, 70, 129])
@pytest.mark.parametrize("y_type", ["u8", "s8", "f32"])
def test_tails_of_columns(agrees: Agrees, columns: int, y_type: str) -> None:
    attributes, x = case((1, 3, 3, 5), columns, pads=(1, 1, 1, 1), x_type="s8", y_type=y_type)
    agrees(KIND, attributes, [x], threads=(1,))


@pytest.mark.parametrize(
    ("groups", "depth", "columns"),
    [(2, 8, 8), (4, 4, 4), (3, 5, 1), (8, 1, 2), (6, 3, 20), (2, 1, 70), (32, 4, 4)],
)
def test_groups(agrees: Agrees, groups: int, depth: int, columns: int) -> None:
    for kernel in ((1, 1), (3, 3)):
        for zero in (0, 5, 300):
            attributes, x = case(
                (1, 4, 5, groups * depth), groups * columns, kernel, (1, 1), (0, 1, 1, 0), groups=groups
            )
            attributes["weight_zero"] = np.full(1, zero, np.int32)
            agrees(KIND, attributes, [x], threads=(2,))


@pytest.mark.parametrize("columns", [40, 130, 256])
def test_what_is_fused_behind_groups_of_several_panels(agrees: Agrees, columns: int) -> None:
    """Each block finishes its own panels, once."""
    rng = np.random.default_rng(0)
    attributes, x = case((1, 12, 22, 64), 2 * columns, pads=(1, 1, 1, 1), groups=2)
    table = {"table": rng.integers(0, 256, 256, np.uint8), "table_type": "u8"}
    agrees(KIND, attributes | table | {"table_scale": 0.07, "table_zero": 3}, [x], gaps=(0,))
    residual = {"r_scale": 0.1131, "r_zero": 9, "sum_type": "u8", "sum_scale": 0.2377, "sum_zero": 4}
    agrees(KIND, attributes | residual, [x, codes(rng, "u8", (1, 12, 22, 2 * columns))], gaps=(0,))


# Groups, inputs and columns of each: lanes of a vector have codes of 16 groups down to one.
LANES = [
    (32, 4, 1),
    (64, 8, 2),
    (32, 4, 4),
    (20, 8, 4),
    (8, 16, 4),
    (6, 4, 8),
    (16, 8, 8),
    (4, 32, 8),
    (5, 20, 16),
]


@pytest.mark.parametrize(("groups", "depth", "columns"), LANES)
def test_groups_side_by_side(agrees: Agrees, groups: int, depth: int, columns: int) -> None:
    for x_type in ("u8", "s8"):
        for kernel, strides, pads in (((1, 1), (1, 1), 0), ((3, 3), (1, 1), 1), ((3, 2), (2, 2), 2)):
            image = (2, 7, 6, groups * depth)
            sides = (pads, pads, pads, pads)
            attributes, x = case(
                image, groups * columns, kernel, strides, sides, groups=groups, x_type=x_type
            )
            agrees(KIND, attributes, [x], threads=(2,))


@pytest.mark.parametrize(("groups", "depth", "columns"), LANES)
def test_what_is_fused_behind_groups_side_by_side(
    agrees: Agrees, groups: int, depth: int, columns: int
) -> None:
    rng = np.random.default_rng(0)
    image = (1, 5, 6, groups * depth)
    attributes, x = case(image, groups * columns, pads=(1, 1, 1, 1), groups=groups)
    residual = {"r_scale": 0.1131, "r_zero": 9, "sum_type": "u8", "sum_scale": 0.2377, "sum_zero": 4}
    agrees(KIND, attributes | residual, [x, codes(rng, "u8", (1, 5, 6, groups * columns))], threads=(1,))
    attributes, x = case(image, groups * columns, pads=(1, 1, 1, 1), groups=groups, y_type="f32")
    agrees(KIND, attributes, [x], threads=(1,))


def test_groups_side_by_side_of_few_weights(agrees: Agrees) -> None:
    attributes, x = case((1, 4, 5, 128), 128, groups=32, pads=(1, 1, 1, 1))
    attributes["weights"][:, :, :, 1:] = 0
    attributes["weights"][4:] = 0
    agrees(KIND, attributes, [x], threads=(1,))


@pytest.mark.parametrize("x_type", ["u8", "s8"])
def test_zero_points_of_weights(agrees: Agrees, x_type: str) -> None:
    for channels in (3, 16):
        attributes, x = case((1, 5, 5, channels), 35, (3, 3), (1, 1), (1, 1, 1, 1), x_type=x_type)
        agrees(KIND, attributes | {"weight_zero": np.arange(-20, 15, dtype=np.int32)}, [x])
    attributes["weights"] //= 2
    agrees(KIND, attributes | {"weight_zero": np.arange(-20, 15, dtype=np.int32)}, [x])


@pytest.mark.parametrize("x", [0, 255, -128, 127])
@pytest.mark.parametrize("weight", [-128, 127])
def test_extreme_codes(agrees: Agrees, x: int, weight: int) -> None:
    type_ = "u8" if x in (0, 255) else "s8"
    for zero in RANGES[type_][:2]:
        attributes, _ = case((1, 4, 5, 20), 17, pads=(1, 1, 1, 1), x_type=type_, y_type="f32", x_zero=zero)
        attributes["weights"] = np.full_like(attributes["weights"], weight)
        agrees(KIND, attributes, [np.full((1, 4, 5, 20), x, RANGES[type_][2])], threads=(1,))


def test_blocks_of_rows_and_panels(agrees: Agrees) -> None:
    attributes, x = case((1, 12, 13, 8), 150, pads=(1, 1, 1, 1))
    agrees(KIND, attributes, [x], threads=(1, 2, 4), gaps=(0, 7))


@pytest.mark.parametrize("form", ["dense", "groups", "few"])
def test_what_is_fused_behind_codes(agrees: Agrees, form: str) -> None:
    groups, channels = {"dense": (1, 16), "groups": (4, 32), "few": (1, 3)}[form]
    rng = np.random.default_rng(0)
    attributes, x = case((2, 5, 6, channels), 36, (3, 3), (2, 2), (1, 1, 1, 1), groups=groups)
    attributes |= {
        "table": codes(rng, "u8", (256,)),
        "table_type": "u8",
        "table_scale": 0.07,
        "table_zero": 3,
    }
    agrees(KIND, attributes, [x])
    residual = {
        "r_scale": 0.11,
        "r_zero": 9,
        "sum_type": "u8",
        "sum_scale": 0.13,
        "sum_zero": 4,
        "sum_low": 4,
    }
    agrees(KIND, attributes | residual, [x, codes(rng, "u8", (2, 3, 3, 36))])


@pytest.mark.parametrize("columns", [16, 24, 80, 112])
@pytest.mark.parametrize("kernel", [1, 3])
def test_sums_with_codes_of_many_pixels(agrees: Agrees, columns: int, kernel: int) -> None:
    rng = np.random.default_rng(columns)
    size = 1 + int((4096 / columns) ** 0.5)
    residual = {"r_scale": 0.1131, "r_zero": 9, "sum_type": "u8", "sum_scale": 0.2377, "sum_zero": 4}
    for zero in (0, 1):
        pad, channels = kernel // 2, 52 if kernel == 1 else 16
        image = (1, size, size, channels)
        attributes, x = case(image, columns, (kernel, kernel), pads=(pad, pad, pad, pad))
        attributes["weight_zero"] = zero * np.arange(columns, dtype=np.int32)
        other = codes(rng, "u8", (1, size, size, columns))
        agrees(KIND, attributes | residual, [x, other], threads=(2,), gaps=(0, 3))


def test_single_pixels_of_several_images(agrees: Agrees) -> None:
    for zero in (0, 1):
        for x_type in ("u8", "s8"):
            attributes, x = case((3, 13, 14, 24), 20, (1, 1), x_type=x_type)
            attributes["weight_zero"] = zero * np.arange(20, dtype=np.int32)
            agrees(KIND, attributes, [x], threads=(1, 3), gaps=(0, 5))


def test_what_is_fused_behind_numbers(agrees: Agrees) -> None:
    rng = np.random.default_rng(0)
    bias = rng.normal(size=18).astype(np.float32)
    attributes, x = case((1, 4, 4, 8), 18, groups=2, y_type="f32", float_bias=bias)
    agrees(KIND, attributes, [x])
    agrees(KIND, attributes | {"residual": 1}, [x, rng.normal(size=(1, 2, 2, 18)).astype(np.float32)])


def test_long_windows(agrees: Agrees) -> None:
    for channels, length in ((1, 401), (2, 2500), (5, 33)):
        attributes, x = case((1, 1, 2600, channels), 3, (1, length), (1, 160), (0, 20, 0, 20))
        agrees(KIND, attributes, [x], threads=(2,))


def test_no_images(agrees: Agrees) -> None:
    attributes, x = case((0, 4, 4, 3), 5)
    (found,) = agrees(KIND, attributes, [x])
    assert found.shape == (0, 2, 2, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"weights": np.zeros((3, 3, 3), np.int8)},
            r"'weights' is \[3, 3, 3\], not \[O, kh, kw, I / groups\]",
        ),
        ({"weights": np.zeros((8, 0, 3, 4), np.int8)}, "'weights' is empty"),
        ({"weights": np.zeros((8, 65, 65, 1), np.int8)}, "a window of more than 4096 elements"),
        ({"groups": 3}, "8 channels in 3 groups"),
        ({"strides": [0, 1]}, "'strides' has 0, outside 1"),
        ({"pads": [0, 0, 0, -1]}, "'pads' has -1, outside 0"),
        ({"dilations": [1]}, "'dilations' has 1 integers, not 2"),
        ({"weight_scale": np.ones(2, np.float32)}, "'weight_scale' has 2 elements, not 8 or 1"),
        ({"bias": np.ones(2, np.int32)}, "'bias' has 2 elements, not 8 or 1"),
        ({"x_zero": 256}, "'x_zero' is 256"),
        ({"output_padding": [0, 0]}, "no attribute is named 'output_padding'"),
    ],
)
def test_what_is_refused(change: dict[str, Any], message: str) -> None:
    attributes, _ = case((1, 5, 5, 4), 8)
    with pytest.raises(ValueError, match=message):
        Operator(KIND, attributes | change)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((1, 5, 5, 3), np.uint8), r"takes images \[N, H, W, 4\], not \[1, 5, 5, 3\]"),
        (np.zeros((5, 5, 4), np.uint8), r"takes images \[N, H, W, 4\], not \[5, 5, 4\]"),
        (np.zeros((1, 2, 5, 4), np.uint8), "nothing is left of"),
        (np.zeros((1, 5, 5, 4), np.float32), "f32"),
        (np.zeros((1, 5, 5, 4), np.int8), "'x_zero' is 200, no code of s8"),
    ],
)
def test_inputs_that_are_refused(x: Any, message: str) -> None:
    attributes, _ = case((1, 5, 5, 4), 8, x_zero=200)
    with pytest.raises(ValueError, match=message):
        Operator(KIND, attributes).bind([x])
