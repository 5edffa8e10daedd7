"""Codebooks: nearest values, an exact zero, fits that pay, text."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphopt.errors import UsageError
from graphopt.quant import CodebookScheme, Scheme, affine_for, codebook_for, mse
from graphopt.quant.codebook import TABLES

SCHEMES = st.builds(
    CodebookScheme, st.sampled_from(list(TABLES)), st.integers(2, 8), st.none() | st.integers(-2, 1)
)


def weights(seed: int = 0, shape: tuple[int, ...] = (12, 800)) -> npt.NDArray[Any]:
    random = np.random.default_rng(seed)
    return (random.laplace(size=shape) * 10.0 ** random.integers(-3, 4, (shape[0], 1))).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(SCHEMES, st.integers(0, 99))
def test_codes_stand_for_the_nearest_value_of_a_table_with_zero(scheme: CodebookScheme, seed: int) -> None:
    w = weights(seed, (6, 30))
    book = codebook_for(w, scheme)
    assert len(book.table) <= 2**scheme.bits and 0 in book.table
    assert np.all(np.diff(book.table) > 0) and np.abs(book.table).max() <= 1 + 1e-6
    assert not book.fake(np.zeros_like(w)).any()
    shape = [1, 1]
    if scheme.axis is not None:
        shape[scheme.axis] = -1
    values = book.table * book.scale.reshape(*shape, 1)
    nearest = np.abs(w[..., np.newaxis] - values).min(axis=-1)
    np.testing.assert_allclose(np.abs(book.fake(w) - w), nearest, rtol=1e-4, atol=1e-5 * nearest.max())
    np.testing.assert_array_equal(book.fake(book.fake(w)), book.fake(w))


@given(SCHEMES)
def test_text_round_trips(scheme: CodebookScheme) -> None:
    assert CodebookScheme.parse(str(scheme)) == scheme


@pytest.mark.parametrize("kind", ["k-means", "log", "tanh"])
def test_fitted_tables_beat_even_steps_on_peaked_weights(kind: str) -> None:
    w = weights()
    even = mse(w, affine_for(w, Scheme.parse("int4:symmetric,axis=0"), "mse").fake(w))
    assert mse(w, codebook_for(w, CodebookScheme(kind, 4, 0)).fake(w)) < 0.9 * even


def test_k_means_is_the_best_of_them() -> None:
    w = weights()
    errors = {kind: mse(w, codebook_for(w, CodebookScheme(kind, 4, 0)).fake(w)) for kind in TABLES}
    assert min(errors, key=lambda kind: errors[kind]) == "k-means"


def test_powers_of_two() -> None:
    np.testing.assert_array_equal(
        codebook_for(weights(), CodebookScheme("power-of-two", 3)).table, [-1, -0.5, -0.25, 0, 0.25, 0.5, 1]
    )


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("fill", [0.0, 0.7, np.nan])
def test_constant_and_empty_weights(kind: str, fill: float) -> None:
    for shape in ((3, 4), (0, 4)):
        book = codebook_for(np.full(shape, fill), CodebookScheme(kind))
        expected = np.nan_to_num(np.full(shape, fill, np.float32))
        np.testing.assert_allclose(book.fake(np.full(shape, fill)), expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [("median", "no codebook"), ("log:bits=9", "2 to 8 bits"), ("log:base=2", "cannot read 'base=2'")],
)
def test_what_is_no_codebook_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CodebookScheme.parse(text)
