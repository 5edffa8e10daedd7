"""unary and binary: functions of floats, element by element."""

from __future__ import annotations

import math
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
    "replace_nan": {"value": 0.5},
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
        "relu": [np.inf, 0, np.nan, 500, 0],
        "exp": [np.inf, 0, np.nan, np.inf, 0],
    }.items():
        (found,) = agrees("unary", {"op": op}, [x])
        np.testing.assert_array_equal(found, np.array(expected, np.float32), op)


def logistic(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def true_mish(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return x * np.where(x < 0, e * (e + 2) / (e * (e + 2) + 2), (1 + 2 * e) / (1 + 2 * e + 2 * e * e))


def mapped(function: Callable[[float], float]) -> Callable[[Any], Any]:
    return np.vectorize(function, otypes=[np.float64])


TRUE: dict[str, tuple[Callable[[Any], Any], float, float]] = {
    "exp": (np.exp, 1.5, 0),
    "log": (np.log, 1, 0),
    "sigmoid": (logistic, 3, 0),
    "tanh": (np.tanh, 2, 0),
    "erf": (mapped(math.erf), 2, 0),
    "gelu": (lambda x: 0.5 * x * mapped(math.erfc)(-x / math.sqrt(2)), 4, 5e-8),
    "gelu_tanh": (lambda x: x * logistic(math.sqrt(8 / math.pi) * (x + 0.044715 * x**3)), 4, 5e-8),
    "silu": (lambda x: x * logistic(x), 4, 1e-42),
    "softplus": (lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), 3, 0),
    "mish": (true_mish, 5, 1e-42),
}
"""In float64; how many units in the last place a result may be off, and how much else."""


@pytest.mark.parametrize("op", sorted(TRUE))
def test_results_are_near_the_true_ones(tier: str, op: str) -> None:
    rng = np.random.default_rng(3)
    small = 10.0 ** rng.uniform(-45, 0, 4000)
    x = np.concatenate([rng.uniform(-110, 88.7, 20000), rng.uniform(-9, 9, 20000), small, -small])
    x = x.astype(np.float32)
    if op == "log":
        x = np.concatenate([np.abs(x), (2.0 ** rng.uniform(-149, 128, 20000)).astype(np.float32)])
        x = x[(x > 0) & np.isfinite(x)]
    function, units, rest = TRUE[op]
    with np.errstate(under="ignore"):
        true = function(x.astype(np.float64))
    (found,) = Operator("unary", {"op": op}, tier=tier).bind([x]).run()
    step = np.spacing(np.abs(true).astype(np.float32)).astype(np.float64)
    assert np.all(np.abs(found.astype(np.float64) - true) <= units * step + rest)


@pytest.mark.parametrize("op", sorted(TRUE))
@pytest.mark.parametrize("count", [*range(1, 34), 63, 65, 8191, 8193])
def test_every_count(tier: str, op: str, count: int) -> None:
    operator = Operator("unary", {"op": op}, tier=tier)
    x = np.random.default_rng(count).normal(0, 3, count).astype(np.float32)
    (expected,) = operator.reference([x])
    for at_start in (False, True):
        np.testing.assert_array_equal(operator.bind([x], 1, at_start).run()[0], expected)


def test_functions_keep_infinities_zeros_and_what_is_no_number(agrees: Agrees) -> None:
    infinite = np.float32(np.inf)
    x = np.array([infinite, -infinite, np.nan, 0.0, -0.0, 3e38, -3e38, 1e-42, -1e-42], np.float32)
    expected: dict[str, list[Any]] = {
        "exp": [infinite, 0, np.nan, 1, 1, infinite, 0, 1, 1],
        "log": [infinite, np.nan, np.nan, -infinite, -infinite, np.log(3e38), np.nan, np.log(1e-42), np.nan],
        "tanh": [1, -1, np.nan, 0, -0.0, 1, -1, 1e-42, -1e-42],
        "erf": [1, -1, np.nan, 0, -0.0, 1, -1, np.float32(1e-42) * np.float32(1.1283792), None],
        "gelu": [infinite, -0.0, np.nan, 0, -0.0, 3e38, -0.0, 5e-43, -5e-43],
        "gelu_tanh": [infinite, -0.0, np.nan, 0, -0.0, 3e38, -0.0, 5e-43, -5e-43],
        "silu": [infinite, -0.0, np.nan, 0, -0.0, 3e38, -0.0, 5e-43, -5e-43],
        "mish": [infinite, -0.0, np.nan, 0, -0.0, 3e38, -0.0, 6e-43, -6e-43],
    }
    for op, ends in expected.items():
        (found,) = agrees("unary", {"op": op}, [x])
        wanted = np.array([-ends[7] if end is None else end for end in ends], np.float32)
        np.testing.assert_allclose(found, wanted, rtol=1e-5 if op == "log" else 0, atol=2e-45, err_msg=op)
        number = ~np.isnan(wanted)
        np.testing.assert_array_equal(np.signbit(found)[number], np.signbit(wanted)[number], op)


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


@pytest.mark.parametrize("op", sorted(BINARY))
def test_what_is_no_number_stays_so(agrees: Agrees, op: str) -> None:
    ends = np.array([np.nan, 1, 0, -0.0, np.inf], np.float32)
    left, right = (each.ravel() for each in np.meshgrid(ends, ends[:-1]))
    (found,) = agrees("binary", {"op": op}, [left, right])
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found, combine(op, left, right))


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
    for kind, taken in (("unary", "f32"), ("binary", "f32, s32 or s64")):
        operator = Operator(kind, {"op": "neg" if kind == "unary" else "add"})
        with pytest.raises(ValueError, match=f"take {taken}, not u8"):
            operator.bind([np.zeros(3, np.uint8)] * (1 if kind == "unary" else 2))
