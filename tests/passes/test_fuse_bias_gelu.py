"""fuse-bias-gelu: a vector added in front of Gelu goes into the operator."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass

PORTS = "(float[N,S,4] x, float[4] v, float[N,S,4] r, float[1] o) => (float[N,S,4] y)"
HEADER = '<ir_version: 9, opset_import: ["": 20, "com.microsoft": 1]>'


def model(body: str) -> str:
    return f"{HEADER} g {PORTS} <float[4] b = {{0.5, -1.0, 2.0, 0.25}}> {{ {body} }}"


@pytest.mark.parametrize(
    ("body", "made"),
    [
        ("a = Add(x, b) y = Gelu(a)", "BiasGelu"),
        ("a = Add(b, x) y = Gelu(a)", "BiasGelu"),
        ("a = Add(x, v) y = Gelu(a)", "BiasGelu"),
        ('a = Add(x, b) y = Gelu <approximate = "none"> (a)', "BiasGelu"),
        ('a = Add(x, b) y = Gelu <approximate = "tanh"> (a)', "FastGelu"),
        ("a = Add(x, b) y = com.microsoft.Gelu(a)", "BiasGelu"),
        ("a = Add(b, x) y = com.microsoft.FastGelu(a)", "FastGelu"),
    ],
)
def test_a_bias_goes_into_the_operator(body: str, made: str) -> None:
    run = run_pass(model(body), "fuse-bias-gelu")
    assert run.ops == [made]
    assert run.model.graph.opset_imports["com.microsoft"] == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("a = Add(x, r) y = Gelu(a)", "no vector is added"),
        ("a = Add(x, o) y = Gelu(a)", "the bias may broadcast along the last axis"),
        ("a = Add(x, b) g = Gelu(a) y = Add(g, a)", "the result of the Add is also used elsewhere"),
    ],
)
def test_what_is_no_bias_stays(body: str, reason: str) -> None:
    run = run_pass(model(body), "fuse-bias-gelu")
    assert run.changes == 0
    assert set(run.refusals) == {f"bias-gelu: {reason}"}


def test_other_types_stay() -> None:
    text = "g (float16[N,4] x, float16[4] v) => (float16[N,4] y) { a = Add(x, v) y = Gelu(a) }"
    run = run_pass(text, "fuse-bias-gelu", opset=20, inputs=())
    assert set(run.refusals) == {"bias-gelu: onnxruntime has BiasGelu for float32 alone"}
