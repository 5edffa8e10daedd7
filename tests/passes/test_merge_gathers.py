"""merge-gathers: indices of indices."""

from __future__ import annotations

from graphopt.ir import constant
from graphopt.testing import run_pass


def test_applies() -> None:
    text = """g (float[N, 6] x) => (float[A, B, C] y)
        <int64[3] i = {5, -6, 2}, int64[2, 2] j = {0, -1, 1, 1}> {
        a = Gather<axis = 1>(x, i) y = Gather<axis = -1>(a, j)
    }"""
    run = run_pass(text, "merge-gathers")
    assert run.ops == ["Gather"]
    merged = constant(run.node("Gather").inputs[1])
    assert merged is not None and merged.tolist() == [[5, 2], [-6, -6]]


def test_other_axes_and_computed_indices_are_left_alone() -> None:
    text = """g (float[N, 6] x, int64[2] k) => (float[A, B] y) <int64[3] i = {5, 1, 2}, int64[1] j = {0}> {
        a = Gather<axis = 1>(x, i) b = Gather<axis = 0>(a, j) c = Abs(k) y = Gather<axis = 0>(b, c)
    }"""
    run = run_pass(text, "merge-gathers", inputs=())
    assert run.changes == 0
    assert run.refusals["gather-of-gather: they gather along different axes"] == 1
