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


IMPLICIT = {
    "a condition that always holds": "c = GreaterOrEqual(r, zero)  e = And(c, m)  z = Where(e, x, o)",
    "turned": "c = LessOrEqual(zero, r)  e = And(m, c)  z = Where(e, x, o)",
    "strictly": "c = Greater(r, minus)  e = And(c, m)  z = Where(e, x, o)",
    "strictly, turned": "c = Less(minus, r)  e = And(c, m)  z = Where(e, x, o)",
    "nothing or": "e = Or(m, never)  z = Where(e, x, o)",
    "divided by one": "e = Div(s, ones)  z = Add(x, e)",
    "plus nothing": "e = Add(none, s)  z = Add(x, e)",
    "looked up": "j = Expand(k, pair)  g = Gather(vector, j)  z = Mul(g, x)",
}
EXPLICIT = {
    "a condition that may fail": "c = GreaterOrEqual(r, one)  e = And(c, m)  z = Where(e, x, o)",
    "strictly, it may fail": "c = Greater(r, zero)  e = And(c, m)  z = Where(e, x, o)",
    "a range that counts down": "c = GreaterOrEqual(d, zero)  e = And(c, m)  z = Where(e, x, o)",
    "what is above": "c = LessOrEqual(r, zero)  e = And(c, m)  z = Where(e, x, o)",
    "one divided": "e = Div(ones, s)  z = Add(x, e)",
    "nothing minus": "e = Sub(none, s)  z = Add(x, e)",
    "always or": "e = Or(m, always)  z = Where(e, x, o)",
    "a table that is repeated": "t = Expand(row, many)  z = Gather(t, i)",
    "a table looked up along another axis": "j = Expand(k, pair)  g = Gather<axis=1>(table, j)  z = Neg(g)",
    "a Split": "e = Expand(s, whole)  f, g = Split<axis=0, num_outputs=2>(e)  z = Add(f, g)",
    "the sum of what was repeated": "e = Expand(s, whole)  q = ReduceSum(e)  z = Add(x, q)",
    "tiles of several elements": "e = Tile(p, times)  z = Add(x, e)",
}


@pytest.mark.parametrize(
    ("body", "dropped"),
    [*((body, True) for body in IMPLICIT.values()), *((body, False) for body in EXPLICIT.values())],
    ids=[*IMPLICIT, *EXPLICIT],
)
def test_repeats_of_all_kinds(body: str, dropped: bool) -> None:
    other = "float[4,3] o" if "Where" in body else "float[1,3] o"
    run = run_pass(
        f"""agraph (float[4,3] x, float[1,3] s, {other}, float[2,3] p, bool[1,3] m) => (y) <
            int64 zero = {{0}}, int64 one = {{1}}, int64 minus = {{-1}}, int64 four = {{4}},
            int64 three = {{3}}, int64[1] axis = {{1}}, float[4,1] ones = {{1, 1, 1, 1}},
            float[4,1] none = {{0, 0, 0, 0}}, bool[4,1] never = {{0, 0, 0, 0}},
            bool[4,1] always = {{1, 0, 0, 0}}, int64[1,1] k = {{1}}, int64[2] pair = {{4, 3}},
            float[2] vector = {{1, 2}}, float[2,3] table = {{1, 2, 3, 4, 5, 6}}, float[1,3] row = {{1, 2, 3}},
            int64[2] many = {{2, 3}}, int64[4] i = {{0, 1, 1, 0}}, int64[2] whole = {{4, 3}},
            int64[2] times = {{2, 1}}
        > {{
            r0 = Range(zero, four, one)  r = Unsqueeze(r0, axis)
            d0 = Range(three, minus, minus)  d = Unsqueeze(d0, axis)  {body}  y = Neg(z)
        }}""",
        "drop-expands,dce",
    )
    assert bool([hit for hit in run.hits if "made implicit" in hit]) == dropped


def test_what_kept_another_is_dropped_first_or_last() -> None:
    """The shape that the second Expand reads is no reason any more once that one is gone."""
    run = run_pass(
        """
        agraph (int64[1] n, float s) => (int64[1] y) <int64[1] three = {3}>
        { shape = Expand(three, n)  unused = Expand(s, shape)  y = Neg(n) }
        """,
        "drop-expands",
    )
    assert run.ops == ["Neg"]


def test_batches_of_a_product_with_a_matrix() -> None:
    run = run_pass(
        """agraph (float[1,3,4] s, float[2,3,2] x) => (float[2,3,2] y) <int64[3] shape = {2, 3, 4},
            float[4,2] w = {1, 2, 3, 4, 5, 6, 7, 8}> {
            e = Expand(s, shape)  p = MatMul(e, w)  y = Add(p, x)
        }""",
        "drop-expands",
    )
    assert run.ops == ["MatMul", "Add"]
