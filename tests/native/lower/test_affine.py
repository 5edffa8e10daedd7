"""BatchNormalization and numbers for each channel: one step between codes, two of floats elsewhere."""

from __future__ import annotations

import pytest

from graphopt.ir import infer_shapes
from graphopt.native import reasons
from graphopt.testing import parse_model

from .conftest import Lower

CODES = "float s = {0.1}, uint8 z = {100}, float t = {0.05}, uint8 n = {0}, int8 v = {-20}"
NUMBERS = """, float[3] g = {1.5,-0.7,0.02}, float[3] b = {0.3,-2,1}, float[3] m = {-0.4,1,0},
    float[3] d = {0.5,2,0.001}, float[3,1,1] c1 = {0.7,-1.3,2}, float[1,3,1,1] c2 = {0.1,-0.2,3},
    float[5] row = {1,-2,0.3,4,0.5}, float[1,1,4,1] height = {0.5,2,-1,0.1}, float[3,1,5] both = {
    1,2,3,4,5,6,7,8,9,10,11,12,13,14,15}, float zero = {0}, float six = {6}"""
IN = "xq = QuantizeLinear(x, s, z) xd = DequantizeLinear(xq, s, z) "
Q = " yq = QuantizeLinear(k, t, n) y = DequantizeLinear(yq, t, n)"


def model(body: str, shape: str = "2,3,4,5", more: str = "", opset: int = 17) -> str:
    """A model of `x`, decoded as `xd`, that computes `k`, which is encoded and decoded to `y`."""
    head = f'<ir_version: 8, opset_import: ["" : {opset}]> g '
    return f"{head}(float[{shape}] x) => (float[{shape}] y) <{CODES}{NUMBERS}{more}> {{ {IN} {body} {Q} }}"


NORM = "k = BatchNormalization(xd, g, b, m, d)"


@pytest.mark.parametrize(
    "body",
    [
        NORM,
        "k = BatchNormalization<epsilon = 0.1>(xd, g, b, m, d)",
        "r = BatchNormalization(xd, g, b, m, d) k = Relu(r)",
        "r = BatchNormalization(xd, g, b, m, d) k = Clip(r, zero, six)",
        "k = Mul(xd, c1)",
        "k = Mul(c2, xd)",
        "k = Div(xd, c1)",
        "k = Add(xd, c2)",
        "k = Sub(xd, c1)",
        "k = Sub(c2, xd)",
        "r = Mul(xd, c1) k = Add(r, c2)",
        "r = Mul(xd, c1) k = Add(c1, r)",
        "r = Mul(c1, xd) a = Add(r, c2) k = Relu(a)",
        "k = Mul(xd, row)",
        "r = Mul(xd, row) k = Add(row, r)",
        "k = Mul(xd, height)",
    ],
)
def test_numbers_for_each_channel_are_one_step_between_codes(body: str, lower: Lower) -> None:
    kinds = lower(model(body), step=0.05, share=0.999)
    assert [kind for kind in kinds if kind != "transpose"] == ["quantize", "affine", "dequantize"]


@pytest.mark.parametrize("shape", ["4,3", "2,3,5", "2,3,4,5", "1,3,2,2,3", "rows,3,4,5"])
def test_a_batch_normalization_of_any_rank(shape: str, lower: Lower) -> None:
    kinds = lower(model(NORM, shape), step=0.05, share=0.999, rows=3)
    assert [kind for kind in kinds if kind != "transpose"] == ["quantize", "affine", "dequantize"]


def test_its_numbers_are_those_of_the_steps_in_float(lower: Lower) -> None:
    """What becomes of codes does not depend on whether they are written as codes."""
    text = (
        model(f"{NORM} yq = QuantizeLinear(k, t, n)")
        .replace(Q, "")
        .replace("float[2,3,4,5] y", "uint8[2,3,4,5] yq")
    )
    assert "affine" in lower(text, step=1, share=1)
    assert lower(text, step=0, share=0.999)


def test_a_table_behind_it_is_applied_by_it(lower: Lower) -> None:
    body = f"{NORM} kq = QuantizeLinear(k, s, z) kd = DequantizeLinear(kq, s, z) h = HardSwish(kd) "
    kinds = lower(model(body).replace("(k, t, n)", "(h, t, n)"), step=0.05, share=0.99)
    assert [kind for kind in kinds if kind != "transpose"] == ["quantize", "affine", "dequantize"]


@pytest.mark.parametrize(
    "body",
    [
        "f = Add(x, x) k = BatchNormalization(f, g, b, m, d)",
        "e = Erf(xd) k = BatchNormalization(e, g, b, m, d)",
        f"{NORM} y = Sigmoid(k)",
        "a = Add(xd, c1) k = Mul(a, c2)",
        "a = Add(xd, c1) k = Add(a, c2)",
        "k = Div(c1, xd)",
        "k = Mul(xd, both)",
        "k = Max(xd, c1)",
    ],
)
def test_elsewhere_it_is_computed_in_float(body: str, lower: Lower) -> None:
    text = model(body)
    if "y = " in body:
        text = text.replace(Q, "")
    assert "affine" not in lower(text, step=0.05, share=0.999)


def test_it_follows_the_codes_of_a_concat_and_a_conv_reads_it(lower: Lower) -> None:
    weights = ", float[6] g6 = {1,2,3,-1,-2,0.5}, float[6] o6 = {0,1,0,1,0,1}, float ws = {0.02}"
    weights += ", int8[3,6,1,1] w = {90,-80,70,60,-50,127,-128,3,1,2,3,4,5,6,7,8,9,10}, int8 wz = {0}"
    body = """j = Concat<axis = 1>(xd, xd) jq = QuantizeLinear(j, s, z) jd = DequantizeLinear(jq, s, z)
        a = BatchNormalization(jd, g6, o6, o6, o6) r = Relu(a) rq = QuantizeLinear(r, t, n)
        rd = DequantizeLinear(rq, t, n) wd = DequantizeLinear(w, ws, wz) k = Conv(rd, wd)"""
    kinds = lower(model(body, more=weights), step=0.05)
    steps = ["quantize", "concat", "affine", "conv", "dequantize"]
    assert [kind for kind in kinds if kind != "transpose"] == steps


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("k = BatchNormalization(xd, g, b, m, x)", "input 4 is computed, not constant"),
        (
            "k, p, q = BatchNormalization<training_mode = 1>(xd, g, b, m, d)",
            "a BatchNormalization that trains",
        ),
        (
            "k = BatchNormalization(xd, g, b, m, c1)",
            "factors of a BatchNormalization that are not one for each channel, in float32",
        ),
    ],
)
def test_what_is_no_constant_scaling_has_a_reason(body: str, reason: str) -> None:
    graph = parse_model(model(body))
    infer_shapes(graph)
    assert [text for node, text in reasons(graph).items() if node.op_type == "BatchNormalization"] == [reason]


def test_what_is_not_finite_is_computed_in_float(lower: Lower) -> None:
    more = ", float[3] q = {0, 1, 1}"
    body = "k = BatchNormalization<epsilon = 0.0>(xd, g, b, m, q)"
    found = lower(model(body, more=more), step=0.05, share=0.6)
    assert "affine" not in found
