"""matmul: codes by codes, both computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator

Agrees = Callable[..., list[Any]]
CODES = {"u8": (0, 256, np.uint8), "s8": (-128, 128, np.int8)}
SCALES = {"a_scale": 0.02, "b_scale": 0.03}
NUMBERS: dict[str, Any] = SCALES | {"a_zero": 3, "b_zero": 5, "y_type": "f32"}


def codes(type_: str, shape: tuple[int, ...], seed: int = 0) -> Any:
    low, high, dtype = CODES[type_]
    return np.random.default_rng(seed).integers(low, high, shape).astype(dtype)


@pytest.mark.parametrize("a_type", ["u8", "s8"])
@pytest.mark.parametrize("b_type", ["u8", "s8"])
@pytest.mark.parametrize("transpose", [0, 1])
def test_products_are_exact(agrees: Agrees, a_type: str, b_type: str, transpose: int) -> None:
    for rows, columns, depth in [(1, 1, 1), (7, 33, 18), (13, 70, 5), (2, 130, 0)]:
        a, b = codes(a_type, (rows, depth)), codes(b_type, (depth, columns), 1)
        given = np.ascontiguousarray(b.T) if transpose else b
        attributes = NUMBERS | {"a_scale": 1.0, "b_scale": 1.0, "transpose_b": transpose}
        (found,) = agrees("matmul", attributes, [a, given])
        np.testing.assert_array_equal(found, (a.astype(np.int64) - 3) @ (b.astype(np.int64) - 5))


@pytest.mark.parametrize("y_type", ["u8", "s8"])
@pytest.mark.parametrize(("a_zero", "b_zero"), [(0, 0), (127, 0), (0, 127), (9, 100)])
def test_codes_of_the_result(agrees: Agrees, y_type: str, a_zero: int, b_zero: int) -> None:
    zeros = {"a_zero": a_zero, "b_zero": b_zero}
    result: dict[str, Any] = {"y_type": y_type, "y_scale": 0.5, "y_zero": 11}
    for a_type, b_type in (("u8", "u8"), ("s8", "s8"), ("u8", "s8")):
        inputs = [codes(a_type, (9, 21)), codes(b_type, (21, 40), 1)]
        agrees("matmul", SCALES | zeros | result, inputs)
        table = {"table": codes("u8", (256,)), "table_type": "u8"}
        agrees("matmul", SCALES | zeros | result | table, inputs, threads=(1,))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 3, 4, 6), (2, 3, 6, 5)),
        ((3, 4, 6), (6, 5)),
        ((4, 6), (2, 3, 6, 5)),
        ((2, 1, 4, 6), (3, 6, 5)),
        ((1, 3, 4, 6), (2, 1, 6, 5)),
        ((0, 4, 6), (6, 5)),
        ((2, 0, 6), (6, 5)),
        ((2, 4, 6), (6, 0)),
    ],
)
def test_matrices_broadcast(agrees: Agrees, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    inputs = [codes("u8", a), codes("u8", b, 1)]
    (found,) = agrees("matmul", NUMBERS | {"a_scale": 1.0, "b_scale": 1.0}, inputs)
    wanted = (inputs[0].astype(np.int64) - 3) @ (inputs[1].astype(np.int64) - 5)
    np.testing.assert_array_equal(found, wanted)


def test_blocks_of_rows_and_panels(agrees: Agrees) -> None:
    agrees("matmul", NUMBERS, [codes("u8", (2, 210, 64)), codes("s8", (2, 64, 150), 1)], threads=(1, 2, 4))


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.zeros((2, 3), np.uint8), np.zeros((4, 5), np.uint8), r"multiplies \[2, 3\] by \[4, 5\]"),
        (np.zeros(3, np.uint8), np.zeros((3, 5), np.uint8), r"multiplies \[3\]"),
        (np.zeros((2, 2, 3), np.uint8), np.zeros((3, 3, 5), np.uint8), "multiplies"),
        (np.zeros((2, 3), np.float32), np.zeros((3, 5), np.uint8), "u8 or s8, not f32"),
        (np.zeros((2, 3), np.int8), np.zeros((3, 5), np.uint8), "'a_zero' is 200, no code of s8"),
    ],
)
def test_inputs_that_are_refused(a: Any, b: Any, message: str) -> None:
    operator = Operator("matmul", NUMBERS | {"a_zero": 200})
    with pytest.raises(ValueError, match=message):
        operator.bind([a, b])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"residual": 1}, "nothing can be added"),
        ({"float_bias": np.zeros(1, np.float32)}, "'float_bias' is not known"),
        ({"b_scale": 0.0}, "'b_scale' is not above 0"),
        ({"transpose_b": 2}, "'transpose_b' is 2"),
        ({"more": 1}, "no attribute is named 'more'"),
    ],
)
def test_attributes_that_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operator("matmul", NUMBERS | change)
