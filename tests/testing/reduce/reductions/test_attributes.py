"""Attributes to their defaults."""

from __future__ import annotations

from collections.abc import Callable

from graphopt.testing.reduce.case import Case
from graphopt.testing.reduce.reductions.attributes import drop_attributes


def test_those_that_an_operator_needs_stay(edited: Callable[..., Case]) -> None:
    text = """m (float[2] x, float[2] y) => (float[4] b) {
        a = Concat <axis = 0> (x, y) b = Elu <alpha = 2.0> (a)
    }"""
    concat, elu = edited(drop_attributes, text).model.graph
    assert list(concat.attributes) == ["axis"]
    assert not elu.attributes
