"""Before and after rounding: equalization keeps the function and lowers its error, corrections center it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from graphopt.quant import Scheme, affine_for, mse
from graphopt.quant.rounding import (
    ChannelStatistics,
    bias_correction,
    cross_layer_scales,
    magnitudes,
    patches,
    smooth_scales,
)

Array = npt.NDArray[Any]
INT8, UINT8, UINT4 = (Scheme.parse(text) for text in ("int8:symmetric", "uint8", "uint4"))


def test_two_layers_are_made_to_span_the_same() -> None:
    random = np.random.default_rng(0)
    first = random.standard_normal((8, 5)) * 10.0 ** random.integers(-3, 3, (8, 1))
    second = random.standard_normal((4, 8, 3, 3)) * 10.0 ** random.integers(-3, 3, (8, 1, 1))
    scales = cross_layer_scales(magnitudes(first, 0), magnitudes(second, 1))
    np.testing.assert_allclose(
        magnitudes(first / scales[:, np.newaxis], 0),
        magnitudes(second * scales[:, np.newaxis, np.newaxis], 1),
        rtol=1e-5,
    )


def test_equalizing_lowers_the_error_of_scales_per_tensor() -> None:
    random = np.random.default_rng(0)
    first = (random.standard_normal((32, 16)) * 10.0 ** random.uniform(-1, 1, (32, 1))).astype(np.float32)
    second = random.standard_normal((8, 32)).astype(np.float32)
    x = random.standard_normal((100, 16)).astype(np.float32)

    def error(one: Array, two: Array) -> float:
        rounded = (affine_for(w, INT8).fake(w) for w in (one, two))
        return mse(network(x, first, second), network(x, *rounded))

    scales = cross_layer_scales(magnitudes(first, 0), magnitudes(second, 1))
    equal = first / scales[:, np.newaxis], second * scales
    np.testing.assert_allclose(network(x, *equal), network(x, first, second), rtol=1e-4, atol=1e-4)
    assert error(*equal) < 0.7 * error(first, second)


def network(x: Array, first: Array, second: Array) -> Array:
    return np.asarray(np.maximum(x @ first.T, 0) @ second.T)


def test_smoothing_moves_outliers_of_the_input_to_the_weight() -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((200, 64)).astype(np.float32)
    x[:, [3, 40]] *= 60
    w = random.standard_normal((32, 64)).astype(np.float32)
    per_output = Scheme.parse("int8:symmetric,axis=0")

    def error(x: Array, w: Array) -> float:
        return mse(x @ w.T, affine_for(x, UINT8).fake(x) @ affine_for(w, per_output).fake(w).T)

    scales = smooth_scales(magnitudes(x, 1), magnitudes(w, 1))
    np.testing.assert_allclose((x / scales) @ (w * scales).T, x @ w.T, rtol=1e-3, atol=1e-3)
    assert error(x / scales, w * scales) < 0.2 * error(x, w)


def test_alpha_shares_the_difficulty() -> None:
    x, w = np.array([100.0, 1.0]), np.array([4.0, 1.0])
    np.testing.assert_allclose(smooth_scales(x, w, 0.5), [5, 1])
    np.testing.assert_allclose(smooth_scales(x, w, 1), [100, 1])
    np.testing.assert_allclose(smooth_scales(x, w, 0), [0.25, 1])


def test_channels_that_are_zero_stay_and_factors_are_bounded() -> None:
    scales = cross_layer_scales(np.array([0, 1, 1e30, 1e-30]), np.array([1, 0, 1e-30, 1e30]))
    np.testing.assert_allclose(scales, [1, 1, 1e4, 1e-4])


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_corrected_bias_keeps_the_mean_of_the_output(groups: int) -> None:
    random = np.random.default_rng(0)
    w = random.standard_normal((8, 4 // groups, 3, 3)).astype(np.float32)
    x = np.maximum(random.standard_normal((64, 4, 8, 8)) + np.arange(4).reshape(4, 1, 1), 0).astype(
        np.float32
    )
    rounded = affine_for(w, UINT4).fake(w)

    def output(weight: Array) -> Array:
        parts = zip(np.split(x, groups, axis=1), np.split(weight, groups), strict=True)
        return np.concatenate(
            [patches(one, (3, 3)) @ two.reshape(len(two), -1).T for one, two in parts], axis=1
        )

    inputs = ChannelStatistics(axis=1)
    for part in np.split(x, 8):
        inputs.observe(part)
    correction = bias_correction(w, rounded, inputs.mean, groups)
    before, after = output(rounded) - output(w), output(rounded) + correction - output(w)
    assert np.abs(after.mean(axis=0)).max() < 0.2 * np.abs(before.mean(axis=0)).max()
    assert np.mean(after**2) < 0.7 * np.mean(before**2)


def test_statistics_of_channels() -> None:
    x = np.random.default_rng(0).standard_normal((6, 5, 3))
    for axis in (1, -1):
        seen = ChannelStatistics(axis)
        assert seen.mean.shape == seen.magnitude.shape == ()
        for part in np.split(x, 3):
            seen.observe(part)
        others = (0, 2) if axis == 1 else (0, 1)
        np.testing.assert_allclose(seen.mean, x.mean(axis=others), rtol=1e-5)
        np.testing.assert_allclose(seen.magnitude, np.abs(x).max(axis=others), rtol=1e-5)
    seen = ChannelStatistics(0)
    seen.observe(np.array([[np.nan, 2], [np.inf, -4]]))
    np.testing.assert_allclose(seen.mean, [1, -2])
    np.testing.assert_allclose(seen.magnitude, [2, 4])
