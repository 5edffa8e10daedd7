"""Functions and reductions of integers, and casts: what leaves a type's range is defined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]
INTEGERS: list[Any] = [np.int32, np.int64]
ALL: list[Any] = [np.float32, np.uint8, np.int8, np.int32, np.int64, np.bool_]


def quotient(a: Any, b: Any) -> Any:
    """Towards 0; 0 of what is divided by 0; the least by -1 wraps."""
    with np.errstate(all="ignore"):
        down, rest = np.floor_divide(a, b), np.remainder(a, b)
        return np.where(b == 0, 0, down + ((rest != 0) & ((a < 0) != (b < 0)))).astype(a.dtype)


FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": quotient,
    "min": np.minimum,
    "max": np.maximum,
}


def numbers(dtype: Any, shape: tuple[int, ...], seed: int = 0) -> Any:
    """Small ones, those of the whole range, and its ends."""
    rng = np.random.default_rng(seed)
    if dtype == np.bool_:
        return rng.random(shape) < 0.5
    if dtype == np.float32:
        return (rng.normal(0, 1, shape) * 10.0 ** rng.integers(-2, 3, shape)).astype(np.float32)
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    x[rng.random(shape) < 0.5] %= 7
    ends = np.array([info.min, info.max, 0, 1, info.max if info.min == 0 else -1]).astype(dtype)
    return np.where(rng.random(shape) < 0.2, rng.choice(ends, shape), x)


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("op", FUNCTIONS)
@pytest.mark.parametrize(
    ("a", "b"),
    [((3, 700), (3, 700)), ((2, 3, 17), (17,)), ((), (5, 4)), ((2, 3, 1), (1, 17)), ((0, 3), (3,))],
)
def test_functions_of_two(
    agrees: Agrees, op: str, dtype: Any, a: tuple[int, ...], b: tuple[int, ...]
) -> None:
    left, right = numbers(dtype, a, 1), numbers(dtype, b, 2)
    (found,) = agrees("binary", {"op": op}, [left, right])
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found, FUNCTIONS[op](left, right))


def test_what_is_divided_by_nothing_or_leaves_the_range_is_defined(agrees: Agrees) -> None:
    for dtype in INTEGERS:
        info = np.iinfo(dtype)
        a = np.array([7, -7, 7, 0, info.min, info.min], dtype)
        b = np.array([2, 2, 0, 0, -1, 0], dtype)
        np.testing.assert_array_equal(agrees("binary", {"op": "div"}, [a, b])[0], [3, -3, 0, 0, info.min, 0])


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("axes", [[], [0], [2], [0, 2], [0, 1, 2]])
@pytest.mark.parametrize("op", ["sum", "sum_squares", "max", "min"])
def test_reductions(agrees: Agrees, op: str, axes: list[int], dtype: Any) -> None:
    x = numbers(dtype, (3, 5, 70))
    (found,) = agrees("reduce", {"op": op, "axes": axes, "keepdims": 0}, [x])
    taken = tuple(axes)
    with np.errstate(all="ignore"):
        expected = {
            "sum": lambda: x.sum(taken, dtype),
            "sum_squares": lambda: (x * x).sum(taken, dtype),
            "max": lambda: x.max(taken),
            "min": lambda: x.min(taken),
        }[op]()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.float32, *INTEGERS])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_running_sums(agrees: Agrees, axis: int, dtype: Any) -> None:
    for shape in ((3, 5, 70), (2, 0, 3), (1, 9000, 2)):
        x = numbers(dtype, shape)
        if shape == (1, 9000, 2):
            x = x[:, :500]
        for exclusive, reverse in ((0, 0), (1, 0), (0, 1), (1, 1)):
            what = {"axis": axis, "exclusive": exclusive, "reverse": reverse}
            (found,) = agrees("cumulate", what, [x])
            turned = np.flip(x, axis) if reverse else x
            sums = np.zeros_like(x)
            total = np.zeros_like(np.take(x, [0], axis)) if x.shape[axis] else None
            for place in range(x.shape[axis]):
                at = (*[slice(None)] * axis, slice(place, place + 1))
                if exclusive:
                    sums[at] = total
                total = total + turned[at]
                if not exclusive:
                    sums[at] = total
            np.testing.assert_array_equal(found, np.flip(sums, axis) if reverse else sums)


@pytest.mark.parametrize("to", ALL)
@pytest.mark.parametrize("dtype", ALL)
def test_casts(agrees: Agrees, dtype: Any, to: Any) -> None:
    x = numbers(dtype, (3, 7, 900))
    if dtype == np.float32 and to in (np.uint8, np.int8):
        x = np.abs(x) % 127
    (found,) = agrees("cast", {"type": names()[to]}, [x])
    np.testing.assert_array_equal(found, x.astype(to))


def names() -> dict[Any, str]:
    return dict(zip(ALL, ("f32", "u8", "s8", "s32", "s64", "bool"), strict=True))


@pytest.mark.parametrize("to", [np.uint8, np.int8, np.int32, np.int64])
def test_numbers_that_do_not_fit_become_the_nearest_that_do(agrees: Agrees, to: Any) -> None:
    info = np.iinfo(to)
    x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 2.0**31, -(2.0**31), 2.0**63, -(2.0**63), -0.9, 5.9])
    (found,) = agrees("cast", {"type": names()[to]}, [x.astype(np.float32)])
    cut = [0 if np.isnan(each) else int(np.clip(each, -1e40, 1e40)) for each in x]
    np.testing.assert_array_equal(found, [min(max(each, info.min), info.max) for each in cut])


@pytest.mark.parametrize(
    ("kind", "attributes", "dtypes", "message"),
    [
        ("binary", {"op": "pow"}, (np.int32, np.int32), "no function of two integers"),
        ("binary", {"op": "add"}, (np.int32, np.int64), "numbers of one type"),
        ("binary", {"op": "add"}, (np.int8, np.int8), "not s8"),
        ("reduce", {"op": "sum", "axes": [0], "keepdims": 0}, (np.bool_,), "not bool"),
        ("reduce", {"op": "median", "axes": [0], "keepdims": 0}, (np.int32,), "no reduction"),
        ("cumulate", {"axis": 2, "exclusive": 0, "reverse": 0}, (np.int32,), "'axis' is none of"),
        ("cumulate", {"axis": 0, "exclusive": 0, "reverse": 0}, (np.uint8,), "not u8"),
        ("cast", {"type": "f16"}, (np.int32,), "no element type"),
    ],
)
def test_what_does_not_fit_is_refused(
    kind: str, attributes: dict[str, Any], dtypes: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Operator(kind, attributes).bind([np.zeros((2, 3), dtype) for dtype in dtypes])
