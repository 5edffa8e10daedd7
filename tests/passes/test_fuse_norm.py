"""Normalizations in every spelling, and what only looks like them."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.pipeline import Pipeline
from graphopt.testing import PassRun, run_pass

Weights = Callable[..., str]
AXES = re.compile(r"(\w+) <axes = \[(-?\d)\](, keepdims = 0)?> \((\w+)\)")
"""A reduction with its axis in an attribute, as opsets before 18 have it."""

CONSTANTS = """int64[1] last = {-1}, float two = {2}, float eps = {1e-5}, float one = {1},
    float root = {0.5}, float minus = {-0.5}, float n = {6}, float part = {0.1666666716337204},
    float zero = {0}, float less = {5},
    float tiny = {1e-3}, float off = {0.16683}, int64[2] flat = {-1, 6}, int64[1] middle = {1},
    int64[3] kept = {0, -1, 1}, float minute = {1e-12}, float low = {-60000}, float high = {60000}"""

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


def model(body: str, more: str, shape: str = "float[B,4,6]", *, axes_as_inputs: bool = False) -> str:
    more = more.strip()[1:-1]
    if axes_as_inputs:
        found = sorted({each[2] for each in AXES.finditer(body)})
        body = AXES.sub(r"\1\3 (\4, axes\2)", body)
        body = body.replace("axes-", "axes_").replace(", keepdims = 0", " <keepdims = 0>")
        more += "".join(f", int64[1] axes{axis.replace('-', '_')} = {{{axis}}}" for axis in found)
    return f"g ({shape} x) => ({shape} y) <{CONSTANTS}, {more}> {{ {body} }}"


@pytest.mark.parametrize(
    ("core", "affine"),
    [*((core, "vectors") for core in CENTRED), *(("centred twice", affine) for affine in AFFINES)],
)
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


ROOT_MEAN_SQUARE = {
    "Pow, Sqrt, Reciprocal": """
        p = Pow(x, two) v = ReduceMean <axes = [-1]> (p) e = Add(v, eps) r = Sqrt(e) i = Reciprocal(r)
        q = Mul(x, i)""",
    "Mul, Div": "p = Mul(x, x) v = ReduceMean <axes = [2]> (p) e = Add(eps, v) r = Sqrt(e) q = Div(x, r)",
    "one over the root": """
        p = Mul(x, x) v = ReduceMean <axes = [2]> (p) e = Add(eps, v) r = Sqrt(e) i = Div(one, r)
        q = Mul(i, x)""",
    "a negative power": """
        p = Mul(x, x) v = ReduceMean <axes = [2]> (p) e = Add(eps, v) i = Pow(e, minus) q = Mul(i, x)""",
    "a sum over N": """
        v = ReduceSumSquare <axes = [2]> (x) w1 = Div(v, n) e = Add(w1, eps) r = Sqrt(e) q = Div(x, r)""",
    "the sum by its part": """
        p = Pow(x, two) v = ReduceSum(p, last) u = Mul(v, part) e = Add(u, eps) r = Sqrt(e) q = Div(x, r)""",
    "no kept dimensions": """
        p = Mul(x, x) v = ReduceMean <axes = [2], keepdims = 0> (p) e = Add(eps, v) r = Sqrt(e)
        u = Unsqueeze(r, last) q = Div(x, u)""",
    "absolute values": """
        a = Abs(x) p = Mul(a, a) v = ReduceMean <axes = [2]> (p) e = Add(eps, v) r = Sqrt(e) q = Div(x, r)""",
    "a sum and its epsilon": """
        v = ReduceSumSquare <axes = [2]> (x) e = Add(v, eps) r = Sqrt(e) q = Div(x, r)""",
}


@pytest.mark.parametrize(
    ("core", "affine"),
    [*((core, "y = Mul(q, w)") for core in ROOT_MEAN_SQUARE), ("Mul, Div", "y = Identity(q)")],
)
def test_every_spelling_of_rms_normalization_is_found(core: str, affine: str, weights: Weights) -> None:
    text = model(ROOT_MEAN_SQUARE[core] + affine, weights(w=(6,)), axes_as_inputs=True)
    run = run_pass(text, "fuse-norm,dce", opset=23)
    assert run.ops == ["RMSNormalization"]


def test_rms_normalization_of_half_precision_with_casts_is_found() -> None:
    core = ROOT_MEAN_SQUARE["a sum over N"].replace(
        "ReduceSumSquare <axes = [2]> (x)", "ReduceSumSquare(f, last)"
    )
    body = "f = Cast <to = 1> (h) " + core.replace("(x", "(f")
    text = f"""g (float16[B,4,6] h) => (float16[B,4,6] y)
        <{CONSTANTS}, float16[6] w = {{14336, 15360, 16384, 16896, 15872, 48128}}>
        {{ {body} c = Cast <to = 10> (q) y = Mul(c, w) }}"""
    assert run_pass(text, "fuse-norm,dce", opset=23).ops == ["RMSNormalization"]


UNIT = {
    "ReduceL2": "l = ReduceL2 <axes = [2]> (x) y = Div(x, l)",
    "ReduceL2, Reciprocal": "l = ReduceL2 <axes = [-1]> (x) i = Reciprocal(l) y = Mul(i, x)",
    "root of a sum of squares": "s = ReduceSumSquare <axes = [2]> (x) l = Sqrt(s) y = Div(x, l)",
    "Mul, ReduceSum": "p = Mul(x, x) s = ReduceSum(p, last) l = Sqrt(s) y = Div(x, l)",
    "Pow, ReduceSum": "p = Pow(x, two) s = ReduceSum(p, last) l = Pow(s, root) y = Div(x, l)",
    "a negative power": "p = Pow(x, two) s = ReduceSum(p, last) l = Pow(s, minus) y = Mul(x, l)",
    "no kept dimensions": """
        s = ReduceSumSquare <axes = [2], keepdims = 0> (x) l = Sqrt(s) u = Reshape(l, kept) y = Div(x, u)""",
    "one over": "l = ReduceL2 <axes = [2]> (x) i = Div(one, l) y = Mul(x, i)",
    "absolute values": "a = Abs(x) p = Pow(a, two) s = ReduceSum(p, last) l = Sqrt(s) y = Div(x, l)",
}


@pytest.mark.parametrize("body", UNIT.values(), ids=UNIT.keys())
def test_every_spelling_of_lp_normalization_is_found(body: str) -> None:
    run = run_pass(model(body, "<float w = {1}>"), "fuse-norm,dce", opset=17)
    assert run.ops == ["LpNormalization"]
    assert run.node("LpNormalization").attributes["axis"].as_int() == 2


def test_lp_normalization_of_absolute_values_is_found() -> None:
    body = "l = ReduceL1 <axes = [2]> (x) y = Div(x, l)"
    node = run_pass(model(body, "<float w = {1}>"), "fuse-norm,dce", opset=17).node("LpNormalization")
    assert node.attributes["p"].as_int() == 1


def test_lp_normalization_along_an_inner_axis_stays_spelled_where_that_is_faster() -> None:
    body = "l = ReduceL2 <axes = [1]> (x) y = Div(x, l)"
    run = run_pass(model(body, "<float w = {1}>"), "fuse-norm", opset=17)
    (reason,) = run.refusals
    assert reason.startswith("fuse-norm: LpNormalization.inner kept as 2 nodes: the operator takes ")


INSTANCES = {
    "Pow, Sqrt, Div": """
        m = ReduceMean <axes = [2, 3]> (x) d = Sub(x, m) p = Pow(d, two) v = ReduceMean <axes = [2, 3]> (p)
        e = Add(v, eps) r = Sqrt(e) q = Div(d, r)""",
    "global pools": """
        m = GlobalAveragePool(x) d = Sub(x, m) p = Mul(d, d) v = GlobalAveragePool(p)
        e = Add(v, eps) r = Sqrt(e) q = Div(d, r)""",
    "negative axes": """
        m = ReduceMean <axes = [-1, -2]> (x) d = Sub(x, m) p = Mul(d, d) v = ReduceMean <axes = [3, 2]> (p)
        e = Add(v, eps) i = Pow(e, minus) q = Mul(d, i)""",
    "mean of squares less square of mean": """
        m = ReduceMean <axes = [2, 3]> (x) d = Sub(x, m) p = Mul(x, x) s = ReduceMean <axes = [2, 3]> (p)
        mm = Mul(m, m) v = Sub(s, mm) e = Add(v, eps) r = Sqrt(e) i = Reciprocal(r) q = Mul(d, i)""",
    "one axis after the other": """
        m3 = ReduceMean <axes = [3]> (x) m = ReduceMean <axes = [2]> (m3) d = Sub(x, m) p = Mul(d, d)
        v3 = ReduceMean <axes = [3]> (p) v = ReduceMean <axes = [2]> (v3) e = Add(v, eps) r = Sqrt(e)
        q = Div(d, r)""",
    "centred twice": """
        m = ReduceMean <axes = [2, 3]> (x) d = Sub(x, m) d2 = Sub(m, x) p = Mul(d2, d2)
        v = ReduceMean <axes = [2, 3]> (p) e = Add(v, eps) r = Sqrt(e) q = Div(d, r)""",
    "one over the root": """
        m = ReduceMean <axes = [2, 3]> (x) d = Sub(x, m) p = Mul(d, d) v = ReduceMean <axes = [2, 3]> (p)
        e = Add(v, eps) r = Sqrt(e) i = Div(one, r) q = Mul(i, d)""",
    "an operator of its own": "q = InstanceNormalization <epsilon = 0.001> (x, ones, zeros)",
    "rows in front of the operator": """
        f = Reshape(x, rows) g = LayerNormalization <epsilon = 0.001> (f, long) q = Reshape(g, image)""",
}


@pytest.mark.parametrize("size", ["4,6", "H,W"])
@pytest.mark.parametrize("core", INSTANCES)
def test_every_spelling_of_instance_normalization_is_found(core: str, size: str, weights: Weights) -> None:
    if core == "rows in front of the operator" and size == "H,W":
        size = "4,6"
    more = weights(w=(3, 1, 1), b=(1, 3, 1, 1))[:-1] + (
        ", float[3] ones = {1, 1, 1}, float[3] zeros = {0, 0, 0}, int64[3] rows = {0, 3, -1}, int64[4] "
        f"image = {{0, 3, 4, 6}}, float[24] long = {{{', '.join(['1'] * 24)}}}>"
    )
    text = model(INSTANCES[core] + "t = Mul(q, w) y = Add(t, b)", more, f"float[B,3,{size}]")
    assert run_pass(text, "fuse-norm,dce", opset=17).ops == ["InstanceNormalization"]


COUNTED = ("sums over N", "a sum of squares", "the norm of what is centred")
"""Spellings with a constant that is the length of another row."""
GROUPS = {
    name: re.sub(r"\bq\b", "z", re.sub(r"\bx\b", "g", core))
    for name, core in CENTRED.items()
    if name not in COUNTED
}


@pytest.mark.parametrize(("core", "size"), [*((core, "4,5") for core in GROUPS), ("Pow, Sqrt, Div", "H,5")])
def test_groups_of_channels_are_written_around_instance_normalization(
    core: str, size: str, weights: Weights
) -> None:
    back = "int64[4] back = {0, 6, 4, 5}" if size == "4,5" else "int64[4] back = {0, 6, -1, 5}"
    more = weights(w=(6, 1, 1), b=(6, 1, 1))[:-1] + f", int64[3] pairs = {{0, 3, -1}}, {back}>"
    body = f"g = Reshape(x, pairs) {GROUPS[core]} q = Reshape(z, back) t = Mul(q, w) y = Add(t, b)"
    run = run_pass(model(body, more, f"float[B,6,{size}]"), "fuse-norm,dce", opset=17)
    assert run.ops == ["Reshape", "InstanceNormalization", "Reshape", "Mul", "Add"]


def test_layer_normalization_of_channels_stands_between_transposes(weights: Weights) -> None:
    body = """
        m = ReduceMean <axes = [1]> (x) d = Sub(x, m) p = Pow(d, two) v = ReduceMean <axes = [1]> (p)
        e = Add(v, eps) r = Sqrt(e) q = Div(d, r) t = Mul(q, w) y = Add(t, b)"""
    text = model(body, weights(w=(6, 1, 1), b=(6, 1, 1)), "float[B,6,H,W]")
    run = run_pass(text, "fuse-norm,dce", opset=17)
    assert run.ops == ["Transpose", "LayerNormalization", "Transpose"]


def test_rms_normalization_of_channels_stands_between_transposes(weights: Weights) -> None:
    body = """
        p = Pow(x, two) v = ReduceMean <axes = [1]> (p) e = Add(v, eps) r = Sqrt(e) q = Div(x, r)
        y = Mul(q, w)"""
    text = model(body, weights(w=(6, 1, 1)), "float[B,6,H,W]", axes_as_inputs=True)
    assert run_pass(text, "fuse-norm,dce", opset=23).ops == ["Transpose", "RMSNormalization", "Transpose"]


def test_a_scale_along_another_axis_stands_behind(weights: Weights) -> None:
    body = CENTRED["Pow, Sqrt, Div"].replace("2", "3") + "y = Mul(q, w)"
    run = run_pass(model(body, weights(w=(4, 1, 1)), "float[B,4,H,6]"), "fuse-norm,dce", opset=17)
    assert run.ops == ["LayerNormalization", "Mul"]


def test_other_constants_of_the_definition_go_into_the_scale() -> None:
    body = """
        m = ReduceMean <axes = [2]> (x) d = Sub(x, m) p = Mul(d, d) s = ReduceSum(p, last) v = Div(s, less)
        e = Add(v, eps) r = Sqrt(e) y = Div(d, r)"""
    run = run_pass(model(body, "<float w = {1}>"), "fuse-norm,dce", opset=17)
    assert run.ops == ["LayerNormalization"]
    scale = run.node("LayerNormalization").inputs[1]
    assert scale is not None and scale.const_value is not None
    assert scale.const_value.numpy() == pytest.approx((5 / 6) ** 0.5)


def test_an_affine_of_values_goes_into_the_norm() -> None:
    body = CENTRED["Pow, Sqrt, Div"] + "t = Mul(q, w) y = Add(t, b)"
    text = f"g (float[B,4,6] x, float[6] w, float[6] b) => (float[B,4,6] y) <{CONSTANTS}> {{ {body} }}"
    run = run_pass(text, "fuse-norm,dce", opset=17)
    assert run.ops == ["LayerNormalization"]
    assert [value.name for value in run.node("LayerNormalization").inputs if value] == ["x", "w", "b"]


def test_an_affine_of_values_along_another_axis_stays_behind() -> None:
    body = CENTRED["Pow, Sqrt, Div"] + "t = Mul(q, w) y = Add(t, b)"
    text = f"g (float[B,4,6] x, float[4,1] w, float[1] b) => (float[B,4,6] y) <{CONSTANTS}> {{ {body} }}"
    assert run_pass(text, "fuse-norm,dce", opset=17).ops == ["LayerNormalization", "Mul", "Add"]


def test_what_is_not_the_mean_is_no_part_of_it() -> None:
    body = """
        s = ReduceSum(x, last) m = Mul(s, off) d = Sub(x, m) p = Mul(d, d) v = ReduceMean <axes = [2]> (p)
        e = Add(v, eps) r = Sqrt(e) y = Div(d, r)"""
    run = run_pass(model(body, "<float w = {1}>", axes_as_inputs=True), "fuse-norm,dce", opset=23)
    assert run.ops == ["ReduceSum", "Mul", "Sub", "RMSNormalization"]


def test_a_wide_clip_in_front_stays(weights: Weights) -> None:
    core = CENTRED["Pow, Sqrt, Div"].replace("(x", "(c")
    run = run_pass(
        model(f"c = Clip(x, low, high) {core} y = Mul(q, w)", weights(w=(6,))), "fuse-norm,dce", opset=17
    )
    assert run.ops == ["Clip", "LayerNormalization"]


MEAN = "m = ReduceMean <axes = [2]> (x) d = Sub(x, m) p = Mul(d, d)"
NEAR = {
    "epsilon outside": (
        f"{MEAN} v = ReduceMean <axes = [2]> (p) r = Sqrt(v) e = Add(r, tiny) y = Div(d, e)",
        "nearly LayerNormalization: epsilon is added outside of the root (0.001)",
    ),
    "axes": (
        """m = ReduceMean <axes = [2]> (x) d = Sub(x, m) m1 = ReduceMean <axes = [1]> (x) d1 = Sub(x, m1)
        p = Mul(d1, d1) v = ReduceMean <axes = [1]> (p) e = Add(v, eps) r = Sqrt(e) y = Div(d, r)""",
        "nearly LayerNormalization: the reductions run over different axes (1 and 2)",
    ),
    "floor": (
        "l = ReduceL2 <axes = [2]> (x) c = Max(l, minute) y = Div(x, c)",
        "nearly LpNormalization: the norm has a floor (1e-12)",
    ),
    "clipped": (
        "l = ReduceL2 <axes = [2]> (x) c = Clip(l, tiny) y = Div(x, c)",
        "nearly LpNormalization: the norm has a floor (0.001)",
    ),
    "added to the norm": (
        "l = ReduceL2 <axes = [2]> (x) c = Add(l, tiny) y = Div(x, c)",
        "nearly LpNormalization: epsilon is added outside of the root (0.001)",
    ),
    "mean absolute": (
        f"{MEAN} a = Abs(d) v = ReduceMean <axes = [2]> (a) e = Add(v, eps) y = Div(d, e)",
        "nearly LayerNormalization: what divides a row is not the root of the variance",
    ),
    "not centred in the root": (
        f"{MEAN} q = Mul(x, x) v = ReduceMean <axes = [2]> (q) e = Add(v, eps) r = Sqrt(e) y = Div(d, r)",
        "nearly LayerNormalization: what divides a row is not the root of the variance",
    ),
    "another power": (
        f"{MEAN} v = ReduceMean <axes = [2]> (p) e = Add(v, eps) r = Pow(e, tiny) y = Div(d, r)",
        "",
    ),
    "no root": (
        "p = Pow(x, two) v = ReduceMean <axes = [2]> (p) e = Add(v, eps) y = Div(x, e)",
        "nearly RMSNormalization: what divides a row grows with the power 2 of its size, not 1",
    ),
    "a root of the mean size": (
        f"{MEAN} a = Abs(d) v = ReduceMean <axes = [2]> (a) e = Add(v, eps) r = Sqrt(e) y = Div(d, r)",
        "nearly LayerNormalization: what divides a row grows with the power 0.5 of its size, not 1",
    ),
}


@pytest.mark.parametrize(("body", "reason"), NEAR.values(), ids=NEAR.keys())
def test_what_nearly_is_a_normalization_stays_with_a_reason(body: str, reason: str) -> None:
    run = run_pass(model(body, "<float w = {1}>", axes_as_inputs=True), "fuse-norm", opset=23)
    assert not run.changes
    assert not reason or [each for each in run.refusals if each.startswith(f"fuse-norm: {reason}")], (
        run.refusals
    )


@pytest.mark.parametrize("body", ["c = Max(l, minute)", "c = Clip(l, minute)", "c = Max(minute, l)"])
def test_a_norm_that_is_guarded_against_zero_is_recognised_and_kept(body: str) -> None:
    text = model(
        f"l = ReduceL2 <axes = [2]> (x) {body} y = Div(x, c)", "<float w = {1}>", axes_as_inputs=True
    )
    run = run_pass(text, "fuse-norm", opset=23)
    (finding,) = (each for record in run.records for each in record.findings)
    assert finding.idiom == "guarded LpNormalization" and finding.remark == "the norm has a floor (1e-12)"


def test_sizes_that_are_not_known_are_no_obstacle_to_a_refusal(weights: Weights) -> None:
    body = CENTRED["Pow, Sqrt, Div"] + "y = Identity(q)"
    run = run_pass(model(body, "<float w = {1}>", "float[A,B,C]"), "fuse-norm", opset=17)
    assert run.refusals == {"fuse-norm: LayerNormalization: the size of axis 2 is not known": 1}


def test_an_intermediate_that_others_use_stays(weights: Weights) -> None:
    body = CENTRED["Pow, Sqrt, Div"] + "y = Identity(q) z = Relu(d)"
    text = model(body, "<float w = {1}>").replace(" y)", " y, float[B,4,6] z)")
    assert sorted(run_pass(text, "fuse-norm,dce", opset=17).ops) == [
        "LayerNormalization",
        "ReduceMean",
        "Relu",
        "Sub",
    ]


def test_double_precision_has_no_instance_normalization() -> None:
    body = """
        m = ReduceMean <axes = [2, 3]> (x) d = Sub(x, m) p = Mul(d, d) v = ReduceMean <axes = [2, 3]> (p)
        e = Add(v, eps) r = Sqrt(e) y = Div(d, r)"""
    text = f"g (double[B,3,H,W] x) => (double[B,3,H,W] y) <double eps = {{1e-5}}> {{ {body} }}"
    run = run_pass(text, "fuse-norm", opset=17)
    assert run.refusals == {"fuse-norm: LayerNormalization: the size of axis 2 is not known": 1}
    text = text.replace("H,W", "4,5")
    assert run_pass(text, "fuse-norm,dce", opset=17).ops == ["LayerNormalization"]


@pytest.mark.parametrize(
    "body", ["l = ReduceL2 <axes = [2]> (x) y = Div(x, l)", CENTRED["Mul, Reciprocal"] + "y = Identity(q)"]
)
def test_double_precision_is_found(body: str) -> None:
    text = f"g (double[B,4,6] x) => (double[B,4,6] y) <double eps = {{1e-5}}> {{ {body} }}"
    assert len(run_pass(text, "fuse-norm,dce", opset=17).ops) == 1


def test_double_precision_of_rms_is_found() -> None:
    body = "v = ReduceSumSquare(x, last) e = Add(v, eps) r = Sqrt(e) y = Div(x, r)"
    constants = "int64[1] last = {2}, double eps = {1e-5}"
    text = f"g (double[B,4,6] x) => (double[B,4,6] y) <{constants}> {{ {body} }}"
    assert run_pass(text, "fuse-norm,dce", opset=23).ops == ["RMSNormalization"]


@pytest.mark.parametrize("dtype", ["float", "double"])
def test_what_is_a_norm_but_for_a_millionth_is_none_in_double(dtype: str) -> None:
    """Rows of a norm with a large epsilon are normalized again: nearly what one norm does."""
    body = """q = Mul(x, x) v = ReduceMean<axes = [2]>(q) e = Add(v, large) r = Sqrt(e) z = Div(x, r)
        m = ReduceMean<axes = [2]>(z) c = Sub(z, m) p = Mul(c, c) w = ReduceMean<axes = [2]>(p)
        f = Add(w, small) g = Sqrt(f) y = Div(c, g)"""
    constants = f"{dtype} large = {{1e-3}}, {dtype} small = {{1e-6}}"
    text = f"g ({dtype}[B,4,6] x) => ({dtype}[B,4,6] y) <{constants}> {{ {body} }}"
    ops = run_pass(text, "fuse-norm,dce", opset=17).ops
    assert ops.count("LayerNormalization") == 1 and ("Sqrt" in ops) == (dtype == "double"), ops


@pytest.mark.parametrize("epsilon", [1e-5, 0.5, 1.001, 30.0])
def test_a_large_epsilon_leaves_no_trace_in_the_scale(epsilon: float) -> None:
    """It shows in the rows that the scale is solved from, however large these are."""
    body = "q = Mul(x, x) v = ReduceMean(q, last) e = Add(v, eps) r = Sqrt(e) y = Div(x, r)"
    constants = f"int64[1] last = {{2}}, double eps = {{{epsilon}}}"
    text = f"g (double[B,4,6] x) => (double[B,4,6] y) <{constants}> {{ {body} }}"
    (scale,) = run_pass(text, "fuse-norm,dce", opset=23).model.graph.initializers.values()
    assert scale.const_value is not None and np.all(scale.const_value.numpy() == 1.0)


def test_a_shift_in_front_of_the_operator_is_no_near_miss(weights: Weights) -> None:
    body = "a = Add(x, shift) y = LayerNormalization <epsilon = 1e-12> (a, w)"
    run = run_pass(model(body, weights(w=(6,), shift=(1, 4, 6)), "float[1,4,6]"), "fuse-norm", opset=17)
    assert not run.changes and not run.refusals


def test_a_refusal_is_told_of_all_nodes_of_the_norm(weights: Weights) -> None:
    """Whoever asks about one of them hears what keeps the whole from fusing."""
    text = f"""<ir_version: 8, opset_import: ["" : 13]>
        agraph (float[n,8] x) => (float[n,8] y)
        {weights(s=(8,))[:-1]}, float e = {{1e-5}}, float two = {{2}}> {{
            m = ReduceMean <axes = [-1]> (x)  c = Sub(x, m)  q = Pow(c, two)
            v = ReduceMean <axes = [-1]> (q)  a = Add(v, e)  d = Sqrt(a)  z = Div(c, d)  y = Mul(z, s)
        }}"""
    model = ir.from_onnx_text(text)
    (record,) = Pipeline.parse("fuse-norm").run(model, watch=("d",)).records
    assert [reason for reason, _ in record.told] == ["fuse-norm: needs opset 17, and the model is at 13"]


def test_a_factor_behind_groups_is_kept() -> None:
    run = run_pass(
        """
        g (float[1,6,1,2] x) => (float[1,6,1,2] y)
        <float[2] one = {1, 1}, float[2] zero = {0, 0}, int64[3] rows = {0, 2, -1},
         int64[4] back = {1, 6, 1, 2}, float two = {2}> {
            r = Reshape (x, rows)
            n = InstanceNormalization (r, one, zero)
            b = Reshape (n, back)
            y = Mul (two, b)
        }
        """,
        "fuse-norm",
        opset=22,
    )
    assert run.ops == ["Reshape", "InstanceNormalization", "Reshape"]


def test_a_factor_behind_a_norm_is_kept() -> None:
    run = run_pass(
        """
        g (float[2,8] x) => (float[2,8] y) <float two = {2}> {
            n = ReduceL2 <axes = [1]> (x)
            d = Div (x, n)
            y = Mul (d, two)
        }
        """,
        "fuse-norm",
        opset=17,
    )
    assert run.ops[-1] == "Mul"


@pytest.mark.parametrize("shift", ["0.8, 2.5", "2.5, 0.8"])
def test_a_shift_in_front_of_a_row_of_two_elements_stays(shift: str) -> None:
    """Two elements over the root of their variance are 1 and -1: only their sign tells of the shift."""
    run = run_pass(
        f"""g (float[1,1,2] x) => (float[1,1,2] y) <float[2] c = {{{shift}}}, float[2] k = {{1.0, 1.0}}> {{
            z = Add(x, c) y = LayerNormalization(z, k)
        }}""",
        "fuse-norm",
        opset=17,
    )
    assert run.ops == ["Add", "LayerNormalization"]
