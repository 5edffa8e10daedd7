"""gemm: codes by constant weights, with all that is fused behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]
RANGES = {"u8": (0, 255, np.uint8), "s8": (-128, 127, np.int8)}


def codes(rng: np.random.Generator, type_: str, shape: tuple[int, ...]) -> Any:
    low, high, dtype = RANGES[type_]
    return rng.integers(low, high + 1, shape).astype(dtype)


def case(
    rows: int, columns: int, depth: int, x_type: str = "u8", y_type: str = "u8", **more: Any
) -> tuple[dict[str, Any], Any]:
    """Attributes that use the whole range of y, and an input."""
    rng = np.random.default_rng(rows * 10007 + columns * 101 + depth)
    attributes = {
        "weights": codes(rng, "s8", (columns, depth)),
        "weight_scale": rng.uniform(0.01, 0.02, columns).astype(np.float32),
        "bias": rng.integers(-3000, 3000, columns, dtype=np.int32),
        "x_scale": 0.03,
        "x_zero": int(rng.integers(RANGES[x_type][0], RANGES[x_type][1] + 1)),
        "y_type": y_type,
    }
    if y_type != "f32":
        attributes |= {"y_scale": 0.03 * float(max(depth, 1)) ** 0.5, "y_zero": 7}
    return attributes | more, codes(rng, x_type, (rows, depth))


@pytest.mark.parametrize("x_type", ["u8", "s8"])
def test_sums_are_exact(agrees: Agrees, x_type: str) -> None:
    rng = np.random.default_rng(1)
    x, weights = codes(rng, x_type, (9, 37)), codes(rng, "s8", (21, 37))
    bias = rng.integers(-(10**6), 10**6, 21, dtype=np.int32)
    zeros = rng.integers(-128, 128, 21, dtype=np.int32)
    attributes = {
        "weights": weights,
        "weight_scale": np.ones(1, np.float32),
        "weight_zero": zeros,
        "bias": bias,
    }
    (found,) = agrees("gemm", attributes | {"x_scale": 1.0, "x_zero": 99, "y_type": "f32"}, [x])
    wanted = (x.astype(np.int64) - 99) @ (weights.astype(np.int64).T - zeros) + bias
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("rows", [*range(26), 97])
@pytest.mark.parametrize("x_type", ["u8", "s8"])
def test_tails_of_rows(agrees: Agrees, rows: int, x_type: str) -> None:
    for columns in (8, 24, 40, 64):
        attributes, x = case(rows, columns, 18, x_type)
        agrees("gemm", attributes, [x], gaps=(0, 3) if rows < 8 else (0,))


@pytest.mark.parametrize("rows", [*range(7, 30), 97])
def test_tails_of_rows_of_some_depth(agrees: Agrees, rows: int) -> None:
    for columns in (8, 24, 40, 64, 80):
        attributes, x = case(rows, columns, 51, "u8" if rows % 2 else "s8")
        agrees("gemm", attributes, [x], threads=(1,), gaps=(0, 3))


@pytest.mark.parametrize("columns", [*range(1, 130, 3), 128, 129])
def test_tails_of_columns(agrees: Agrees, columns: int) -> None:
    for y_type in ("u8", "s8", "f32"):
        attributes, x = case(7, columns, 9, "u8", y_type)
        agrees("gemm", attributes, [x], threads=(1,), gaps=(0, 1))


@pytest.mark.parametrize("depth", range(17))
def test_tails_of_depth(agrees: Agrees, depth: int) -> None:
    for x_type in ("u8", "s8"):
        attributes, x = case(5, 19, depth, x_type, "s8")
        agrees("gemm", attributes, [x], threads=(1,))


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("depth", [255, 256, 1029, 2049, 4099])
def test_few_rows_of_much_depth(agrees: Agrees, rows: int, depth: int) -> None:
    for x_type in ("u8", "s8"):
        attributes, x = case(rows, 200, depth, x_type)
        agrees("gemm", attributes, [x], gaps=(0,))


@pytest.mark.parametrize("depth", [33, 2100])
def test_several_panels_at_a_time(agrees: Agrees, depth: int) -> None:
    for y_type, more in (
        ("u8", {}),
        ("f32", {}),
        ("f32", {"weight_zero": np.arange(300, dtype=np.int32) - 150}),
    ):
        attributes, x = case(2, 300, depth, "u8", y_type, **more)
        if y_type == "f32":
            attributes["float_bias"] = np.arange(300, dtype=np.float32)
        agrees("gemm", attributes, [x], threads=(1,), gaps=(0,))


def test_blocks_of_rows_and_panels(agrees: Agrees) -> None:
    attributes, x = case(250, 150, 64)
    agrees("gemm", attributes, [x], threads=(1, 2, 4), gaps=(0, 7))


def test_a_row_again_and_again(tier: str) -> None:
    """Its blocks are read to and fro."""
    attributes, x = case(1, 1500, 1000)
    operator = Operator("gemm", attributes, tier=tier)
    (expected,) = operator.reference([x])
    for threads in (1, 2):
        bound = operator.bind([x], threads)
        for _ in range(3):
            np.testing.assert_array_equal(bound.run()[0], expected)


@pytest.mark.parametrize("x", [0, 255, -128, 127])
@pytest.mark.parametrize("weight", [-128, 127])
def test_extreme_codes(agrees: Agrees, x: int, weight: int) -> None:
    type_ = "u8" if x in (0, 255) else "s8"
    for rows in (1, 6):
        attributes, _ = case(rows, 33, 67, type_, "f32")
        attributes["weights"] = np.full((33, 67), weight, np.int8)
        for zero in RANGES[type_][:2]:
            agrees("gemm", attributes | {"x_zero": zero}, [np.full((rows, 67), x, RANGES[type_][2])])


@pytest.mark.parametrize("y_type", ["u8", "s8"])
@pytest.mark.parametrize("scale", [1e-12, 0.4999999, 1.0, 3.5, 1e30])
def test_extreme_scales_and_bounds(agrees: Agrees, y_type: str, scale: float) -> None:
    low, high, _ = RANGES[y_type]
    for zero in (low, 0, high):
        for bounds in ({}, {"y_low": low + 3}, {"y_low": max(zero - 5, low), "y_high": min(zero + 9, high)}):
            attributes, x = case(7, 35, 12, "u8", y_type, y_scale=1.0, y_zero=zero)
            attributes["x_scale"] = scale
            attributes["weight_scale"] = np.ones(1, np.float32)
            agrees("gemm", attributes | bounds, [x], threads=(1,), gaps=(0,))


def test_halves_go_to_even(agrees: Agrees) -> None:
    attributes = {
        "weights": np.ones((1, 1), np.int8),
        "weight_scale": np.full(1, 0.5, np.float32),
        "x_scale": 1.0,
    }
    attributes |= {"x_zero": 0, "y_type": "u8", "y_scale": 1.0, "y_zero": 1}
    (found,) = agrees("gemm", attributes, [np.arange(16, dtype=np.uint8)[:, None]])
    np.testing.assert_array_equal(found[:, 0], np.rint(np.arange(16) / 2) + 1)


def test_sums_wrap(agrees: Agrees) -> None:
    bias = np.full(3, 2**31 - 1, np.int32)
    attributes, x = case(2, 3, 5, "u8", "f32", bias=bias, weight_zero=np.full(1, 2**31 - 1, np.int32))
    agrees("gemm", attributes, [x])


@pytest.mark.parametrize("x_type", ["u8", "s8"])
@pytest.mark.parametrize("rows", [1, 7])
def test_zero_points_of_weights(agrees: Agrees, x_type: str, rows: int) -> None:
    for zero in (np.array([5], np.int32), np.arange(-70, 0, dtype=np.int32)):
        attributes, x = case(rows, 70, 70, x_type)
        agrees("gemm", attributes | {"weight_zero": zero}, [x])


@pytest.mark.parametrize("r_type", ["u8", "s8"])
@pytest.mark.parametrize("tables", [(), ("table",), ("sum_table",), ("table", "sum_table")])
def test_what_is_fused_behind_codes(agrees: Agrees, r_type: str, tables: tuple[str, ...]) -> None:
    rng = np.random.default_rng(len(tables))
    for rows, columns in ((1, 33), (13, 70)):
        attributes, x = case(rows, columns, 20)
        for name in tables:
            attributes |= {name: codes(rng, "u8", (256,)), f"{name}_type": "s8"}
        if "table" in tables:
            attributes |= {"table_scale": 0.07, "table_zero": -3}
        agrees("gemm", {k: v for k, v in attributes.items() if not k.startswith("sum")}, [x])
        residual = {
            "r_scale": 0.11,
            "r_zero": 9,
            "sum_type": "u8",
            "sum_scale": 0.13,
            "sum_zero": 4,
            "sum_low": 4,
        }
        agrees("gemm", attributes | residual, [x, codes(rng, r_type, (rows, columns))])


@pytest.mark.parametrize("columns", [5, 16, 24, 40, 64, 80, 112, 200])
@pytest.mark.parametrize("depth", [20, 50, 650])
def test_sums_with_codes_of_many_rows(agrees: Agrees, columns: int, depth: int) -> None:
    rng = np.random.default_rng(columns * depth)
    rows = 4096 // columns + columns % 7 + 1
    for number, (y_type, r_type) in enumerate((("u8", "u8"), ("s8", "s8"), ("u8", "s8"))):
        attributes, x = case(rows, columns, depth, r_type, y_type)
        attributes |= {
            "r_scale": 0.1131,
            "r_zero": 9,
            "sum_type": y_type,
            "sum_scale": 0.2377,
            "sum_zero": 4,
        }
        if number == 1:
            attributes |= {"y_low": -3, "y_high": 100, "sum_low": -100, "sum_high": 90}
        if number == 2:
            attributes["weight_zero"] = np.arange(columns, dtype=np.int32)
        agrees("gemm", attributes, [x, codes(rng, r_type, (rows, columns))], threads=(2,), gaps=(0, 3))
        large = attributes | {"weight_scale": np.full(1, 40, np.float32)}
        agrees("gemm", large, [x, codes(rng, r_type, (rows, columns))], threads=(1,), gaps=(0,))


def test_what_is_fused_behind_numbers(agrees: Agrees) -> None:
    rng = np.random.default_rng(0)
    for rows, columns in ((1, 50), (8, 17)):
        bias = rng.normal(size=columns).astype(np.float32)
        attributes, x = case(rows, columns, 20, "u8", "f32", float_bias=bias)
        agrees("gemm", attributes, [x])
        agrees("gemm", attributes | {"residual": 1}, [x, rng.normal(size=(rows, columns)).astype(np.float32)])


@pytest.mark.parametrize("shape", [(12,), (2, 3, 12), (2, 0, 12)])
def test_any_axes_before_the_last(agrees: Agrees, shape: tuple[int, ...]) -> None:
    attributes, _ = case(1, 5, 12)
    (found,) = agrees("gemm", attributes, [np.ones(shape, np.uint8)])
    assert found.shape == (*shape[:-1], 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.zeros((3, 3, 3), np.int8)}, r"'weights' is \[3, 3, 3\], not \[N, K\]"),
        ({"weights": np.zeros((0, 3), np.int8)}, "of no columns"),
        ({"weight_scale": np.ones(2, np.float32)}, "'weight_scale' has 2 elements, not 5 or 1"),
        ({"weight_scale": np.zeros(1, np.float32)}, "not above 0"),
        ({"bias": np.ones(1, np.int32)}, "'bias' is not of 5 elements"),
        ({"x_zero": 256}, "'x_zero' is 256"),
        ({"y_zero": -1}, "'y_zero' is -1, outside 0..255"),
        ({"y_scale": -1.0}, "'y_scale' is not above 0"),
        ({"y_scale": 1e-44}, "scale of column 0 is not finite"),
        ({"y_low": 9, "y_high": 8}, "'y_low' is above 'y_high'"),
        ({"y_type": "f32"}, "'y_scale' is for codes"),
        ({"y_type": "s32"}, "s32, not u8 or s8"),
        ({"float_bias": np.zeros(5, np.float32)}, "'float_bias' is for f32"),
        ({"table": np.zeros(255, np.uint8), "table_type": "u8"}, "'table' has 255 bytes, not 256"),
        ({"r_scale": 1.0, "r_zero": 0}, "'sum_type' is missing"),
        ({"more": 1}, "no attribute is named 'more'"),
    ],
)
def test_what_is_refused(change: dict[str, Any], message: str) -> None:
    attributes, _ = case(1, 5, 12)
    with pytest.raises(ValueError, match=message):
        Operator("gemm", attributes | change)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 11), np.uint8), "by weights of 12 rows"),
        (np.zeros((), np.uint8), "by weights of 12 rows"),
        (np.zeros((2, 12), np.float32), "u8 or s8, not f32"),
        (np.zeros((2, 12), np.int8), "'x_zero' is 200, no code of s8"),
    ],
)
def test_inputs_that_are_refused(x: Any, message: str) -> None:
    attributes, _ = case(1, 5, 12, x_zero=200)
    with pytest.raises(ValueError, match=message):
        Operator("gemm", attributes).bind([x])


def test_what_is_added_has_the_shape_of_the_result() -> None:
    residual: dict[str, Any] = {
        "r_scale": 1.0,
        "r_zero": 200,
        "sum_type": "u8",
        "sum_scale": 1.0,
        "sum_zero": 0,
    }
    attributes, x = case(2, 5, 12, **residual)
    operator = Operator("gemm", attributes)
    with pytest.raises(ValueError, match=r"adds \[2, 4\] to \[2, 5\]"):
        operator.bind([x, np.zeros((2, 4), np.uint8)])
    with pytest.raises(ValueError, match="'r_zero' is 200, no code of s8"):
        operator.bind([x, np.zeros((2, 5), np.int8)])
    with pytest.raises(ValueError, match="takes 2 inputs, not 1"):
        operator.bind([x])
