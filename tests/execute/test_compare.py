"""The criterion of equality, by type."""

from __future__ import annotations

import json
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from graphopt.execute.compare import TOLERANCES, OutputDifference, compare, compare_signatures

F = np.float32


def one(expected: Any, actual: Any, **options: Any) -> OutputDifference:
    (difference,) = compare({"y": expected}, {"y": actual}, **options)
    return difference


def test_same_bits_are_exact() -> None:
    difference = one(np.array([1, np.nan, np.inf], F), np.array([1, np.nan, np.inf], F))
    assert (difference.equal, difference.exact, difference.max_ulp) == (True, True, 0)


def test_one_unit_in_the_last_place_is_equal_but_not_exact() -> None:
    expected = np.array([1, 2, 3], F)
    difference = one(expected, np.nextafter(expected, F(9)))
    assert (difference.equal, difference.exact, difference.max_ulp) == (True, False, 1)


def test_zeros_of_opposite_sign_are_equal_but_not_exact() -> None:
    difference = one(np.zeros(1, F), -np.zeros(1, F))
    assert (difference.equal, difference.exact, difference.max_ulp) == (True, False, 0)


def test_float32_must_agree_to_one_in_ten_thousand() -> None:
    expected = np.ones(8, F)
    assert one(expected, expected * F(1.00009)).equal
    difference = one(expected, expected * F(1.00011))
    assert not difference.equal
    assert difference.mismatched == 8
    assert difference.max_rel == pytest.approx(1.1e-4, rel=1e-2)


def test_small_elements_are_measured_against_the_typical_one() -> None:
    expected = np.array([1.0, -1.0, 1e-6], F)
    assert one(expected, expected + np.array([0, 0, 5e-5], F)).equal
    assert not one(expected, expected + np.array([0, 0, 2e-4], F)).equal


def test_one_large_element_does_not_hide_the_others() -> None:
    expected = np.full(10_000, 1e-3, F)
    expected[0] = 1.0
    actual = expected.copy()
    actual[1:] *= F(1.01)
    difference = one(expected, actual)
    assert not difference.equal
    assert difference.mismatched == 9999


@pytest.mark.parametrize(
    ("expected", "actual", "reason"),
    [
        ([np.nan, 1], [1, 1], "NaN at 1 of 2"),
        ([1, 1], [np.nan, 1], "NaN at 1 of 2"),
        ([np.inf, 1], [-np.inf, 1], "infinite at 1 of 2"),
        ([np.inf, 1], [3e38, 1], "infinite at 1 of 2"),
    ],
)
def test_nan_and_infinities_must_meet_their_like(
    expected: list[float], actual: list[float], reason: str
) -> None:
    difference = one(np.array(expected, F), np.array(actual, F))
    assert not difference.equal
    assert reason in difference.reason


def test_doubles_at_both_ends_of_the_range_do_not_overflow() -> None:
    difference = one(np.array([1e308]), np.array([-1e308]))
    assert not difference.equal
    assert difference.max_ulp is not None and difference.max_ulp > 2**63


@pytest.mark.parametrize("dtype", list(TOLERANCES))
def test_each_type_has_its_own_tolerance(dtype: np.dtype[Any]) -> None:
    expected = np.ones(4, dtype)
    inside = (np.ones(4) * (1 + 0.4 * TOLERANCES[dtype].rtol)).astype(dtype)
    outside = (np.ones(4) * (1 + 2.5 * TOLERANCES[dtype].rtol)).astype(dtype)
    assert one(expected, inside).equal
    assert not one(expected, outside).equal


def test_given_tolerances_replace_the_defaults() -> None:
    assert one(np.ones(2, F), np.full(2, 1.05, F), rtol=0.1, atol=0.0).equal
    assert not one(np.ones(2, F), np.full(2, 1.00001, F), rtol=0.0, atol=0.0).equal


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (np.array([1, 2]), np.array([1, 3])),
        (np.array([True]), np.array([False])),
        (np.array(["a"], object), np.array(["b"], object)),
    ],
)
def test_discrete_outputs_must_be_equal(expected: Any, actual: Any) -> None:
    assert one(expected, expected).exact
    difference = one(expected, actual)
    assert not difference.equal
    assert difference.reason.startswith("1 of")


def test_text_types_of_numpy_are_one_type() -> None:
    assert one(np.array(["a"]), np.array(["a"], object)).equal


@pytest.mark.parametrize(
    ("expected", "actual", "reason"),
    [
        (np.ones(2, F), np.ones(3, F), "expected shape [2], got [3]"),
        (np.ones(2, F), np.ones(2), "expected type float32, got float64"),
        (np.ones(2, F), [np.ones(2, F)], "expected a tensor, got a sequence"),
        ([np.ones(2, F)], [], "expected a sequence of 1, got 0"),
        (None, np.ones(1, F), "expected nothing, got a value"),
    ],
)
def test_shape_type_and_kind_must_match(expected: Any, actual: Any, reason: str) -> None:
    difference = one(expected, actual)
    assert not difference.equal
    assert difference.reason == reason


def test_sequences_are_compared_element_by_element() -> None:
    difference = one([np.ones(2, F), np.ones(1, F)], [np.ones(2, F), np.zeros(1, F)])
    assert not difference.equal
    assert difference.reason.startswith("element 1:")
    assert difference.elements == 3


def test_a_missing_output_is_a_difference() -> None:
    (difference,) = compare({"y": np.ones(1, F)}, {})
    assert (difference.equal, difference.reason) == (False, "missing")


def test_empty_arrays_and_absent_optionals_are_equal() -> None:
    assert one(np.zeros((0, 3), F), np.zeros((0, 3), F)).exact
    assert one(None, None).exact


def test_bfloat16_is_compared_in_its_own_units() -> None:
    expected = np.ones(2, ml_dtypes.bfloat16)
    actual = (expected.astype(F) + F(2**-7)).astype(ml_dtypes.bfloat16)
    assert one(expected, actual).max_ulp == 1


def test_signatures_ignore_values_and_never_claim_exactness() -> None:
    (difference,) = compare_signatures({"y": np.zeros(2, F)}, {"y": np.ones(2, F)})
    assert (difference.equal, difference.exact) == (True, False)
    (difference,) = compare_signatures({"y": np.zeros(2, F)}, {"y": np.ones(3, F)})
    assert not difference.equal


def test_every_difference_is_valid_json() -> None:
    json.dumps(one(np.zeros(1, F), np.ones(1, F)).to_dict(), allow_nan=False)
