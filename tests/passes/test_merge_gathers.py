"""merge-gathers: indices of indices."""

from __future__ import annotations

import numpy as np
import pytest

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


@pytest.mark.parametrize(("start", "end"), [(0, 1), (2, 3), (-1, 9223372036854775807), (-3, -2)])
def test_squeeze_of_one_element(start: int, end: int) -> None:
    text = f"""g (float[3, N, 4] x) => (float[N, 4] z) <int64[1] s = {{{start}}}, int64[1] e = {{{end}}},
        int64[1] a = {{0}}> {{
        p = Slice(x, s, e, a) y = Squeeze(p, a) z = Neg(y)
    }}"""
    assert run_pass(text, "merge-gathers").ops == ["Gather", "Neg"]


@pytest.mark.parametrize(("start", "end", "step"), [(0, 2, 1), (-1, 3, 1), (2, 0, -2), (1, 3, 2)])
def test_squeeze_of_what_is_one_element_at_this_size_stays(start: int, end: int, step: int) -> None:
    """It holds for the size at hand, or the kind of range is not looked into."""
    size = 1 if (start, step) == (0, 1) else 3
    text = f"""g (float[M, 4] x) => (float[4] z) <int64[1] s = {{{start}}}, int64[1] e = {{{end}}},
        int64[1] a = {{0}}, int64[1] k = {{{step}}}> {{
        p = Slice(x, s, e, a, k) y = Squeeze(p, a) z = Neg(y)
    }}"""
    run = run_pass(text, "merge-gathers", inputs=[{"x": np.ones((size, 4), np.float32)}])
    assert run.changes == 0
    assert run.refusals == {"squeeze-of-slice: it is not known to take one element": 1}


def test_squeeze_of_a_slice_along_more_axes_stays() -> None:
    text = """g (float[3, N, 4] x) => (float[A, B] z)
        <int64[2] s = {1, 0}, int64[2] e = {2, 1}, int64[1] a = {0}> {
        p = Slice(x, s, e) y = Squeeze(p, a) z = Neg(y)
    }"""
    run = run_pass(text, "merge-gathers")
    assert run.changes == 0 and len(run.refusals) == 1


def test_unsqueeze_of_one_element() -> None:
    text = """g (float[3, N, 4] x) => (float[A, B, C] y) <int64 i = {-1}, int64[1] a = {2}> {
        p = Gather<axis = 2>(x, i) y = Unsqueeze(p, a)
    }"""
    assert run_pass(text, "merge-gathers").ops == ["Gather"]
    assert run_pass(text.replace("a = {2}", "a = {1}"), "merge-gathers").changes == 0
