"""Common factors are taken out of sums."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphopt.testing import run_pass

Weights = Callable[..., str]


@pytest.mark.parametrize("op", ["Add", "Sub"])
@pytest.mark.parametrize(
    ("left", "right"), [("Mul(x, a)", "Mul(x, b)"), ("Mul(a, x)", "Mul(x, b)"), ("Mul(a, x)", "Mul(b, x)")]
)
def test_common_factor(op: str, left: str, right: str) -> None:
    run = run_pass(
        f"""agraph (float[2,4] x, float[2,1] a, float[4] b) => (float[2,4] y) {{
            l = {left}  r = {right}  y = {op}(l, r)
        }}""",
        "factor-terms",
    )
    assert run.ops == [op, "Mul"]


@pytest.mark.parametrize(
    "body",
    [
        "m = Mul(x, h)  y = Add(x, m)",
        "m = Mul(h, x)  y = Add(m, x)",
        "m = Mul(x, h)  y = Sub(x, m)",
        "m = Mul(h, x)  y = Sub(m, x)",
    ],
)
def test_factor_and_one(body: str) -> None:
    run = run_pass(
        f"agraph (float[2,4,N] x, float[2,4,1] h) => (float[2,4,N] y) {{ {body} }}", "factor-terms"
    )
    assert sorted(run.ops) == sorted(["Sub" if "Sub" in body else "Add", "Mul"])


def test_residual_gate(weights: Weights) -> None:
    text = weights(w=(2, 4, 1, 1), v=(4, 2, 1, 1), b=(4,))
    run = run_pass(
        f"""agraph (float[1,4,5,5] x) => (float[1,4,5,5] y) {text} {{
            p = GlobalAveragePool(x)  c = Conv(p, w)  r = Relu(c)  d = Conv(r, v, b)
            h = HardSigmoid<alpha: float = 0.1666, beta: float = 0.5>(d)  m = Mul(x, h)  y = Add(x, m)
        }}""",
        "factor-terms",
    )
    assert run.ops == ["GlobalAveragePool", "Conv", "Relu", "Conv", "Clip", "Mul"]


@pytest.mark.parametrize(
    ("factor", "reason"),
    [
        ("float[2,4]", "factor-and-one: the factor is as large as the other operand"),
        ("float[3,1,1]", "factor-and-one: the factor may broadcast the other operand"),
    ],
)
def test_factors_as_large_stay(factor: str, reason: str) -> None:
    result = "float[2,4]" if factor == "float[2,4]" else "float[3,2,4]"
    run = run_pass(
        f"agraph (float[2,4] x, {factor} h) => ({result} y) {{ m = Mul(x, h)  y = Add(x, m) }}",
        "factor-terms",
    )
    assert run.refusals == {reason: 1}


@pytest.mark.parametrize(
    "text",
    [
        "agraph (int64[4] x, int64[1] h) => (int64[4] y) { m = Mul(x, h)  y = Add(x, m) }",
        "agraph (float[4] x, float[1] h) => (float[4] y) { m = Mul(x, x)  n = Mul(x, h)  y = Add(m, n) }",
        "agraph (float[4] x, float[1] h) => (float[4] y, float[4] m) { m = Mul(x, h)  y = Add(x, m) }",
    ],
)
def test_what_stays(text: str) -> None:
    assert not run_pass(text, "factor-terms").changes


def test_integers_stay() -> None:
    """Their sums are as fast as their products, and may overflow."""
    run = run_pass(
        """agraph (int64[2,4] x, int64[2,1] a, int64[4] b) => (int64[2,4] y) {
            l = Mul(x, a)  r = Mul(x, b)  y = Add(l, r)
        }""",
        "factor-terms",
    )
    assert run.changes == 0
