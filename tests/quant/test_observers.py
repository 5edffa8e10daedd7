"""Observers: what range each finds, from any cut of the data into arrays, in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphopt.errors import UsageError
from graphopt.quant import OBSERVERS, Scheme, affine_for_range, make_observer, sqnr_db
from graphopt.quant.histogram import Histogram

UINT8, SYMMETRIC, UINT4 = [Scheme.parse(text) for text in ("uint8", "int8:symmetric", "uint4")]
CUT_FREE = [name for name in OBSERVERS if name != "moving-average"]
Array = npt.NDArray[Any]
VALUES = st.floats(-1e9, 1e9, width=32).filter(lambda value: value == 0 or abs(value) > 1e-20)


def observed(text: str, *arrays: Array, scheme: Scheme = UINT8) -> tuple[float, float]:
    observer = make_observer(text)
    for array in arrays:
        observer.observe(array)
    return observer.range(scheme)


def normal(size: int = 50_000, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


def test_minmax() -> None:
    assert observed("minmax", np.array([1, 5.0]), np.array([-3, 2.0])) == (-3, 5)
    assert observed("minmax", np.array([2, 5.0])) == (0, 5)


def test_moving_average() -> None:
    arrays = np.array([-1, 1.0]), np.array([-3, 11.0])
    assert observed("moving-average{momentum=0.25}", *arrays) == (-1.5, 3.5)


def test_percentile() -> None:
    low, high = observed("percentile{p=99}", normal())
    assert low == pytest.approx(np.percentile(normal(), 0.5), abs=0.01)
    assert high == pytest.approx(np.percentile(normal(), 99.5), abs=0.01)
    low, high = observed("percentile{p=99}", normal(), scheme=SYMMETRIC)
    assert high == -low == pytest.approx(np.percentile(np.abs(normal()), 99), abs=0.01)
    assert observed("percentile{p=100}", normal()) == observed("minmax", normal())


def test_percentile_counts_zeros() -> None:
    x = np.concatenate([np.zeros(9_900), np.arange(1, 101)])
    assert observed("percentile{p=99}", x)[1] == pytest.approx(50, abs=1)


@pytest.mark.parametrize("scheme", [UINT8, SYMMETRIC, UINT4])
@pytest.mark.parametrize("name", ["entropy", "mse", "percentile"])
def test_outliers_are_cut(name: str, scheme: Scheme) -> None:
    x = np.append(normal(), np.array([90, -70], np.float32))
    low, high = observed(name, x, scheme=scheme)
    assert -66 < low < -1.5 and 1.5 < high < 85


@pytest.mark.parametrize("scheme", [UINT8, SYMMETRIC, UINT4])
@pytest.mark.parametrize("shape", ["normal", "relu", "heavy", "swish"])
def test_mse_is_nowhere_worse_than_the_others(shape: str, scheme: Scheme) -> None:
    x = normal()
    x = {
        "normal": x,
        "relu": np.maximum(x, 0),
        "heavy": np.random.default_rng(0).standard_t(3, 50_000).astype(np.float32),
        "swish": x / (1 + np.exp(-x)),
    }[shape]
    found = {
        name: sqnr_db(x, affine_for_range(*observed(name, x, scheme=scheme), scheme).fake(x))
        for name in OBSERVERS
    }
    assert found["mse"] >= max(found.values()) - 0.1, found


@pytest.mark.parametrize("name", ["entropy", "mse"])
def test_wide_types_get_all_values(name: str) -> None:
    scheme = Scheme.parse("int16")
    assert observed(name, normal(), scheme=scheme) == observed("minmax", normal(), scheme=scheme)


@pytest.mark.parametrize("scheme", [UINT8, SYMMETRIC])
@pytest.mark.parametrize("name", CUT_FREE)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_ranges_do_not_depend_on_batches(name: str, scheme: Scheme, data: st.DataObject) -> None:
    x = normal(3_000, data.draw(st.integers(0, 99))) * 10.0 ** np.random.default_rng(0).integers(-3, 4, 3_000)
    cuts = sorted(data.draw(st.lists(st.integers(0, 3_000), max_size=5)))
    order = data.draw(st.permutations(range(len(cuts) + 1)))
    pieces = np.split(x, cuts)
    assert observed(name, x, scheme=scheme) == observed(name, *(pieces[at] for at in order), scheme=scheme)


@pytest.mark.parametrize("name", OBSERVERS)
def test_odd_values(name: str) -> None:
    assert observed(name) == (0, 0)
    assert observed(name, np.zeros(0), np.zeros((2, 3)), np.array([np.nan, np.inf])) == (0, 0)
    mixed = np.array([np.nan, np.inf, -np.inf, -1, 2]), np.array([[-1.0, 2.0]])
    assert observed(name, *mixed) == pytest.approx((-1, 2), rel=0.02)
    assert observed(name, np.full(9, 3e38)) == pytest.approx((0, 3e38), rel=0.02)
    assert observed(name, np.array([1e-40, 1.0]), np.array([1], np.float16))[1] == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("name", OBSERVERS)
def test_ranges_are_of_the_whole_tensor(name: str) -> None:
    with pytest.raises(UsageError, match="for the whole tensor"):
        make_observer(name).range(Scheme.parse("int8:axis=0"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("median", "no observer 'median'"),
        ("percentile{q=3}", "no option 'q'"),
        ("minmax{p=3}", "no option 'p'"),
        ("percentile{p=x}", "'x', expected a number"),
        ("percentile{p=101}", r"p is in \(0, 100\], found 101"),
        ("moving-average{momentum=0}", "momentum is in"),
        ("percentile{p=99", "no observer"),
    ],
)
def test_what_is_no_observer_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_observer(text)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(VALUES, min_size=1), min_size=1, max_size=6))
def test_histograms_count_every_value_once_in_bounded_memory(batches: list[list[float]]) -> None:
    piecewise, whole = Histogram(bins=16), Histogram(bins=16)
    for batch in batches:
        piecewise.add(np.array(batch, np.float32))
        assert len(piecewise.counts) <= 16
    everything = np.concatenate(batches).astype(np.float32)
    whole.add(everything)
    np.testing.assert_array_equal(piecewise.counts, whole.counts)
    np.testing.assert_array_equal(piecewise.edges, whole.edges)
    assert whole.counts.sum() + whole.zeros == len(everything)
    expected = np.histogram(everything[everything != 0], np.append(whole.edges[:-1], np.inf))[0]
    if whole.exponent > -100:
        np.testing.assert_array_equal(whole.counts, expected)
    assert whole.magnitudes().sum() == whole.counts.sum()
