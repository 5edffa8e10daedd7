"""fuse-quick-gelu: a value times the Sigmoid of itself becomes QuickGelu."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass

CONSTANTS = """<float q = {1.702}, float[1] one = {1.702}, float d = {0.5}, float zero = {0.0},
    float[4] v = {1.0, 2.0, 3.0, 4.0}>"""


def model(body: str, dtype: str = "float") -> str:
    return f"g ({dtype}[N,4] x, {dtype}[N,4] z) => ({dtype}[N,4] y) {CONSTANTS} {{ {body} }}"


@pytest.mark.parametrize(
    ("body", "alpha"),
    [
        ("s = Sigmoid(x) y = Mul(x, s)", 1.0),
        ("s = Sigmoid(x) y = Mul(s, x)", 1.0),
        ("m = Mul(x, q) s = Sigmoid(m) y = Mul(x, s)", 1.702),
        ("m = Mul(q, x) s = Sigmoid(m) y = Mul(s, x)", 1.702),
        ("m = Mul(x, one) s = Sigmoid(m) y = Mul(x, s)", 1.702),
        ("m = Div(x, d) s = Sigmoid(m) y = Mul(x, s)", 2.0),
    ],
)
def test_spellings_become_the_operator(body: str, alpha: float) -> None:
    run = run_pass(model(body), "fuse-quick-gelu")
    assert run.ops == ["QuickGelu"]
    assert run.node("QuickGelu").attributes["alpha"].as_float() == pytest.approx(alpha)


def test_swish_becomes_the_operator() -> None:
    run = run_pass(model("y = Swish <alpha = 1.5> (x)"), "fuse-quick-gelu", opset=24)
    assert run.node("QuickGelu").attributes["alpha"].as_float() == 1.5


@pytest.mark.parametrize(
    ("body", "reasons"),
    [
        ("s = Sigmoid(z) y = Mul(x, s)", set()),
        ("m = Div(q, x) s = Sigmoid(m) y = Mul(x, s)", set()),
        (
            "m = Div(x, zero) s = Sigmoid(m) y = Mul(x, s)",
            {"gated-by-sigmoid: the divisor is zero, or too near to it"},
        ),
        (
            "m = Mul(x, v) s = Sigmoid(m) y = Mul(x, s)",
            {"gated-by-sigmoid: the factor inside the Sigmoid is not one number"},
        ),
        (
            "s = Sigmoid(x) t = Mul(x, s) y = Add(t, s)",
            {"gated-by-sigmoid: the result of the Sigmoid is also used elsewhere"},
        ),
    ],
)
def test_near_misses_stay(body: str, reasons: set[str]) -> None:
    run = run_pass(model(body), "fuse-quick-gelu")
    assert (run.changes, set(run.refusals)) == (0, reasons)


def test_other_types_stay() -> None:
    run = run_pass(model("s = Sigmoid(x) y = Mul(x, s)", "double"), "fuse-quick-gelu")
    assert set(run.refusals) == {"gated-by-sigmoid: onnxruntime has QuickGelu for float32 alone"}
