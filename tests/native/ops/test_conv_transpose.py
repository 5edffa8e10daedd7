"""conv_transpose: windows added up where they overlap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]
KIND = "conv_transpose"


def case(
    image: tuple[int, ...],
    columns: int,
    kernel: tuple[int, int] = (2, 2),
    strides: tuple[int, int] = (2, 2),
    pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilations: tuple[int, int] = (1, 1),
    groups: int = 1,
    **more: Any,
) -> tuple[dict[str, Any], Any]:
    """Attributes that use the whole range of y, and an input."""
    rng = np.random.default_rng(sum(image) * 101 + columns)
    shape = (columns, *kernel, image[3] // groups)
    attributes = {
        "weights": rng.integers(-128, 128, shape, dtype=np.int8),
        "weight_scale": rng.uniform(0.01, 0.02, columns).astype(np.float32),
        "bias": rng.integers(-3000, 3000, columns, dtype=np.int32),
        "x_scale": 0.03,
        "x_zero": 100,
        "strides": list(strides),
        "pads": list(pads),
        "dilations": list(dilations),
        "groups": groups,
        "output_padding": [0, 0],
        "y_type": "u8",
        "y_scale": 0.03 * float(image[3] / groups) ** 0.5,
        "y_zero": 7,
    }
    return attributes | more, rng.integers(0, 256, image, dtype=np.uint8)


def test_sums_are_exact(agrees: Agrees) -> None:
    attributes, x = case((2, 3, 4, 5), 3)
    ones = {"x_scale": 1.0, "weight_scale": np.ones(1, np.float32), "y_type": "f32"}
    attributes = {k: v for k, v in (attributes | ones).items() if k not in ("y_scale", "y_zero")}
    (found,) = agrees(KIND, attributes, [x])
    wanted = np.zeros((2, 6, 8, 3), np.int64) + attributes["bias"]
    for row in range(2):
        for column in range(2):
            weights = attributes["weights"][:, row, column].astype(np.int64)
            wanted[:, row::2, column::2] += (x.astype(np.int64) - 100) @ weights.T
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 3), (4, 4), (2, 5), (1, 4)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 1)])
def test_windows_and_strides(agrees: Agrees, kernel: tuple[int, int], strides: tuple[int, int]) -> None:
    for channels, columns in ((3, 1), (16, 24)):
        for pads in ((0, 0, 0, 0), (0, 1, 0, 0)):
            for more in ([0, 0], [1, 1]):
                attributes, x = case((2, 4, 5, channels), columns, kernel, strides, pads, output_padding=more)
                agrees(KIND, attributes, [x], threads=(2,))


@pytest.mark.parametrize("dilations", [(2, 1), (1, 3), (2, 2)])
def test_dilations(agrees: Agrees, dilations: tuple[int, int]) -> None:
    for strides in ((1, 1), (2, 2), (2, 3)):
        attributes, x = case((1, 5, 4, 8), 9, (3, 3), strides, (1, 1, 1, 1), dilations)
        agrees(KIND, attributes, [x], threads=(2,))


@pytest.mark.parametrize("groups", [2, 4, 8])
def test_groups(agrees: Agrees, groups: int) -> None:
    attributes, x = case((1, 4, 5, 16), 24, (3, 3), (2, 2), groups=groups)
    agrees(KIND, attributes, [x])
    agrees(KIND, attributes | {"weight_zero": np.full(1, -70, np.int32)}, [x])


def test_what_is_fused_behind(agrees: Agrees) -> None:
    rng = np.random.default_rng(0)
    attributes, x = case((2, 5, 6, 12), 36)
    attributes |= {"table": rng.integers(0, 256, 256, np.uint8), "table_type": "u8"}
    attributes |= {"table_scale": 0.07, "table_zero": 3}
    agrees(KIND, attributes, [x])
    residual = {"r_scale": 0.11, "r_zero": 9, "sum_type": "u8", "sum_scale": 0.13, "sum_zero": 4}
    agrees(KIND, attributes | residual, [x, rng.integers(0, 256, (2, 10, 12, 36), np.uint8)])


@pytest.mark.parametrize("columns", [16, 64])
def test_outputs_that_no_window_reaches_are_added_to(agrees: Agrees, columns: int) -> None:
    rng = np.random.default_rng(0)
    attributes, x = case((1, 12, 12, 32), columns, (1, 1), (2, 2))
    residual = {"r_scale": 0.11, "r_zero": 9, "sum_type": "u8", "sum_scale": 0.13, "sum_zero": 4}
    other = rng.integers(0, 256, (1, 23, 23, columns), np.uint8)
    agrees(KIND, attributes | residual, [x, other], threads=(1,), gaps=(0,))


@pytest.mark.parametrize("kernel", [(1, 2), (2, 1), (2, 2), (2, 3), (3, 3), (4, 4), (1, 8)])
@pytest.mark.parametrize("y_type", ["u8", "s8", "f32"])
def test_windows_side_by_side(agrees: Agrees, kernel: tuple[int, int], y_type: str) -> None:
    """Nothing overlaps where the stride is the window; columns up to and beyond one product for all of it."""
    for columns in (*range(1, 10), 15, 16, 17, 31, 33, 64, 65):
        attributes, x = case((1, 3, 4, 5 + columns % 4), columns, kernel, kernel, y_type=y_type)
        if y_type == "f32":
            attributes = {k: v for k, v in attributes.items() if k not in ("y_scale", "y_zero")}
        agrees(KIND, attributes, [x], threads=(1,))
        one_less = {"pads": [0, 0, kernel[0] - 1, 0], "output_padding": [0, 1]}
        agrees(KIND, attributes | one_less, [x], threads=(1,), gaps=(0,))


@pytest.mark.parametrize("x_type", ["u8", "s8"])
@pytest.mark.parametrize("columns", [1, 3, 12])
def test_blocks_of_windows_side_by_side(agrees: Agrees, columns: int, x_type: str) -> None:
    """Blocks end anywhere in lines of inputs, and in any image."""
    for image in ((3, 17, 31, 6), (2, 1, 700, 4), (2, 700, 1, 3)):
        attributes, x = case(image, columns, x_zero=100 if x_type == "u8" else -100)
        attributes["weight_zero"] = np.random.default_rng(0).integers(-90, 90, columns, np.int32)
        agrees(KIND, attributes, [x if x_type == "u8" else x.view(np.int8)], threads=(1, 2))


@pytest.mark.parametrize("columns", [1, 2, 5, 9])
def test_what_is_fused_behind_windows_side_by_side(agrees: Agrees, columns: int) -> None:
    rng = np.random.default_rng(0)
    attributes, x = case((2, 9, 30, 7), columns)
    shape = (2, 18, 60, columns)
    table = {"table": rng.integers(0, 256, 256, np.uint8), "table_type": "s8"}
    agrees(KIND, attributes | table, [x])
    attributes["weight_scale"] *= 1000
    residual = {"r_scale": 0.11, "r_zero": 9, "sum_type": "u8", "sum_scale": 0.13, "sum_zero": 4}
    agrees(KIND, attributes | residual, [x, rng.integers(0, 256, shape, np.uint8)])
    numbers = {k: v for k, v in attributes.items() if k not in ("y_scale", "y_zero")} | {"y_type": "f32"}
    numbers |= {"float_bias": rng.normal(size=columns).astype(np.float32), "residual": 1}
    agrees(KIND, numbers, [x, rng.normal(size=shape).astype(np.float32)])


def test_what_is_refused() -> None:
    attributes, x = case((1, 1, 1, 4), 8, (1, 1), (1, 1), (1, 1, 0, 0))
    with pytest.raises(ValueError, match="nothing is left of"):
        Operator(KIND, attributes).bind([x])
    with pytest.raises(ValueError, match="strides of 100 and 100"):
        Operator(KIND, attributes | {"strides": [100, 100]})
