"""Dynamic dimensions to static ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphopt.testing.reduce.case import Case
from graphopt.testing.reduce.reductions.static import fix_dimensions

TEXT = "m (float[n,3] x, float[n,k] z) => (float[n,m] y) { y = Concat <axis = 1> (x, z) }"


def test_a_small_number_without_inputs(edited: Callable[..., Case]) -> None:
    case = edited(fix_dimensions, TEXT)
    assert [value.shape for value in case.model.graph.inputs] == [[1, 3], [1, 1]]


def test_the_numbers_of_the_inputs_at_hand(edited: Callable[..., Case]) -> None:
    feeds = [{"x": np.ones((n, 3), np.float32), "z": np.ones((n, 2), np.float32)} for n in (5, 7)]
    case = edited(fix_dimensions, TEXT, {0}, feeds=feeds)  # n = 5
    assert case.model.graph.inputs[0].shape == [5, 3]
    assert [len(feed["x"]) for feed in case.feeds] == [5]
