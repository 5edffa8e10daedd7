"""Normalizations in every spelling, and what only looks like them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphopt.testing import PassRun, run_pass

Weights = Callable[..., str]

CONSTANTS = """int64[1] last = {-1}, float two = {2}, float eps = {1e-5}, float one = {1},
    float root = {0.5}, float minus = {-0.5}, float n = {6}, float part = {0.1666666716337204},
    float zero = {0}, float less = {5},
    float tiny = {1e-3}, float off = {0.16683}, int64[2] flat = {-1, 6}, int64[1] middle = {1},
    int64[3] kept = {0, -1, 1}, float minute = {1e-12}, int64[2] spatial = {2, 3}"""

CENTRED = {
    "Pow, Sqrt, Div": """
        m = ReduceMean <axes = [-1]> (x) d = Sub(x, m) p = Pow(d, two) v = ReduceMean <axes = [-1]> (p)
        e = Add(v, eps) r = Sqrt(e) q = Div(d, r)""",
    "Mul, Reciprocal": """
        m = ReduceMean <axes = [2]> (x) d = Sub(x, m) p = Mul(d, d) v = ReduceMean <axes = [2]> (p)
        e = Add(eps, v) r = Sqrt(e) i = Reciprocal(r) q = Mul(i, d)""",
    "a negative power": """
        m = ReduceMean <axes = [2]> (x) d = Sub(x, m) p = Mul(d, d) v = ReduceMean <axes = [2]> (p)
        e = Add(eps, v) r = Pow(e, minus) q = Mul(r, d)""",
    "one over a power": """
        m = ReduceMean <axes = [2]> (x) d = Sub(x, m) p = Mul(d, d) v = ReduceMean <axes = [2]> (p)
        e = Add(eps, v) r = Pow(e, root) i = Div(one, r) q = Mul(d, i)""",
    "mean of squares less square of mean": """
        m = ReduceMean <axes = [2]> (x) d = Sub(x, m) p = Mul(x, x) s = ReduceMean <axes = [2]> (p)
        mm = Mul(m, m) v = Sub(s, mm) c = Max(v, zero) e = Add(c, eps) r = Sqrt(e) q = Div(d, r)""",
    "sums over N": """
        ms = ReduceSum(x, last) m = Div(ms, n) d = Sub(x, m) p = Mul(d, d) vs = ReduceSum(p, last)
        v = Mul(part, vs) e = Add(v, eps) r = Sqrt(e) q = Div(d, r)""",
    "a sum of squares": """
        m = ReduceMean <axes = [2]> (x) d = Sub(x, m) vs = ReduceSumSquare <axes = [2]> (d)
        v = Mul(part, vs) e = Add(v, eps) r = Sqrt(e) q = Div(d, r)""",
    "centred twice": """
        m = ReduceMean <axes = [2]> (x) d = Sub(x, m) m2 = ReduceMean <axes = [-1]> (x) d2 = Sub(m2, x)
        p = Pow(d2, two) v = ReduceMean <axes = [2]> (p) e = Add(v, eps) r = Sqrt(e) q = Div(d, r)""",
    "no kept dimensions": """
        m = ReduceMean <axes = [2], keepdims = 0> (x) mu = Unsqueeze(m, last) d = Sub(x, mu) p = Mul(d, d)
        v = ReduceMean <axes = [2], keepdims = 0> (p) vu = Reshape(v, kept) e = Add(vu, eps) r = Sqrt(e)
        q = Div(d, r)""",
    "scaled before the mean is taken off": """
        m = ReduceMean <axes = [2]> (x) d = Sub(x, m) p = Mul(d, d) v = ReduceMean <axes = [2]> (p)
        e = Add(v, eps) r = Sqrt(e) i = Reciprocal(r) xi = Mul(x, i) mi = Mul(m, i) q = Sub(xi, mi)""",
    "epsilon within the sum": """
        m = ReduceMean <axes = [2]> (x) d = Sub(x, m) p = Mul(d, d) pe = Add(p, eps)
        e = ReduceMean <axes = [2]> (pe) r = Sqrt(e) q = Div(d, r)""",
    "the norm of what is centred": """
        m = ReduceMean <axes = [2]> (x) d = Sub(x, m) l = ReduceL2 <axes = [2]> (d) r = Mul(l, sixth_root)
        q = Div(d, r)""",
}

AFFINES = {
    "none": ("y = Identity(q)", []),
    "vectors": ("t = Mul(q, w) y = Add(t, b)", ["w", "b"]),
    "scalars": ("t = Mul(q, two) y = Add(one, t)", ["two", "one"]),
}


def model(body: str, more: str, shape: str = "float[B,4,6]") -> str:
    more = more.strip()[1:-1]
    return f"g ({shape} x) => ({shape} y) <{CONSTANTS}, {more}> {{ {body} }}"


@pytest.mark.parametrize("affine", AFFINES)
@pytest.mark.parametrize("core", CENTRED)
def test_every_spelling_of_layer_normalization_is_found(
    core: str, affine: str, weights: Weights, assert_close: Callable[[PassRun], None]
) -> None:
    more = weights(w=(6,), b=(6,))[:-1] + ", float sixth_root = {0.408248290463863}>"
    run = run_pass(model(CENTRED[core] + AFFINES[affine][0], more), "fuse-norm,dce", opset=17)
    assert run.ops == ["LayerNormalization"]
    assert run.hits["LayerNormalization"] == 1
    epsilon = run.node("LayerNormalization").attributes["epsilon"].as_float()
    assert epsilon == pytest.approx(0.0 if "norm of" in core else 1e-5)


def test_scale_and_bias_keep_their_bits(weights: Weights) -> None:
    core = CENTRED["Pow, Sqrt, Div"]
    run = run_pass(
        model(core + "t = Mul(w, q) y = Add(b, t)", weights(w=(6,), b=(6,))), "fuse-norm", opset=17
    )
    before = {name: value.const_value for name, value in run.before.graph.initializers.items()}
    made = run.node("LayerNormalization").inputs
    for name, value in zip(("w", "b"), made[1:], strict=True):
        assert before[name] is not None and value is not None and value.const_value is not None
        assert before[name].numpy().tolist() == value.const_value.numpy().tolist()  # type: ignore[union-attr]


def test_half_precision_with_casts_is_found(weights: Weights) -> None:
    body = "f = Cast <to = 1> (h) " + CENTRED["Pow, Sqrt, Div"].replace("(x", "(f")
    text = f"""g (float16[B,4,6] h) => (float16[B,4,6] y)
        <{CONSTANTS}, float16[6] w = {{14336, 15360, 16384, 16896, 15872, 48128}}>
        {{ {body} c = Cast <to = 10> (q) y = Mul(c, w) }}"""
    assert run_pass(text, "fuse-norm,dce", opset=17).ops == ["LayerNormalization"]


def test_half_precision_without_casts_is_found() -> None:
    body = CENTRED["Pow, Sqrt, Div"] + "y = Identity(q)"
    text = f"""g (float16[B,4,6] x) => (float16[B,4,6] y) <float16 two = {{16384}}, float16 eps = {{1678}}>
        {{ {body} }}"""
    assert run_pass(text, "fuse-norm,dce", opset=17).ops == ["LayerNormalization"]


def test_an_older_opset_is_told() -> None:
    body = CENTRED["Pow, Sqrt, Div"] + "y = Identity(q)"
    run = run_pass(model(body, "<float w = {1}>"), "fuse-norm", opset=13)
    assert run.refusals == {"fuse-norm: needs opset 17, and the model is at 13": 1}
    assert (
        "LayerNormalization"
        in run_pass(model(body, "<float w = {1}>"), "{fuse-norm,raise-opset}*", opset=13).ops
    )
