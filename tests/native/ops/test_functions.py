"""unary and binary: functions of floats, element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt._native import Operator
from graphopt.native.lower.pointwise import BINARY, FUNCTIONS, apply, combine

Agrees = Callable[..., list[Any]]
PARAMETERS: dict[str, dict[str, float]] = {
    "hard_sigmoid": {"alpha": 0.2, "beta": 0.5},
    "leaky_relu": {"alpha": 0.01},
    "elu": {"alpha": 1.5},
    "clip": {"low": -1.0, "high": 2.5},
}


@pytest.mark.parametrize("op", sorted(FUNCTIONS))
def test_functions_are_those_of_tables(agrees: Agrees, op: str) -> None:
    """What programs compute on floats is what lowering writes into tables of codes."""
    x = np.concatenate([np.linspace(-12, 12, 9001), [0.0, -0.0, 1e-30, 80.0, -80.0]]).astype(np.float32)
    if op in ("log", "sqrt"):
        x = np.abs(x) + np.float32(1e-6)
    if op == "reciprocal":
        x[x == 0] = 1
    attributes = PARAMETERS.get(op, {})
    (found,) = agrees("unary", {"op": op, **attributes}, [x])
    np.testing.assert_allclose(found, apply(op, attributes, x), rtol=2e-6, atol=3e-7)


def test_ends_are_as_they_should_be(agrees: Agrees) -> None:
    x = np.array([np.inf, -np.inf, np.nan, 500, -500], np.float32)
    for op, expected in {
        "sigmoid": [1, 0, np.nan, 1, 0],
        "tanh": [1, -1, np.nan, 1, -1],
        "softplus": [np.inf, 0, np.nan, 500, 0],
        "relu": [np.inf, 0, 0, 500, 0],
        "exp": [np.inf, 0, np.nan, np.inf, 0],
    }.items():
        (found,) = agrees("unary", {"op": op}, [x])
        np.testing.assert_array_equal(found, np.array(expected, np.float32), op)


@pytest.mark.parametrize("op", sorted(BINARY))
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((2, 3, 17), (2, 3, 17)),
        ((2, 3, 17), (17,)),
        ((17,), (2, 3, 17)),
        ((2, 3, 1), (1, 17)),
        ((5, 4), ()),
        ((), (5, 4)),
    ],
)
def test_functions_of_two(agrees: Agrees, op: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    left = rng.uniform(0.5, 3, a).astype(np.float32)
    right = rng.uniform(0.5, 3, b).astype(np.float32)
    (found,) = agrees("binary", {"op": op}, [left, right])
    np.testing.assert_allclose(found, combine(op, left, right), rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "attributes", "message"),
    [
        ("unary", {"op": "cosecant"}, "no function of one number: 'cosecant'"),
        ("unary", {"op": "relu", "alpha": 1.0}, "no attribute is named 'alpha'"),
        ("unary", {"op": "clip", "low": 1.0}, "'high' is missing"),
        ("binary", {"op": "relu"}, "no function of two numbers"),
    ],
)
def test_unknown_functions_are_refused(kind: str, attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Operator(kind, attributes)


def test_codes_are_no_numbers() -> None:
    for kind, count in (("unary", 1), ("binary", 2)):
        operator = Operator(kind, {"op": "neg" if count == 1 else "add"})
        with pytest.raises(ValueError, match="take f32, not u8"):
            operator.bind([np.zeros(3, np.uint8)] * count)
