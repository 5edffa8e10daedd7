"""Functions are told by their values: parameters are solved for, and near misses say where they differ."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from graphopt.idioms import POINTWISE, Found, NearMiss, Pointwise, recognize

Vector = npt.NDArray[np.float64]
ANY = frozenset().union(*(idiom.kinks for idiom in POINTWISE))


def told(
    function: Callable[[Vector], Vector], dtype: str = "float32", operators: frozenset[str] = ANY
) -> Found | NearMiss | None:
    with np.errstate(all="ignore"):
        return recognize(operators, function, dtype=dtype)


PARAMETERS = {"alpha": 0.3, "beta": 0.4, "low": -1.0, "high": 2.5}


@pytest.mark.parametrize("idiom", POINTWISE, ids=lambda idiom: idiom.name)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16"])
@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_each_idiom_is_itself(idiom: Pointwise, dtype: str, scale: float) -> None:
    factor = scale if idiom.scalable else 1.0
    outcome = told(lambda x: factor * idiom.reference(x, PARAMETERS), dtype, idiom.kinks)
    assert isinstance(outcome, Found)
    assert outcome.idiom.name == idiom.name
    assert outcome.scale == pytest.approx(factor, rel=1e-9)


@pytest.mark.parametrize(
    ("function", "name", "parameters"),
    [
        (lambda x: np.where(x < 0, 0.01 * x, x), "LeakyRelu", {"alpha": 0.01}),
        (lambda x: np.clip(0.2 * x + 0.5, 0, 1), "HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
        (lambda x: np.clip(x, -1, 6), "Clip", {"low": -1.0, "high": 6.0}),
        (lambda x: x / (1 + np.exp(-1.702 * x)), "Swish", {"alpha": 1.702}),
        (lambda x: np.logaddexp(0, 3 * x) / 3, "Softplus", {"beta": 3.0}),
        (lambda x: np.where(x < 0, 0.5 * np.expm1(np.minimum(x, 0)), x), "Elu", {"alpha": 0.5}),
        (lambda x: np.where(x < 0, 2 * np.expm1(np.minimum(x, 0) / 2), x), "Celu", {"alpha": 2.0}),
    ],
)
def test_parameters_are_solved_for(
    function: Callable[[Vector], Vector], name: str, parameters: dict[str, float]
) -> None:
    outcome = told(function)
    assert isinstance(outcome, Found)
    assert outcome.idiom.name == name
    assert {key: outcome.parameters[key] for key in parameters} == pytest.approx(parameters, rel=1e-7)


def test_a_near_miss_says_where_it_differs() -> None:
    outcome = told(lambda x: np.maximum(x, 0.0) + np.where(np.abs(x) > 7, 0.5, 0.0))
    assert isinstance(outcome, NearMiss)
    assert str(outcome).startswith(f"nearly {outcome.idiom.name}, but at x = ")


@pytest.mark.parametrize("function", [lambda x: x, lambda x: 2 * x + 1, np.sin, lambda x: x * x])
def test_other_functions_are_nothing(function: Callable[[Vector], Vector]) -> None:
    assert told(function) is None


def test_what_is_zero_must_stay_zero() -> None:
    outcome = told(lambda x: np.maximum(x, 1e-20))
    assert isinstance(outcome, Found)
    assert outcome.idiom.name == "Clip"


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_slope_beside_zero_is_no_rounding(dtype: str) -> None:
    slope = {"float16": 1e-4, "float32": 4e-8, "float64": 8e-10}[dtype]
    outcome = told(lambda x: np.where(x < 0, slope * x, x), dtype)
    assert isinstance(outcome, Found)
    assert outcome.idiom.name == "LeakyRelu"
    assert outcome.parameters["alpha"] == pytest.approx(slope, rel=1e-9)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.clip(x / 6 + 0.5, 1e-7, 1),
        lambda x: np.clip(1 / (1 + np.exp(-x)), 1e-7, 1),
        lambda x: 1 / (1 + np.exp(-x)) + 1e-7,
        lambda x: np.logaddexp(0, x) + 1e-7,
        lambda x: np.abs(x) + 1e-7,
    ],
)
def test_what_keeps_a_value_from_zero_is_no_rounding(
    function: Callable[[Vector], Vector], dtype: str
) -> None:
    assert not isinstance(told(function, dtype), Found)


def test_wider_types_are_held_to_more_digits() -> None:
    function = lambda x: x / (1 + np.exp(-x)) * np.where(x > 2, 1 + 3e-7, 1.0)  # noqa: E731
    assert isinstance(told(function), Found)
    assert isinstance(told(function, "float64"), NearMiss)
