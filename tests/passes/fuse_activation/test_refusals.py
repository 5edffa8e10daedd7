"""What is nearly an activation stays, with a reason."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.testing import run_pass

from .spelled import SPELLINGS, in_type, read, write

NEAR_MISSES: list[tuple[str, str]] = [
    ("Relu", "p = Greater(x, 0.001) y = Where(p, x, 0)"),
    ("Clip", "r = Relu(x) t = Sub(x, 6) s = Relu(t) z = Mul(s, 0.9995) y = Sub(r, z)"),
    ("Clip", "h = HardSigmoid <alpha = 0.1668, beta = 0.0> (x) y = Mul(h, 6)"),
    ("HardSwish", "s = Add(x, 3.003) c = Clip(s, 0, 6) m = Mul(x, c) y = Div(m, 6)"),
    ("HardSwish", "s = Add(x, 3) c = Clip(s, 0, 5) m = Mul(x, c) y = Div(m, 6)"),
    ("HardSwish", "s = Add(x, 3) c = Clip(s, 0.01, 6) m = Mul(x, c) y = Div(m, 6)"),
    ("HardSigmoid", "s = Add(x, 3) c = Clip(s, -1, 6) y = Div(c, 6)"),
    ("LeakyRelu", "m = Mul(x, 0.1) p = Greater(x, 0.001) y = Where(p, x, m)"),
    ("LeakyRelu", "m = Mul(x, 0.1) n = Sub(m, 0.0001) y = Max(x, n)"),
    ("Abs", "q = Mul(x, x) e = Add(q, 0.0001) y = Sqrt(e)"),
    ("Gelu", "d = Div(x, 1.4152) e = Erf(d) a = Add(e, 1) m = Mul(x, a) y = Mul(m, 0.5)"),
    ("Gelu", "d = Div(x, 1.41421356) e = Erf(d) a = Add(e, 1.001) m = Mul(x, a) y = Mul(m, 0.5)"),
    (
        "Gelu (tanh)",
        "c = Pow(x, 3) k = Mul(c, 0.04475) s = Add(x, k) t = Mul(s, 0.7978845608) h = Tanh(t) a = Add(h, 1)"
        " b = Mul(x, 0.5) y = Mul(b, a)",
    ),
    (
        "Gelu (tanh)",
        "c = Pow(x, 3) k = Mul(c, 0.044715) s = Add(x, k) t = Mul(s, 0.7985) h = Tanh(t) a = Add(h, 1)"
        " b = Mul(x, 0.5) y = Mul(b, a)",
    ),
    ("Sigmoid", "n = Neg(x) e = Exp(n) a = Add(e, 1.001) y = Div(1, a)"),
    ("Tanh", "a = Exp(x) n = Neg(x) b = Exp(n) s = Sub(a, b) t = Add(a, b) u = Add(t, 0.001) y = Div(s, u)"),
    ("Swish", "n = Neg(x) e = Exp(n) a = Add(e, 1.001) y = Div(x, a)"),
    ("Mish", "p = Softplus(x) q = Mul(p, 1.001) t = Tanh(q) y = Mul(x, t)"),
    ("Softplus", "e = Exp(x) a = Add(e, 1.001) y = Log(a)"),
    ("Softsign", "a = Abs(x) d = Add(a, 1.001) y = Div(x, d)"),
    ("Softsign", "q = Mul(x, x) z = Add(q, 0.001) a = Sqrt(z) d = Add(a, 1) y = Div(x, d)"),
    ("Elu", "e = Exp(x) s = Sub(e, 1.001) m = Mul(s, 0.7) p = Greater(x, 0) y = Where(p, x, m)"),
    ("Elu", "e = Exp(x) s = Sub(e, 1) m = Mul(s, 0.7) p = Greater(x, 0.01) y = Where(p, x, m)"),
    (
        "Selu",
        "e = Exp(x) s = Sub(e, 1) m = Mul(s, 1.6745) p = Greater(x, 0.01) w = Where(p, x, m)"
        " y = Mul(w, 1.0507010)",
    ),
    ("Celu", "d = Div(x, 2.002) e = Exp(d) s = Sub(e, 1) m = Mul(s, 2) p = Less(x, 0) y = Where(p, m, x)"),
]


@pytest.mark.parametrize(("idiom", "body"), NEAR_MISSES)
def test_a_near_miss_stays_with_a_reason(idiom: str, body: str) -> None:
    run = run_pass(write([read(body)]), "fuse-activation")
    assert any(f"nearly {idiom}, but at x = " in reason for reason in run.refusals)
    assert idiom not in run.hits


def test_a_constant_per_channel_stays() -> None:
    text = """g (float[2,3] x) => (float[2,3] y) <float[3] b = {3, 2, 3}, float low = {0}, float high = {6}> {
        s = Add(x, b) c = Clip(s, low, high) y = Div(c, high) }"""
    assert run_pass(text, "fuse-activation").changes == 0


@pytest.mark.parametrize(
    ("idiom", "body"),
    [
        ("HardSigmoid", "s = Add(x, b) c = Clip(s, low, high) y = Div(c, high)"),
        ("Swish", "s = Mul(x, b) g = Sigmoid(s) y = Mul(x, g)"),
        ("Clip", "s = Relu(x) y = Min(s, b)"),
        ("HardSwish", "s = Add(x, b) c = Clip(s, low, high) h = Mul(x, c) y = Div(h, high)"),
        ("Gelu", "d = Div(x, root) e = Erf(d) a = Add(e, u) m = Mul(x, a) y = Mul(m, half)"),
    ],
)
def test_a_constant_of_several_numbers_is_told(idiom: str, body: str) -> None:
    text = f"""g (float[2,3] x) => (float[2,3] y) <float[3] b = {{3, 2, 3}}, float[3] u = {{1, 1, 1.01}},
        float root = {{1.4142135}}, float half = {{0.5}}, float low = {{0}}, float high = {{6}}>
        {{ {body} }}"""
    run = run_pass(text, "fuse-activation", opset=20)
    assert any(f"nearly {idiom}, but the constant '" in reason for reason in run.refusals), run.refusals
    assert not run.changes


@pytest.mark.parametrize(
    "body", ["s = Add(x, b) y = Relu(s)", "s = Mul(x, b) t = Add(s, b) y = Sigmoid(t)", "y = PRelu(x, b)"]
)
def test_plain_functions_of_an_affine_per_channel_are_no_near_misses(body: str) -> None:
    run = run_pass(
        f"g (float[2,3] x) => (float[2,3] y) <float[3] b = {{3, 2, 3}}> {{ {body} }}", "fuse-activation"
    )
    assert not run.changes and not run.refusals


def test_a_constant_of_more_dimensions_stays() -> None:
    text = """g (float[3] x) => (float[1,3] y) <float[1,1] b = {3}, float low = {0}, float high = {6}> {
        s = Add(x, b) c = Clip(s, low, high) y = Div(c, high) }"""
    run = run_pass(text, "fuse-activation")
    assert run.refusals == {"fuse-activation: HardSigmoid: a constant may give the result more dimensions": 1}


def test_a_bound_that_keeps_a_value_from_zero_is_no_relu() -> None:
    run = run_pass("g (float[3] x) => (float[3] y) <float e = {1e-20}> { y = Max(x, e) }", "fuse-activation")
    assert run.hits == {"Clip": 1}


def test_a_bound_that_keeps_a_logarithm_finite_stays() -> None:
    text = """g (float[3] x) => (float[3] y) <float low = {1e-7}, float high = {1}> {
        s = HardSigmoid(x) c = Clip(s, low, high) y = Log(c) }"""
    run = run_pass(text, "fuse-activation", inputs=[{"x": np.array([-10, 0, 10], np.float32)}])
    assert run.ops == ["HardSigmoid", "Clip", "Log"]


def test_half_floats_keep_a_small_slope() -> None:
    text = "g (float16[3] x) => (float16[3] y) { l = LeakyRelu(x) y = LeakyRelu(l) }"
    run = run_pass(text, "fuse-activation", inputs=[{"x": np.array([-50, 0, 50], np.float16)}])
    assert run.hits == {"LeakyRelu": 1}


def test_nothing_is_gained_where_too_much_is_used_elsewhere() -> None:
    text = """g (float[2,3] x) => (float[2,3] y, float[2,3] r) { n = Neg(x) r = Sigmoid(n) y = Mul(x, r) }"""
    assert run_pass(text, "fuse-activation").changes == 0


def test_other_precisions_stay_where_onnxruntime_has_no_operator() -> None:
    model = in_type(write([read(SPELLINGS["HardSigmoid"][0])]), "double")
    run = run_pass(model, "fuse-activation")
    assert run.refusals == {"fuse-activation: HardSigmoid: onnxruntime has no HardSigmoid for float64": 1}


def test_a_function_of_float32_constants_takes_no_place_in_double() -> None:
    """The standard spells Gelu with constants of float32, which are off by 1e-8."""
    model = in_type(write([read(SPELLINGS["Gelu (tanh)"][0])], opset=22), "double")
    assert not run_pass(model, "fuse-activation").changes


@pytest.mark.parametrize(
    ("first", "second", "ops"),
    [
        # A constant and the entry, a constant and an earlier node, a lower and an upper bound.
        ("m = Mul(x, -2) r = Relu(m) y = Neg(r)", "m = Mul(x, x) r = Relu(m) y = Neg(r)", None),
        ("a = Abs(x) y = Mul(a, 0)", "a = Abs(x) y = Mul(a, a)", None),
        ("a = Neg(x) b = Clip(a, 2) y = Neg(b)", "a = Neg(x) b = Clip(a, , 2) y = Neg(b)", ["Clip", "Clip"]),
    ],
)
def test_regions_that_look_alike_are_told_apart(first: str, second: str, ops: list[str] | None) -> None:
    for pair in ((first, second), (second, first)):
        run = run_pass(write([read(body) for body in pair]), "fuse-activation")
        assert ops is None or run.ops == ops


def test_attributes_that_a_caller_gives_are_not_read() -> None:
    text = """<ir_version: 9, opset_import: ["" : 18, "local" : 1]>
    g (float[2,3] x) => (float[2,3] y) { y = local.leaky <slope: float = 0.5> (x) }
    <domain: "local", opset_import: ["" : 18]>
    leaky <slope> (x) => (y) { a = LeakyRelu <alpha: float = @slope> (x) b = Neg(a) y = Neg(b) }"""
    assert run_pass(text, "fuse-activation").changes == 0
