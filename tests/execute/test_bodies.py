"""observe: the shapes of all values in one run, inside of bodies too."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.errors import ExecutionError
from graphopt.execute.bodies import observe
from graphopt.testing import parse_model

BRANCHES = """g (float[N] x, bool c) => (float[A] y) <float[1] zero = {0}> {
    p = NonZero(x)
    y = If (c) <
        then_branch = then () => (float[B] t) { q = Cast<to = 1>(p) r = Squeeze(q) t = Add(r, x) },
        else_branch = other () => (float[C] e) { k = Constant<value_ints = [3, 2]>() e = Reshape(x, k) }
    > }"""


def test_the_branch_that_runs_and_the_one_that_cannot() -> None:
    model = parse_model(BRANCHES)
    found = observe(model, {"x": np.ones(5, np.float32), "c": np.array(True)})
    assert {name: found.shapes[name] for name in "xpqrty"} == {
        "x": (5,), "p": (1, 5), "q": (1, 5), "r": (5,), "t": (5,), "y": (5,)
    }  # fmt: skip
    assert [graph.name for graph in found.idle] == ["other"] and "e" not in found.shapes


def test_a_branch_that_was_not_chosen_is_run_where_it_can_be() -> None:
    model = parse_model(BRANCHES.replace("[3, 2]", "[-1, 1]"))
    found = observe(model, {"x": np.ones(5, np.float32), "c": np.array(True)})
    assert found.shapes["e"] == (5, 1) and not found.idle


def test_loops_and_scans_by_their_first_iteration() -> None:
    loop = """g (float[2, 3] x, int64 m, bool c) => (float[A, B] y, float[D, E, F] z) {
        y, z = Loop (m, c, x) <
            body = b (int64 i, bool d, float[P, Q] s) => (bool d2, float[R, S] u, float[T, U] v) {
            d2 = Identity(d) u = Concat<axis = 0>(s, s) v = Neg(x) }> }"""
    feed = {"x": np.ones((2, 3), np.float32), "m": np.array(2), "c": np.array(True)}
    assert observe(parse_model(loop), feed).shapes["u"] == (4, 3)
    scan = """g (float[4, 3] x, float[3] s) => (float[A] y, float[B, C] z) {
        y, z = Scan (s, x) <
            num_scan_inputs = 1, body = b (float[P] a, float[Q] e) => (float[R] u, float[T] v) {
            w = Add(a, e) u = Identity(w) v = Neg(w) }> }"""
    feed = {"x": np.ones((4, 3), np.float32), "s": np.zeros(3, np.float32)}
    assert observe(parse_model(scan), feed).shapes["w"] == (3,)


def test_a_model_that_does_not_run() -> None:
    model = parse_model("g (float[N] x) => (float[M, K] y) <int64[2] s = {7, 7}> { y = Reshape(x, s) }")
    with pytest.raises(ExecutionError):
        observe(model, {"x": np.ones(5, np.float32)})
