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
