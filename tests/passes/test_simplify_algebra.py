"""simplify-algebra: bit for bit, NaN and zeros included (the generated inputs hold them)."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.testing import parse_model, run_pass

APPLIES = [
    ("subtract-zero", "float[4] c = {0.0, 0.0, 0.0, 0.0}", "y = Sub(a, c)"),
    ("multiply-by-one", "float c = {1.0}", "y = Mul(c, a)"),
    ("multiply-by-one", "float[1, 1] c = {1.0}", "y = Mul(a, c)"),
    ("multiply-by-one", "float[3, 4] c = {1,1,1,1,1,1,1,1,1,1,1,1}", "y = Div(a, c)"),
    ("multiply-by-one", "int64 c = {1}", "y = Pow(a, c)"),
    ("twice-negated", "float c = {1.0}", "b = Neg(a) y = Neg(b)"),
    ("already-done", "float c = {1.0}", "b = Ceil(a) y = Floor(b)"),
    ("already-done", "float c = {1.0}", "b = Round(a) y = Round(b)"),
    ("with-itself", "float c = {1.0}", "y = Max(a, a)"),
    ("relu-of-non-negative", "float c = {1.0}", "b = Sigmoid(a) y = Relu(b)"),
    ("relu-of-non-negative", "float c = {1.0}", "b = Softmax(a) y = Relu(b)"),
    ("already-done", "float c = {1.0}", "b = Relu(a) y = Relu(b)"),
    ("already-done", "float c = {1.0}", "b = Abs(a) y = Abs(b)"),
    ("sum-of-two", "float[4] c = {1.0, 2.0, 3.0, 4.0}", "y = Sum(a, c)"),
    ("sum-of-two", "float c = {1.0}", "b = Exp(a) y = Sum(a, b)"),
]


def wrapped(constant: str, body: str) -> str:
    return f"g (float[N, 3, 4] x) => (float[N, 3, 4] z) <{constant}> {{ a = Tanh(x) {body} z = Cos(y) }}"


@pytest.mark.parametrize(("rule", "constant", "body"), APPLIES)
def test_applies(rule: str, constant: str, body: str) -> None:
    run = run_pass(wrapped(constant, body), "simplify-algebra")
    assert run.hits[rule] == 1 and run.changes == 1


LEFT_ALONE = [
    ("float c = {0.0}", "y = Add(a, c)"),  # -0.0 + 0.0 is 0.0
    ("float c = {0.0}", "y = Mul(a, c)"),  # NaN and infinities
    ("float c = {1.0}", "y = Sub(c, a)"),
    ("float c = {1.0}", "y = Div(c, a)"),
    ("float c = {1.0}", "y = Pow(c, a)"),
    ("float c = {1.0}", "b = Reciprocal(a) y = Reciprocal(b)"),
    ("float c = {1.0}", "b = Relu(a) y = Abs(b)"),  # Relu keeps -0.0
    ("float c = {1.0}", "b = Elu(a) y = Relu(b)"),
    ("float[4] c = {1.0, 1.0, 2.0, 1.0}", "y = Mul(a, c)"),
    ("float c = {1.0}", "b = Exp(a) y = Sum(a, b, c)"),
    # onnxruntime fuses these with an Add to what is slower, and runs no product on codes in front of one.
    ("float[4] c = {1.0, 1.0, 1.0, 1.0}", "b = Exp(a) s = Sum(a, b) y = LayerNormalization(s, c)"),
    (
        "float[4] c = {1.0, 1.0, 1.0, 1.0}, float s = {0.1}, uint8 p = {9}, "
        "float[4, 4] w = {1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7}",
        "q = QuantizeLinear(a, s, p) d = DequantizeLinear(q, s, p) m = MatMul(d, w) y = Sum(m, c)",
    ),
]


@pytest.mark.parametrize(("constant", "body"), LEFT_ALONE)
def test_leaves_alone(constant: str, body: str) -> None:
    assert run_pass(wrapped(constant, body), "simplify-algebra").changes == 0


@pytest.mark.parametrize(
    ("shape", "constant"),
    [
        ("float[N, 1]", "float[4] c = {0.0, 0.0, 0.0, 0.0}"),
        ("float[N, M]", "float[4] c = {0.0, 0.0, 0.0, 0.0}"),
        ("float[N]", "float[1, 1] c = {0.0}"),
    ],
)
def test_a_neutral_element_that_broadcasts_stays(shape: str, constant: str) -> None:
    text = f"g ({shape} x) => (float[A, B] y) <{constant}> {{ y = Sub(x, c) }}"
    real = {"float[N, 1]": (3, 1), "float[N, M]": (3, 4), "float[N]": (5,)}[shape]
    run = run_pass(text, "simplify-algebra", inputs=[{"x": np.ones(real, np.float32)}])
    assert run.ops == ["Sub"]
    assert run.refusals["subtract-zero: the constant may broadcast the other operand"] == 1


@pytest.mark.parametrize("body", ["y = Add(a, c)", "y = Sub(a, c)", "y = Add(c, a)"])
def test_integers_know_one_zero(body: str) -> None:
    text = f"g (int64[N] x) => (int64[N] z) <int64 c = {{0}}> {{ a = Abs(x) {body} z = Neg(y) }}"
    assert run_pass(text, "simplify-algebra").ops == ["Abs", "Neg"]


@pytest.mark.parametrize("zero", [-0.0, 0.0])
def test_the_sign_of_zero_matters(zero: float) -> None:
    text = "g (float[N] x) => (float[N] z) <float c = {1.0}> { a = Tanh(x) y = Add(a, c) z = Neg(y) }"
    model = parse_model(text)
    value = model.graph.initializers["c"]
    value.const_value = ir.tensor(np.array(zero, np.float32), name="c")
    run = run_pass(model, "simplify-algebra")
    assert ("Add" in run.ops) == (not np.signbit(zero))


def test_logic() -> None:
    text = """g (bool[N] x) => (bool[N] z) <bool t = {1}, bool f = {0}> {
        a = And(t, x) b = Or(a, f) c = Xor(f, b) d = Not(c) e = Not(d) h = And(e, e) z = Not(h)
    }"""
    assert run_pass(text, "simplify-algebra,dce").ops == ["Not"]


def test_a_constant_that_may_be_overridden_is_none() -> None:
    text = "g (float[N] x, float c) => (float[N] z) <float c = {1.0}> { y = Mul(x, c) z = Neg(y) }"
    assert run_pass(text, "simplify-algebra").ops == ["Mul", "Neg"]


@pytest.mark.parametrize(("op_type", "dtype"), [("Neg", "float"), ("Not", "bool"), ("BitwiseNot", "int32")])
def test_what_is_negated_once_may_have_other_users(op_type: str, dtype: str) -> None:
    text = f"""g ({dtype}[3] x, {dtype}[3] o) => ({dtype}[3] y, {dtype}[3] z) {{
        a = {op_type}(x) b = {op_type}(a) y = {op_type}(b) z = {op_type}(b)
    }}"""
    run = run_pass(text, "simplify-algebra,cse,dce", opset=18)
    assert run.ops.count(op_type) == 1
    shared = f"""g ({dtype}[3] x) => ({dtype}[3] y, {dtype}[3] a) {{
        w = Identity(x) a = {op_type}(w) b = {op_type}(a) y = Identity(b)
    }}"""
    assert run_pass(shared, "simplify-algebra", opset=18).hits == {"twice-negated": 1}
