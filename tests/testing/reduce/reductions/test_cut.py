"""Cutting nodes out of the main graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphopt.testing.reduce.case import Case
from graphopt.testing.reduce.reductions.cut import cut_nodes, cut_nodes_and_share

CHAIN = "m (float[2,3] x) => (float[2,3] d) { a = Relu(x) b = Neg(a) c = Abs(b) d = Exp(c) }"


def names(case: Case) -> tuple[list[str | None], list[str | None]]:
    graph = case.model.graph
    return [value.name for value in graph.inputs], [value.name for value in graph.outputs]


def test_a_node_in_the_middle(edited: Callable[..., Case], operators: Callable[[Case], list[str]]) -> None:
    case = edited(cut_nodes, CHAIN, {2})  # from the end: Exp, Abs, Neg
    assert operators(case) == ["Relu", "Abs", "Exp"]
    assert names(case) == (["x", "b"], ["d", "a"])


def test_a_stretch_at_either_end(edited: Callable[..., Case], operators: Callable[[Case], list[str]]) -> None:
    assert names(edited(cut_nodes, CHAIN, {0, 1})) == (["x"], ["b"])
    assert names(edited(cut_nodes, CHAIN, {2, 3})) == (["b"], ["d"])


def test_new_inputs_hold_what_was_computed_there(edited: Callable[..., Case]) -> None:
    x = np.array([[1, -2, 3], [-4, 5, -6]], np.float32)
    case = edited(cut_nodes, CHAIN, {2, 3}, feeds=[{"x": x}])
    np.testing.assert_array_equal(case.feeds[0]["b"], -np.maximum(x, 0))


def test_a_shared_value_is_an_output_where_that_is_asked_for(edited: Callable[..., Case]) -> None:
    text = "m (float[2] x) => (float[2] b, float[2] c) { a = Relu(x) b = Neg(a) c = Abs(a) }"
    assert names(edited(cut_nodes, text, {0})) == (["x"], ["b"])
    assert names(edited(cut_nodes_and_share, text, {0})) == (["x"], ["b", "a"])


def test_bodies_go_on_reading_what_was_cut(edited: Callable[..., Case]) -> None:
    text = """m (float[2] x, bool c) => (float[2] y) {
        a = Relu(x)
        y = If(c) <then_branch = t () => (float[2] u) { u = Neg(a) },
                   else_branch = e () => (float[2] v) { v = Identity(a) }>
    }"""
    assert names(edited(cut_nodes, text, {1})) == (["c", "a"], ["y"])
