"""add and mul: two inputs of codes with numpy's broadcasting, requantized."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]

SCALES: dict[str, Any] = {"a_scale": 0.02, "b_scale": 0.013, "y_scale": 0.03}
ZEROS: dict[str, Any] = {"a_zero": 3, "b_zero": 200, "y_zero": 7, "y_type": "u8"}
KINDS = ["add", "mul"]


def codes(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.uint8) -> Any:
    info = np.iinfo(dtype)
    found = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    return np.where(rng.random(shape) < 0.1, rng.choice([info.min, info.max], shape), found).astype(dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 31, 32, 33, 63, 64, 65, 127, 128, 129, 40_000])
def test_all_tails(agrees: Agrees, kind: str, count: int) -> None:
    rng = np.random.default_rng(count)
    agrees(kind, SCALES | ZEROS, [codes(rng, (count,)), codes(rng, (count,))])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 3, 4, 70), (2, 3, 4, 70)),
        ((2, 3, 4, 70), (2, 1, 1, 70)),
        ((2, 1, 1, 33), (2, 3, 4, 33)),
        ((2, 3, 4, 24), (24,)),
        ((2, 3, 4, 24), ()),
        ((2, 3, 4, 24), (1, 1, 1, 1)),
        ((), (5, 7)),
        ((2, 3, 4, 1), (2, 3, 4, 9)),
        ((5, 1, 6), (4, 1)),
        ((3, 1), (1, 2)),
        ((70, 1), (70, 1)),
        ((300, 65), (300, 1)),
        ((2, 0, 3), (1, 3)),
    ],
)
def test_broadcasting(agrees: Agrees, kind: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    (found,) = agrees(kind, SCALES | ZEROS, [codes(rng, a), codes(rng, b)])
    assert found.shape == np.broadcast_shapes(a, b)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "types", [("u8", "u8", "s8"), ("s8", "u8", "u8"), ("u8", "s8", "s8"), ("s8", "s8", "s8")]
)
def test_signed_codes_extreme_zeros_and_bounds(
    agrees: Agrees, kind: str, types: tuple[str, str, str]
) -> None:
    rng = np.random.default_rng(6)
    dtypes = {"u8": np.uint8, "s8": np.int8}
    inputs = [codes(rng, (3, 67), dtypes[each]) for each in types[:2]]
    for end in (0, 1):
        a_zero, b_zero, y_zero = ((-128, 127) if each == "s8" else (0, 255) for each in types)
        attributes: dict[str, Any] = {"a_zero": a_zero[end], "b_zero": b_zero[end], "y_zero": y_zero[end]}
        agrees(kind, SCALES | attributes | {"y_type": types[2]}, inputs)
        agrees(kind, SCALES | attributes | {"y_type": types[2], "y_low": 2, "y_high": 101}, inputs)
        agrees(kind, SCALES | attributes | {"y_type": types[2], "y_scale": 1e-30}, inputs)


@pytest.mark.parametrize("kind", KINDS)
def test_ties_go_to_even(agrees: Agrees, kind: str) -> None:
    """Half units everywhere: where rounding goes wrong first. The zero point counts before it."""
    a, b = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    attributes = {
        "a_scale": 0.5,
        "b_scale": 0.5,
        "y_scale": 1.0,
        "a_zero": 0,
        "b_zero": 1,
        "y_zero": 1,
        "y_type": "u8",
    }
    (found,) = agrees(
        kind, attributes, [np.ascontiguousarray(a), np.ascontiguousarray(b)], threads=(1,), gaps=(0,)
    )
    left, right = a.astype(float), b.astype(float) - 1
    exact = (left + right) / 2 if kind == "add" else left * right / 4
    np.testing.assert_array_equal(found, np.clip(np.rint(exact + 1), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("types", [("u8", "u8", "u8"), ("s8", "u8", "s8")])
@pytest.mark.parametrize("seed", range(6))
def test_every_sum_of_two_codes(agrees: Agrees, types: tuple[str, str, str], seed: int) -> None:
    """Large sums are computed in integers where these round as floats do: of few scales, not of all."""
    rng = np.random.default_rng(seed)
    a, b = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8), indexing="ij")
    inputs = [
        each.copy().view(np.int8 if type_ == "s8" else np.uint8)
        for each, type_ in zip((a, b), types[:2], strict=True)
    ]
    low = [-128 if each == "s8" else 0 for each in types]
    for end in (0, 1):
        scales = np.exp(rng.uniform(-4, 0, 3))
        if end == 0:
            scales[2] = max(scales[:2]) * rng.uniform(1, 2)
        attributes: dict[str, Any] = dict(
            zip(("a_scale", "b_scale", "y_scale"), map(float, scales), strict=True)
        )
        zeros = [int(rng.integers(first, first + 256)) for first in low]
        attributes |= dict(zip(("a_zero", "b_zero", "y_zero"), zeros, strict=True))
        if seed == 1:
            attributes |= {"y_low": zeros[2], "y_high": zeros[2]}
        agrees("add", attributes | {"y_type": types[2]}, inputs, threads=(1,), gaps=(0,))


@pytest.mark.parametrize("columns", [1, 31, 32, 33, 63, 64, 65, 127, 128, 129])
def test_all_tails_of_large_sums(agrees: Agrees, columns: int) -> None:
    rng = np.random.default_rng(columns)
    shape = (4200 // columns + 1, columns)
    agrees("add", SCALES | ZEROS, [codes(rng, shape), codes(rng, shape)])
    agrees("add", SCALES | ZEROS, [codes(rng, shape), codes(rng, shape[1:])], threads=(1,))


@pytest.mark.parametrize(
    ("a_scale", "b_scale"), [(1e-20, 1e-20), (1e-20, 1.0), (1e20, 1.0), (1e6, 1e6), (40.0, 90.0)]
)
def test_sums_of_scales_far_apart(agrees: Agrees, a_scale: float, b_scale: float) -> None:
    rng = np.random.default_rng(8)
    inputs = [codes(rng, (70, 64)), codes(rng, (70, 64))]
    agrees("add", ZEROS | {"a_scale": a_scale, "b_scale": b_scale, "y_scale": 1.0}, inputs, threads=(1,))


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_is_applied_to_the_codes(agrees: Agrees, kind: str) -> None:
    rng = np.random.default_rng(7)
    table = codes(rng, (256,))
    inputs = [codes(rng, (5, 37)), codes(rng, (5, 37))]
    (plain,) = agrees(kind, SCALES | ZEROS, inputs)
    (found,) = agrees(kind, SCALES | ZEROS | {"table": table, "table_type": "s8"}, inputs)
    np.testing.assert_array_equal(found, table[plain].view(np.int8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a_scale": 0.0}, "'a_scale' is not above 0"),
        ({"a_zero": 256}, "outside -128..255"),
        ({"y_zero": -1}, "outside 0..255"),
        ({"y_type": "s32"}, "s32, not u8 or s8"),
        ({"y_low": 9, "y_high": 8}, "above"),
        ({"table": np.zeros(9, np.uint8), "table_type": "u8"}, "9 bytes"),
        ({"more": 1}, "no attribute is named 'more'"),
    ],
)
def test_what_is_no_sum_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operator("add", SCALES | ZEROS | change)


def test_inputs_that_do_not_fit_are_refused() -> None:
    operator = Operator("add", SCALES | ZEROS)
    with pytest.raises(ValueError, match="do not broadcast"):
        operator.bind([np.zeros((2, 3), np.uint8), np.zeros((2, 2), np.uint8)])
    with pytest.raises(ValueError, match="200, which is no s8"):
        operator.bind([np.zeros(3, np.uint8), np.zeros(3, np.int8)])
    with pytest.raises(ValueError, match="u8 or s8, not f32"):
        operator.bind([np.zeros(3, np.float32), np.zeros(3, np.uint8)])
