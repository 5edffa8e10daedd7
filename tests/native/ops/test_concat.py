"""concat and reshape: elements in another order, or under other axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]
DTYPES: list[Any] = [np.uint8, np.int8, np.float32, np.int32, np.int64, np.bool_]


def values(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Any:
    return rng.integers(0, 2 if dtype == np.bool_ else 127, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_any_type_along_any_axis(agrees: Agrees, dtype: Any, axis: int) -> None:
    rng = np.random.default_rng(1)
    shapes = [[2, 3, 5] for _ in range(3)]
    for shape, size in zip(shapes, (1, 4, 0), strict=True):
        shape[axis] = size
    inputs = [values(rng, tuple(shape), dtype) for shape in shapes]
    (found,) = agrees("concat", {"axis": axis}, inputs)
    np.testing.assert_array_equal(found, np.concatenate(inputs, axis))


@pytest.mark.parametrize("axis", [1, 3])
def test_codes_are_requantized_as_by_two_operators(agrees: Agrees, axis: int) -> None:
    rng = np.random.default_rng(2)
    inputs = [
        rng.integers(0, 256, (2, 16, 9, 40), np.uint8),
        rng.integers(-128, 128, (2, 16, 9, 40), np.int8),
    ]
    attributes: dict[str, Any] = {"axis": axis, "scales": [0.1, 0.07], "zeros": [3, -5]}
    (found,) = agrees("concat", attributes | {"y_type": "u8", "y_scale": 0.1, "y_zero": 3}, inputs)
    (floats,) = Operator("dequantize", {"scale": 0.07, "zero": -5}).reference([inputs[1]])
    (codes,) = Operator("quantize", {"scale": 0.1, "zero": 3, "type": "u8"}).reference([floats])
    np.testing.assert_array_equal(found, np.concatenate([inputs[0], codes], axis))


def test_many_rows_and_long_rows(agrees: Agrees) -> None:
    rng = np.random.default_rng(3)
    agrees("concat", {"axis": 1}, [values(rng, (5000, 3), np.uint8), values(rng, (5000, 2), np.uint8)])
    agrees("concat", {"axis": 1}, [values(rng, (1, 99_000), np.int32), values(rng, (1, 98_304), np.int32)])


@pytest.mark.parametrize(
    ("attributes", "shapes", "message"),
    [
        ({"axis": 2}, [(2, 3), (2, 3)], "'axis'"),
        ({"axis": 0}, [(2, 3), (2, 4)], "no continuation"),
        ({"axis": 0}, [(2, 3), (3,)], "no continuation"),
        ({"axis": 0}, [], "at least one"),
        (
            {"axis": 0, "scales": [1.0], "zeros": [0], "y_type": "u8", "y_scale": 1.0, "y_zero": 0},
            [(2, 3), (2, 3)],
            "one for each input",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    attributes: dict[str, Any], shapes: list[tuple[int, ...]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Operator("concat", attributes).bind([np.zeros(shape, np.uint8) for shape in shapes])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dims", [[24], [0, -1], [2, 3, 4], [-1, 2], [1, 24, 1], [0, 0, 4, 1]])
def test_reshaped(agrees: Agrees, dtype: Any, dims: list[int]) -> None:
    given = values(np.random.default_rng(4), (2, 3, 4), dtype)
    (found,) = agrees("reshape", {"dims": dims}, [given])
    shape = [given.shape[axis] if size == 0 else size for axis, size in enumerate(dims)]
    np.testing.assert_array_equal(found, given.reshape(shape))


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ([5], "does not become"),
        ([-1, -1], "more than one"),
        ([-2], "has -2"),
        ([2, 3, 4, 0], "no axis"),
        ([5, -1], "does not become"),
    ],
)
def test_what_does_not_fit_is_not_reshaped(dims: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operator("reshape", {"dims": dims}).bind([np.zeros((2, 3, 4), np.uint8)])
