"""Operators broadcast by themselves what was expanded for them."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass


@pytest.mark.parametrize(
    ("body", "ops"),
    [
        ("e = Expand(s, shape)  y = Mul(x, e)", ["Mul"]),
        ("e = Tile(s, times)  y = Mul(e, x)", ["Mul"]),
        ("e = Expand(s, shape)  f = Neg(e)  y = Add(x, f)", ["Neg", "Add"]),
        ("e = Expand(s, shape)  c = Greater(e, zero)  y = Where(c, x, e)", ["Greater", "Where"]),
        ("e = Mul(s, ones)  y = Add(x, e)", ["Add"]),
        ("e = Sub(s, zeros)  f = Relu(e)  y = Add(x, f)", ["Relu", "Add"]),
        ("e = Expand(s, shape)  y = MatMul(x, e)  ", None),
    ],
)
def test_expands(body: str, ops: list[str] | None) -> None:
    run = run_pass(
        f"""agraph (float[2,4,4] x, float[4,1] s) => (float[2,4,4] y) <
            int64[3] shape = {{2, 4, 4}}, int64[2] times = {{1, 4}}, float zero = {{0.0}},
            float[2,1,1] ones = {{1.0, 1.0}}, float[2,4,4] zeros = {{{", ".join(["0.0"] * 32)}}}
        > {{ {body} }}""",
        "drop-expands",
    )
    if ops is None:
        assert run.refusals == {"Expand: a MatMul multiplies what was repeated": 1}
    else:
        assert run.ops == ops


def test_batches_of_a_product() -> None:
    run = run_pass(
        """agraph (float[2,3,4] x, float[1,4,5] s) => (float[2,3,5] y) <int64[3] shape = {2, 4, 5}> {
            e = Expand(s, shape)  y = MatMul(x, e)
        }""",
        "drop-expands",
    )
    assert run.ops == ["MatMul"]


def test_sizes_known_by_name() -> None:
    run = run_pass(
        """agraph (float[B,N,N] x, bool[B,N] m) => (float[B,N,N] y) <
            int64 one = {1}, int64 zero = {0}, int64[2] axes = {0, 2}, int64[1] axis = {1},
            float none = {0.0}, float low = {-9.0}
        > {
            n = Shape<start=1, end=2>(x)  s = Squeeze(n)  r = Range(zero, s, one)  u = Unsqueeze(r, axes)
            always = GreaterOrEqual(u, zero)  w = Unsqueeze(m, axis)  both = And(always, w)
            mask = Where(both, none, low)  y = Add(x, mask)
        }""",
        "drop-expands,dce",
    )
    assert run.ops == ["Unsqueeze", "Where", "Add"]


@pytest.mark.parametrize(
    ("reader", "reason"),
    [
        ("y = Identity(e)", "Expand: its shape reaches an output of the graph"),
        ("y = Concat<axis=0>(e, e)", "Expand: a Concat reads its shape"),
        ("y = Add(e, e)", "Expand: its shape reaches an output of the graph"),
        ("y = Shape(e)", "Expand: a Shape reads its shape"),
    ],
)
def test_what_needs_the_shape_keeps_it(reader: str, reason: str) -> None:
    kind = "float[4,3]" if "Concat" in reader else "int64[2]" if "Shape" in reader else "float[2,3]"
    run = run_pass(
        f"""agraph (float[1,3] x) => ({kind} y) <int64[2] shape = {{2, 3}}> {{
            e = Expand(x, shape)  {reader}
        }}""",
        "drop-expands",
    )
    assert run.refusals == {reason: 1}


@pytest.mark.parametrize(
    "made",
    ["e = Mul(s, ones)", "e = Tile(x, times)"],
)
def test_what_is_not_neutral_stays(made: str) -> None:
    run = run_pass(
        f"""agraph (float[2,3] x, float[3] s) => (float[4,3] y) <
            int64[2] times = {{2, 1}}, float[4,1] ones = {{1.0, 1.0, 1.001, 1.0}},
            float[4,3] rest = {{{", ".join(["0.5"] * 12)}}}
        > {{ {made}  y = Add(e, rest) }}""",
        "drop-expands",
    )
    assert not run.changes


def test_sizes_that_may_differ_keep_it() -> None:
    run = run_pass(
        """agraph (float[N,3] x, float[1,3] s, int64[2] shape) => (float[M,3] y) {
            e = Expand(s, shape)  y = Add(x, e)
        }""",
        "drop-expands",
        inputs=(),
    )
    assert not run.changes
