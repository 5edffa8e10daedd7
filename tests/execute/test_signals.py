"""Made floats look like what models meet: pictures, waveforms, normal numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphopt.execute.signals import is_picture, make_floats, make_pictures


def floats(shape: tuple[int, ...], index: int = 0, seed: int = 0) -> np.ndarray[Any, Any]:
    return make_floats(shape, np.random.default_rng(seed), index)


@pytest.mark.parametrize("shape", [(2, 3, 64, 96), (1, 1, 16, 16), (1, 48, 160, 3), (1, 224, 224, 1)])
def test_pictures_fill_the_range_of_their_set(shape: tuple[int, ...]) -> None:
    assert is_picture(shape)
    for index, (low, high) in enumerate([(-2, 2), (0, 1), (-1, 1)]):
        made = floats(shape, index)
        assert made.shape == shape and made.dtype == np.float32 and made.flags.c_contiguous
        assert low <= made.min() < low + 0.4 * (high - low)
        assert high - 0.4 * (high - low) < made.max() <= high


@pytest.mark.parametrize(
    "shape", [(3, 64, 64), (1, 8, 64, 64), (1, 3, 8, 64), (1, 3, 4, 64, 64), (1, 4, 4, 3)]
)
def test_other_shapes_are_no_pictures(shape: tuple[int, ...]) -> None:
    assert not is_picture(shape)
    assert abs(floats(shape).std() - 1) < 0.2


def test_pictures_of_a_batch_and_their_channels_differ() -> None:
    made = floats((2, 3, 64, 64))
    assert not np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0, 0], made[0, 1])


def test_pictures_have_areas_and_edges() -> None:
    made = make_pictures((1, 1, 128, 128), np.random.default_rng(0), 0.0, 1.0)[0, 0]
    steps = np.abs(np.diff(made, axis=1))
    assert np.median(steps) < 0.03
    assert steps.max() > 0.4


@pytest.mark.parametrize("shape", [(1, 576), (2, 1, 4000), (1, 2, 128)])
def test_waveforms_swing_about_zero(shape: tuple[int, ...]) -> None:
    made = floats(shape)
    assert abs(made.mean()) < 0.2 and 0.7 < made.std() < 1.3
    near = np.corrcoef(made[..., :-1].ravel(), made[..., 1:].ravel())[0, 1]
    assert near > 0.4, "neighbouring samples are alike"


def test_features_are_normal() -> None:
    made = floats((50, 20, 64))
    assert abs(np.corrcoef(made[..., :-1].ravel(), made[..., 1:].ravel())[0, 1]) < 0.1


def test_numbers_follow_from_the_generator_alone() -> None:
    for shape in ((1, 3, 32, 32), (1, 400), (5, 5)):
        assert np.array_equal(floats(shape), floats(shape))
        assert not np.array_equal(floats(shape), floats(shape, seed=1))
        assert not np.array_equal(floats(shape), floats(shape, index=1))


def test_empty_shapes_are_made() -> None:
    for shape in ((), (0,), (0, 3, 32, 32), (0, 400)):
        assert floats(shape).shape == shape
