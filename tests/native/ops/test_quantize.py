"""quantize and dequantize: between floats and codes, and between channels first and last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]

TYPES: list[tuple[str, Any, int]] = [
    ("u8", np.uint8, 0),
    ("u8", np.uint8, 255),
    ("s8", np.int8, -128),
    ("s8", np.int8, 5),
]


@pytest.mark.parametrize(("name", "dtype", "zero"), TYPES)
@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 15, 17, 31, 33, 48, 63, 64, 65, 128, 129, 20_000])
def test_both_ways_over_all_tails(agrees: Agrees, name: str, dtype: Any, zero: int, count: int) -> None:
    rng = np.random.default_rng(count)
    values = rng.normal(0, 3, count).astype(np.float32)
    values[::7] = 0.0625 * np.round(values[::7] / 0.125) + 0.0625
    (codes,) = agrees("quantize", {"scale": 0.125, "zero": zero, "type": name}, [values])
    info = np.iinfo(dtype)
    np.testing.assert_array_equal(
        codes, np.clip(np.rint(values / 0.125) + zero, info.min, info.max).astype(dtype)
    )
    (again,) = agrees("dequantize", {"scale": 0.1, "zero": zero}, [codes])
    np.testing.assert_array_equal(again, (codes.astype(np.float32) - zero) * np.float32(0.1))


def test_values_out_of_range_and_no_numbers(agrees: Agrees) -> None:
    values = np.array([np.inf, -np.inf, np.nan, 1e38, -1e38, 3e9, -3e9, 0.0, -0.0, 1e-45], np.float32)
    (codes,) = agrees("quantize", {"scale": 0.5, "zero": 3, "type": "u8"}, [values])
    assert codes.tolist() == [255, 0, 0, 255, 0, 255, 0, 3, 3, 3]
    (codes,) = agrees("quantize", {"scale": 0.5, "zero": -3, "type": "s8"}, [np.tile(values, 9)])
    assert codes[:10].tolist() == [127, -128, -128, 127, -128, 127, -128, -3, -3, -3]


@pytest.mark.parametrize(
    "shape",
    [
        (1, 3, 9, 7),
        (2, 1, 5),
        (1, 24, 12, 11),
        (2, 65, 129),
        (1, 130, 2, 3),
        (3, 5),
        (0, 3, 4),
        (1, 0, 4),
        (1, 3, 0),
        (1, 4, 40, 40),
        (1, 64, 16, 8),
        (1, 17, 300),
        (2, 1, 50),
        (2, 2, 47),
        (2, 3, 16),
        (2, 3, 161),
        (1, 4, 175),
        (1, 5, 33),
        (2, 3, 2049),
        (1, 2, 4111),
        (1, 1, 2050),
    ],
)
def test_channels_to_the_end_and_back(agrees: Agrees, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0, 3, shape).astype(np.float32)
    (codes,) = agrees("quantize", {"scale": 0.05, "zero": 120, "type": "u8", "layout": "last"}, [values])
    (same,) = agrees("quantize", {"scale": 0.05, "zero": 120, "type": "u8"}, [values])
    np.testing.assert_array_equal(codes, np.moveaxis(same, 1, -1))
    (floats,) = agrees("dequantize", {"scale": 0.05, "zero": 120, "layout": "first"}, [codes])
    np.testing.assert_array_equal(floats, (same.astype(np.float32) - 120) * np.float32(0.05))


@pytest.mark.parametrize("layout", ["same", "first"])
def test_sums_are_dequantized_too(agrees: Agrees, layout: str) -> None:
    rng = np.random.default_rng(4)
    sums = rng.integers(-(2**31), 2**31, (2, 3, 5, 17), np.int32)
    agrees("dequantize", {"scale": 1e-4, "zero": 0, "layout": layout}, [sums])
    agrees("dequantize", {"scale": 1e-4, "zero": 5, "layout": layout}, [sums])


@pytest.mark.parametrize(
    ("kind", "attributes", "message"),
    [
        ("quantize", {"scale": -1.0, "zero": 0, "type": "u8"}, "not above 0"),
        ("quantize", {"scale": 1.0, "zero": 128, "type": "s8"}, "outside -128..127"),
        ("quantize", {"scale": 1.0, "zero": 0, "type": "u8", "layout": "first"}, "'layout'"),
        ("dequantize", {"scale": 1.0, "zero": 0, "layout": "last"}, "'layout'"),
        ("dequantize", {"scale": float("nan"), "zero": 0}, "not finite"),
    ],
)
def test_attributes_that_do_not_fit_are_refused(kind: str, attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operator(kind, attributes)


def test_inputs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="takes f32"):
        Operator("quantize", {"scale": 1.0, "zero": 0, "type": "u8"}).bind([np.zeros(3, np.uint8)])
    with pytest.raises(ValueError, match="no axis of channels"):
        Operator("quantize", {"scale": 1.0, "zero": 0, "type": "u8", "layout": "last"}).bind(
            [np.zeros(3, np.float32)]
        )
    with pytest.raises(ValueError, match="-1, which is no u8"):
        Operator("dequantize", {"scale": 1.0, "zero": -1}).bind([np.zeros(3, np.uint8)])
