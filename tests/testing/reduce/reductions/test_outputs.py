"""Dropping graph outputs."""

from __future__ import annotations

from collections.abc import Callable

from graphopt.testing.reduce.case import Case
from graphopt.testing.reduce.reductions.outputs import drop_outputs, show_unused


def test_what_only_a_dropped_output_needs_goes(edited: Callable[..., Case]) -> None:
    text = "m (float[2] x) => (float[2] a, float[2] b, float[2] c) { a = Abs(x) b = Neg(x) c = Exp(a) }"
    case = edited(drop_outputs, text, {0, 1})  # the last comes first
    assert [output.name for output in case.model.graph.outputs] == ["a"]
    assert [node.op_type for node in case.model.graph] == ["Abs"]


def test_what_nobody_uses_becomes_an_output(edited: Callable[..., Case]) -> None:
    text = "m (float[2] x) => (float[2] a) { a = Abs(x) b = Neg(x) c = Exp(b) }"
    case = edited(show_unused, text)
    assert [output.name for output in case.model.graph.outputs] == ["a", "c"]
