"""Arithmetic on weights agrees with what the operators compute, and narrows only what fits."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.ir import Reject
from graphopt.passes.fusion._arrays import (
    along_axis,
    batch_norm,
    conv_of_constant,
    rounded,
    scale_conv,
    scale_conv_transpose,
    scale_matrix,
)

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), ()), ((1,), ()), ((1, 1, 1, 1), ()), ((4, 1, 1), (4,)), ((1, 4, 1, 1), (4,))],
)
def test_constants_along_the_channel_axis(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert along_axis(np.ones(shape), 4, 1, 4).shape == expected


@pytest.mark.parametrize("shape", [(4,), (4, 1), (2, 4, 1, 1), (1, 1, 1, 1, 1), (4, 1, 4), (3, 1, 1), (0,)])
def test_constants_along_other_axes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(Reject, match="not one per channel"):
        along_axis(np.ones(shape), 4, 1, 4)


@pytest.mark.parametrize("group", [1, 2])
def test_scaling_a_conv_weight(group: int) -> None:
    weight = RANDOM.standard_normal((6, 4 // group, 3))
    inputs, outputs = RANDOM.standard_normal(4), RANDOM.standard_normal(6)
    scaled = scale_conv(weight, inputs, outputs, group)
    for o in range(6):
        for i in range(4 // group):
            channel = o // (6 // group) * (4 // group) + i
            np.testing.assert_allclose(scaled[o, i], weight[o, i] * inputs[channel] * outputs[o])


@pytest.mark.parametrize("group", [1, 2])
def test_scaling_a_conv_transpose_weight(group: int) -> None:
    weight = RANDOM.standard_normal((4, 6 // group, 3))
    inputs, outputs = RANDOM.standard_normal(4), RANDOM.standard_normal(6)
    scaled = scale_conv_transpose(weight, inputs, outputs, group)
    for i in range(4):
        for o in range(6 // group):
            channel = i // (4 // group) * (6 // group) + o
            np.testing.assert_allclose(scaled[i, o], weight[i, o] * inputs[i] * outputs[channel])


def test_scaling_a_matrix() -> None:
    matrix = RANDOM.standard_normal((2, 3))
    rows, columns = RANDOM.standard_normal(2), RANDOM.standard_normal(3)
    np.testing.assert_allclose(scale_matrix(matrix, rows, columns), np.diag(rows) @ matrix @ np.diag(columns))
    np.testing.assert_allclose(scale_matrix(matrix, np.array(2.0), np.array(3.0)), 6 * matrix)


@pytest.mark.parametrize("group", [1, 2])
def test_the_response_of_a_conv_to_a_constant(group: int) -> None:
    weight, shift = RANDOM.standard_normal((6, 4 // group, 3, 2)), RANDOM.standard_normal(4)
    expected = [
        sum(
            weight[o, i].sum() * shift[o // (6 // group) * (4 // group) + i]
            for i in range(4 // group)
        )
        for o in range(6)
    ]  # fmt: skip
    np.testing.assert_allclose(conv_of_constant(weight, shift, group), expected)


def test_batch_normalization_as_an_affine() -> None:
    scale, bias, mean, x = RANDOM.standard_normal((4, 5))
    variance = np.abs(RANDOM.standard_normal(5))
    factor, shift = batch_norm(scale, bias, mean, variance, 1e-3)
    np.testing.assert_allclose(factor * x + shift, scale * (x - mean) / np.sqrt(variance + 1e-3) + bias)


@pytest.mark.parametrize("variance", [0.0, -1.0])
def test_a_variance_that_is_not_positive_is_refused(variance: float) -> None:
    one = np.ones(1)
    with pytest.raises(Reject, match="not positive"):
        batch_norm(one, one, one, np.array([variance]), 0.0)


@pytest.mark.parametrize(
    ("elements", "dtype", "reason"),
    [
        ([1e39], "float32", "overflows"),
        ([7e4], "float16", "overflows"),
        ([1e-46], "float32", "underflows"),
        ([1e-9], "float16", "underflows"),
    ],
)
def test_narrowing_that_loses_a_constant_is_refused(elements: list[float], dtype: str, reason: str) -> None:
    with pytest.raises(Reject, match=f"{reason} {dtype}"):
        rounded(np.array(elements), np.dtype(dtype))


def test_small_elements_beside_large_ones_may_underflow() -> None:
    assert rounded(np.array([1.0, 1e-9, 0.0]), np.dtype("float16")).tolist() == [1.0, 0.0, 0.0]
