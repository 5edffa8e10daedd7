"""Whatever an array holds, what is stored of it gives it back to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphopt.pruning.encoding import BITS, FARTHEST, Masked, Spaced, is_not_zero

Array = np.ndarray[Any, np.dtype[Any]]
DTYPES = (np.float32, np.float16, np.float64, np.int8, np.uint8, np.int32, np.int64)


def unmasked(stored: Masked, size: int) -> Array:
    """As the graph decodes it."""
    bits = np.unpackbits(stored.mask, bitorder="little")[:size].astype(np.int32)
    return np.asarray(stored.values[bits * np.cumsum(bits)])


def unspaced(stored: Spaced, size: int) -> Array:
    """As the graph decodes it."""
    made = np.zeros(size, stored.values.dtype)
    made[np.cumsum(stored.gaps.astype(np.int32))] = stored.values
    return made


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    """Arrays of any type and share of zeros, gaps wider than a byte included."""
    size, seed = draw(st.integers(1, 3000)), draw(st.integers(0, 2**31))
    share = draw(st.sampled_from((0.0, 0.001, 0.01, 0.1, 0.5, 0.9, 1.0)))
    random = np.random.default_rng(seed)
    there = random.random(size) < share
    return np.asarray((random.integers(1, 100, size) * there).astype(draw(st.sampled_from(DTYPES))))


@given(arrays())
def test_both_forms_give_back_the_array(array: Array) -> None:
    assert np.array_equal(unmasked(Masked.of(array), array.size), array)
    assert np.array_equal(unspaced(Spaced.of(array), array.size), array)


@pytest.mark.parametrize("gap", [1, FARTHEST, FARTHEST + 1, 2 * FARTHEST, 2 * FARTHEST + 1])
def test_gaps_around_what_a_byte_holds(gap: int) -> None:
    array = np.zeros(gap + 2, np.float32)
    array[[0, gap]] = 1.0
    stored = Spaced.of(array)
    assert np.array_equal(unspaced(stored, array.size), array)
    assert len(stored.gaps) == 2 + (gap - 1) // FARTHEST


def test_minus_zero_is_kept() -> None:
    array = np.array([0.0, -0.0, 1.0], np.float32)
    assert is_not_zero(array).tolist() == [False, True, True]
    assert np.signbit(unmasked(Masked.of(array), 3)[1])


def test_sizes() -> None:
    array = np.zeros(800, np.float32)
    array[::2] = 1.0
    assert Masked.of(array).nbytes == 800 // BITS + 4 * (400 + 1)
    assert Spaced.of(array).nbytes == 400 * (1 + 4)
