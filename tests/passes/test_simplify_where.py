"""Where with constants, with equal sides, and as a guard of a Softmax."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass


@pytest.mark.parametrize(
    ("body", "ops"),
    [
        ("a = Where(c, x, x)  y = Neg(a)", ["Neg"]),
        ("n = Not(c)  y = Where(n, x, z)", ["Where"]),
        ("y = Where(c, one, zero)", ["Cast"]),
        ("a = Where(c, true, false)  y = Where(a, x, z)", ["Where"]),
        ("a = Where(c, false, true)  y = Where(a, x, z)", ["Where"]),
    ],
)
def test_where(body: str, ops: list[str]) -> None:
    run = run_pass(
        f"""agraph (bool[2,3] c, float[2,3] x, float[2,3] z) => (float[2,3] y) <
            float one = {{1.0}}, float[1,1] zero = {{0.0}}, bool true = {{1}}, bool false = {{0}}
        > {{ {body} }}""",
        "simplify-where",
    )
    assert run.ops == ops


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("float one = {1.0}, float zero = {0.0001}", "y = Where(c, one, zero)"),
        ("float one = {2.0}, float zero = {0.0}", "y = Where(c, one, zero)"),
        ("float one = {1.0}, float zero = {-0.0}", "y = Where(c, one, zero)"),
        ("float one = {0.0}, float zero = {1.0}", "y = Where(c, one, zero)"),
    ],
)
def test_other_constants_stay(text: str, body: str) -> None:
    run = run_pass(f"agraph (bool[2,3] c) => (float[2,3] y) <{text}> {{ {body} }}", "simplify-where")
    assert not run.changes


def test_constants_that_broadcast_stay() -> None:
    run = run_pass(
        """agraph (bool[3] c) => (float[2,3] y) <float[2,1] one = {1.0, 1.0}, float zero = {0.0}> {
            y = Where(c, one, zero)
        }""",
        "simplify-where",
    )
    assert run.refusals == {"where-of-constants: a side may broadcast the condition": 1}


def test_equal_sides_that_are_broadcast_stay() -> None:
    run = run_pass(
        "agraph (bool[2,3] c, float[3] x) => (float[2,3] y) { y = Where(c, x, x) }", "simplify-where"
    )
    assert run.refusals == {"where-of-equal-sides: the side taken is broadcast": 1}


GUARD = """agraph (float[2,4,4] q, float[2,4,4] k, bool[4,4] m, float[4,4] bias) => (float[2,4,4] y) <
    float zero = {0.0}, float low = {%s}, float half = {0.5}
