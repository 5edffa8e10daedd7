"""Distances of arrays: known answers, equal arrays, zeros, and what is not finite."""

from __future__ import annotations

import math

import numpy as np
import pytest

from graphopt.errors import UsageError
from graphopt.quant import cosine, mse, relative_l2, sqnr_db

R = np.array([3.0, -4.0])


def test_known_answers() -> None:
    a = np.array([3.0, -4.5])
    assert mse(R, a) == pytest.approx(0.125)
    assert relative_l2(R, a) == pytest.approx(0.1)
    assert sqnr_db(R, a) == pytest.approx(20)
    assert cosine(R, np.array([4.0, 3.0])) == pytest.approx(0)
    assert cosine(R, -2 * R) == pytest.approx(-1)


@pytest.mark.parametrize("array", [R, np.zeros(3), np.zeros(0), np.array([np.nan, np.inf, -np.inf, 1])])
def test_equal_arrays(array: np.ndarray) -> None:
    assert (mse(array, array), relative_l2(array, array)) == (0, 0)
    assert (sqnr_db(array, array), cosine(array, array)) == (math.inf, 1)


@pytest.mark.parametrize("array", [np.array([np.nan, 1]), np.array([1, np.inf])])
def test_what_is_not_finite_in_one_alone_is_infinitely_far(array: np.ndarray) -> None:
    assert (mse(R, array), relative_l2(R, array)) == (math.inf, math.inf)
    assert (sqnr_db(R, array), cosine(R, array)) == (-math.inf, 0)


def test_zero_against_something() -> None:
    zero = np.zeros(2)
    assert (sqnr_db(zero, R), relative_l2(zero, R), cosine(zero, R)) == (-math.inf, math.inf, 0)
    assert (sqnr_db(R, zero), relative_l2(R, zero), cosine(R, zero)) == (0, 1, 0)


def test_half_precision_is_summed_in_double() -> None:
    half = np.full(100_000, 100, np.float16)
    assert mse(half, np.zeros_like(half)) == 10_000


def test_shapes_have_to_be_the_same() -> None:
    with pytest.raises(UsageError, match="cannot be compared"):
        mse(R, R[:1])
