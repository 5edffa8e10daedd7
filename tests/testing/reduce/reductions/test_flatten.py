"""Branches, iterations and bodies of functions in the place of the nodes that hold or call them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphopt.testing.reduce.case import Case
from graphopt.testing.reduce.reductions.flatten import inline_calls, take_branches, take_iterations

IF = """m (float[2] x, bool c) => (float[2] y) {
    a = If(c) <then_branch = t () => (float[2] u) { u = Neg(x) },
               else_branch = e () => (float[2] v) { w = Abs(x) v = Exp(w) }>
    y = Relu(a)
}"""

LOOP = """m (float[2] x, int64 n, bool c) => (float[2] y, float[k,2] z) {
    y, z = Loop(n, c, x) <body = b (int64 i, bool go, float[2] s) => (bool on, float[2] t, float[2] all) {
        on = Identity(go) t = Neg(s) all = Abs(t)
    }>
}"""

SCAN = """m (float[2] x, float[3,2] xs) => (float[2] y, float[3,2] ys) {
    y, ys = Scan <num_scan_inputs = 1, body = b (float[2] s, float[2] e) => (float[2] t, float[2] o) {
        t = Add(s, e) o = Mul(t, e)
    }> (x, xs)
}"""


def test_the_first_branch_or_the_second(
    edited: Callable[..., Case], operators: Callable[[Case], list[str]]
) -> None:
    assert operators(edited(take_branches, IF, {0})) == ["Neg", "Relu"]
    assert operators(edited(take_branches, IF, {1})) == ["Abs", "Exp", "Relu"]


def test_a_branch_that_is_an_outer_value_gets_a_node(
    edited: Callable[..., Case], operators: Callable[[Case], list[str]]
) -> None:
    text = """m (float[2] x, bool c) => (float[2] y) {
        y = If(c) <then_branch = t () => (float[2] u) <float[2] u = {1, 2}> { },
                   else_branch = e () => (float[2] v) { v = Abs(x) }>
    }"""
    assert operators(edited(take_branches, text, {0})) == ["Identity"]


def test_an_iteration_of_a_loop(edited: Callable[..., Case], operators: Callable[[Case], list[str]]) -> None:
    case = edited(take_iterations, LOOP)
    assert operators(case) == ["Neg", "Abs"]
    assert [output.name for output in case.model.graph.outputs] == ["t", "all"]


def test_a_step_of_a_scan(edited: Callable[..., Case], operators: Callable[[Case], list[str]]) -> None:
    feeds = [{"x": np.ones(2, np.float32), "xs": np.arange(6, dtype=np.float32).reshape(3, 2)}]
    case = edited(take_iterations, SCAN, feeds=feeds)
    assert operators(case) == ["Add", "Mul"]
    assert [value.name for value in case.model.graph.inputs] == ["x", "e"]
    np.testing.assert_array_equal(case.feeds[0]["e"], [0, 1])


def test_the_body_of_a_function(edited: Callable[..., Case], operators: Callable[[Case], list[str]]) -> None:
    text = """
        <ir_version: 9, opset_import: ["" : 18, "local" : 1]>
        m (float[2,3] x) => (float[2,3] y) { a = local.f <alpha = 0.5> (x) y = Neg(a) }
        <domain: "local", opset_import: ["" : 18]>
        f <alpha> (x) => (y) { a = Elu <alpha: float = @alpha> (x) y = Relu(a) }
    """
    case = edited(inline_calls, text)
    assert operators(case) == ["Elu", "Relu", "Neg"]
    assert not case.model.functions
    assert "local" not in case.model.opset_imports