> {
    s = MatMul(q, k)  scaled = Mul(s, half)  masked = Where(m, zero, low)  total = Add(scaled, %s)
    p = Softmax(total)  n = IsNaN(p)  y = Where(n, zero, p)
}"""


@pytest.mark.parametrize("low", ["-3.4028235e38", "-10000.0"])
def test_a_guard_of_a_softmax_with_a_finite_mask_goes(low: str) -> None:
    run = run_pass(GUARD % (low, "masked"), "simplify-where,dce")
    assert run.hits["guard-of-softmax"] == 1 and "IsNaN" not in run.ops


@pytest.mark.parametrize(("low", "mask"), [("-inf", "masked"), ("-1.0", "bias")])
def test_a_guard_against_rows_of_minus_infinity_stays(low: str, mask: str) -> None:
    run = run_pass(GUARD % (low, mask), "simplify-where")
    assert run.refusals == {"guard-of-softmax: a row may be -inf throughout, as a mask of -inf makes it": 1}


def test_two_masks_may_add_up_to_minus_infinity() -> None:
    text = GUARD.replace("p = Softmax(total)", "more = Add(total, masked)  p = Softmax(more)")
    run = run_pass(text % ("-3.0e38", "masked"), "simplify-where")
    assert len(run.refusals) == 1 and not run.changes


BODY = """s = MatMul(q, k)  {mask}  p = Softmax(total)  n = IsNaN(p)  y = Where(n, zero, p)"""


def guarded(mask: str) -> str:
    return f"""agraph (float[2,4,4] q, float[2,4,4] k, bool[4,4] m, float[4,4] bias, int64[4,4] i) => (y) <
        float zero = {{0.0}}, float low = {{-3.0e38}}, float half = {{0.5}}, float none = {{0.0}},
        float large = {{1.0e38}}, float four = {{4.0}}, int64[3] shape = {{2, 4, 4}}
    > {{ {BODY.format(mask=mask)} }}"""


@pytest.mark.parametrize(
    "mask",
    [
        "total = Identity(s)",
        "total = Div(s, half)",
        "c = Cast<to=1>(m)  d = Sub(half, c)  e = Mul(d, large)  total = Add(s, e)",
        "w = Where(m, s, low)  t = Transpose<perm=[0,2,1]>(w)  total = Reshape(t, shape)",
        "w = Where(m, zero, large)  d = Div(w, half)  total = Sub(s, d)",
    ],
)
def test_masks_that_stay_finite(mask: str) -> None:
    run = run_pass(guarded(mask), "simplify-where,dce")
    assert run.hits["guard-of-softmax"] == 1


@pytest.mark.parametrize(
    "mask",
    [
        "total = Add(s, bias)",
        "total = Div(s, none)",
        "total = Div(s, bias)",
        "c = Cast<to=1>(i)  total = Add(s, c)",
        "t = Exp(s)  total = Neg(t)",
        "w = Where(m, zero, large)  d = Div(w, half)  e = Div(d, half)  total = Sub(s, e)",
        "w = Where(m, zero, large)  v = Mul(w, four)  total = Sub(s, v)",
        "total = Concat<axis=0>(s, q)",
    ],
)
def test_masks_that_may_reach_infinity(mask: str) -> None:
    run = run_pass(guarded(mask), "simplify-where", inputs=())
    assert run.refusals == {"guard-of-softmax: a row may be -inf throughout, as a mask of -inf makes it": 1}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("p = Sigmoid(q)  n = IsNaN(p)  y = Where(n, zero, p)", "what is guarded is not a Softmax"),
        (
            "p = Softmax(q)  n = IsNaN(p)  y = Where(n, wide, p)",
            "the constant may broadcast the other operand",
        ),
    ],
)
def test_other_guards_stay(body: str, reason: str) -> None:
    run = run_pass(
        f"agraph (float[2,4] q) => (y) <float zero = {{0}}, float[3,1,1] wide = {{0, 0, 0}}> {{ {body} }}",
        "simplify-where",
    )
    assert run.refusals == {f"guard-of-softmax: {reason}": 1}


@pytest.mark.parametrize(
    ("dtype", "one", "zero", "ops"),
    [
        ("int64", "1", "0", ["Cast"]),
        ("bool", "1", "0", []),
        ("bool", "0", "1", ["Not"]),
        ("bool", "1", "1", ["Where"]),
        ("int64", "0", "1", ["Where"]),
    ],
)
def test_constants_of_other_types(dtype: str, one: str, zero: str, ops: list[str]) -> None:
    run = run_pass(
        f"""agraph (bool[2,3] d, bool[2,3] e) => (y) <{dtype} one = {{{one}}}, {dtype} zero = {{{zero}}}> {{
            c = And(d, e)  w = Where(c, one, zero)  y = Cast<to=1>(w)
        }}""",
        "simplify-where",
    )
    assert run.ops == ["And", *ops, "Cast"]


@pytest.mark.parametrize(("low", "goes"), [("64511", True), ("64512", False)])
def test_the_lowest_half_float_is_no_infinity(low: str, goes: bool) -> None:
    text = f"""agraph (float16[2,4] q, float16[4,4] k, bool[2,4] m) => (y) <
        float16 zero = {{0}}, float16 low = {{{low}}}
    > {{
        s = MatMul(q, k)  w = Where(m, zero, low)  total = Add(s, w)
        p = Softmax(total)  n = IsNaN(p)  y = Where(n, zero, p)
    }}"""
    run = run_pass(text, "simplify-where", inputs=())
    assert bool(run.hits["guard-of-softmax"]) == goes
