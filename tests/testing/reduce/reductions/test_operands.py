"""Leaving out operands and results."""

from __future__ import annotations

from collections.abc import Callable

from graphopt.testing.reduce.case import Case
from graphopt.testing.reduce.reductions.operands import drop_operands, drop_results


def test_optional_operands_in_the_middle_and_at_the_end(edited: Callable[..., Case]) -> None:
    text = "m (float[2] x, float lo, float hi) => (float[2] y) { y = Clip(x, lo, hi) }"
    (node,) = edited(drop_operands, text, {1}).model.graph  # the last comes first
    assert [value and value.name for value in node.inputs] == ["x", None, "hi"]
    (node,) = edited(drop_operands, text).model.graph
    assert [value and value.name for value in node.inputs] == ["x"]


def test_one_of_many(edited: Callable[..., Case]) -> None:
    text = "m (float[2] x, float[2] y, float[2] z) => (float[k] a) { a = Concat <axis = 0> (x, y, z) }"
    (node,) = edited(drop_operands, text, {1}).model.graph
    assert [value and value.name for value in node.inputs] == ["x", "z"]
    (node,) = edited(drop_operands, text).model.graph
    assert len(node.inputs) == 1


def test_unused_last_results(edited: Callable[..., Case]) -> None:
    text = "m (float[2,3] x) => (float[2,3] y) { y, mask = Dropout(x) }"
    (node,) = edited(drop_results, text).model.graph
    assert len(node.outputs) == 1
