"""Operators between DequantizeLinear and QuantizeLinear run on codes; chains of functions become tables."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphopt.ir import infer_shapes
from graphopt.native import LoweringError, compile, reasons
from graphopt.testing import parse_model

from .conftest import Lower

HEAD = '<ir_version: 9, opset_import: ["" : 20, "com.microsoft" : 1]> g '
CODES = (
    "float s = {0.1}, uint8 z = {100}, float t = {0.05}, uint8 n = {0}, int8 v = {0}, float ws = {0.02}, "
    "int8[4,2,1,1] w = {90,-80,70,60,-50,127,-128,3}, "
    "int8[2,1,3,3] d = {1,-2,3,4,50,6,7,8,-9,9,8,7,6,-5,4,3,2,1}"
)
X = "(float[1,2,4,5] x) => "
IN = "xq = QuantizeLinear(x, s, z) xd = DequantizeLinear(xq, s, z) "
CONV = """wd = DequantizeLinear(w, ws, v) c = Conv(xd, wd) cq = QuantizeLinear(c, s, z)
    cd = DequantizeLinear(cq, s, z) """
END = " q = QuantizeLinear(c, s, z) y = DequantizeLinear(q, s, z)"


def image(body: str, output: str = "float[1,4,4,5] y", more: str = "") -> str:
    """A model of an image `x`, decoded as `xd`, with weights `w` of 2 to 4 channels."""
    return f"{HEAD}{X}({output}) <{CODES}{more}> {{ {IN} {body} }}"


def test_a_conv_writes_codes_in_the_order_in_which_images_lie(lower: Lower) -> None:
    assert lower(image(f"{CONV} y = Identity(cd)")) == ["quantize", "conv", "dequantize"]


@pytest.mark.parametrize(
    "chain",
    [
        "a = HardSwish(cd)",
        "a = Sigmoid(cd)",
        "a = LeakyRelu<alpha = 0.2>(cd)",
        "p = Sigmoid(cd) a = Mul(cd, p)",
        "p = Sigmoid(cd) pq = QuantizeLinear(p, t, n) pd = DequantizeLinear(pq, t, n) a = Mul(pd, cd)",
        "h = Constant<value_float = 3.0>() p = Add(cd, h) o = Constant<value_float = 0.0>() "
        "i = Constant<value_float = 6.0>() q = Clip(p, o, i) r = Mul(cd, q) a = Div(r, i)",
        "a = Gelu(cd)",
    ],
)
def test_a_chain_of_functions_is_a_table_of_the_conv_before_it(chain: str, lower: Lower) -> None:
    end = "yq = QuantizeLinear(a, t, n) y = DequantizeLinear(yq, t, n)"
    assert lower(image(f"{CONV} {chain} {end}"), step=0.05) == ["quantize", "conv", "dequantize"]


def test_a_table_stands_alone_where_others_read_the_codes_before_it(lower: Lower) -> None:
    body = f"{CONV} a = Sigmoid(cd) aq = QuantizeLinear(a, t, n) ad = DequantizeLinear(aq, t, n) "
    tail = "b = Add(cd, ad) bq = QuantizeLinear(b, s, z) y = DequantizeLinear(bq, s, z)"
    # The sum is itself a function of the codes of the Conv.
    assert lower(image(body + tail)) == ["quantize", "conv", "dequantize"]
    kinds = lower(image(f"{body} y = Identity(cd) u = Identity(ad)", "float[1,4,4,5] y, float[1,4,4,5] u"))
    assert sorted(kinds) == ["conv", "dequantize", "dequantize", "lookup", "quantize"]


def test_clips_between_a_conv_and_its_codes_are_bounds(lower: Lower) -> None:
    body = """wd = DequantizeLinear(w, ws, v) c = Conv(xd, wd) l = Constant<value_float = -1.0>()
        h = Constant<value_float = 2.0>() k = Clip(c, l, h) r = Relu(k) q = QuantizeLinear(r, s, z)
        y = DequantizeLinear(q, s, z)"""
    assert lower(image(body)) == ["quantize", "conv", "dequantize"]


def test_what_is_no_number_has_the_least_code(lower: Lower) -> None:
    """As a table, and as floats that are quantized."""
    body = """wd = DequantizeLinear(w, ws, v) c = Conv(xd, wd) cq = QuantizeLinear(c, s, z)
        cd = DequantizeLinear(cq, s, z) r = Sqrt(cd) rq = QuantizeLinear(r, s, z)
        y = DequantizeLinear(rq, s, z)"""
    assert "lookup" not in lower(image(body), step=0.0)
    body = body.replace("cq = QuantizeLinear(c, s, z)", "p = Log(c) cq = QuantizeLinear(p, s, z)")
    lower(image(body), step=0.0)


def test_a_function_of_exact_sums_is_computed_in_float(lower: Lower) -> None:
    body = "wd = DequantizeLinear(w, ws, v) c = Conv(xd, wd) l = Constant<value_float = 0.5>() a = Add(c, l) "
    with pytest.raises(LoweringError, match="programs have no Det"):
        compile(parse_model(image(f"{body} y = Det(a)", "float[1,4] y")))


def test_a_sum_is_done_by_the_later_of_two_convs(lower: Lower) -> None:
    body = f"""{CONV} wd2 = DequantizeLinear(w2, ws, v) e = Conv(cd, wd2) eq = QuantizeLinear(e, t, z)
        ed = DequantizeLinear(eq, t, z) a = Add(ed, cd) r = Relu(a) aq = QuantizeLinear(r, s, n)
        y = DequantizeLinear(aq, s, n)"""
    weights = ", int8[4,4,1,1] w2 = {1,-20,30,4,5,60,-7,8,90,10,-11,12,13,140,15,-16}".replace("140", "114")
    assert lower(image(body, more=weights)) == ["quantize", "conv", "conv", "dequantize"]


def test_sums_and_products_of_others(lower: Lower) -> None:
    body = """wd = DequantizeLinear(d, ws, v) c = Conv<group = 2, pads = [1,1,1,1]>(xd, wd)
        cq = QuantizeLinear(c, t, z) cd = DequantizeLinear(cq, t, z) m = Mul(xd, cd)
        mq = QuantizeLinear(m, s, z) md = DequantizeLinear(mq, s, z) a = Add(md, xd)
        aq = QuantizeLinear(a, s, z) y = DequantizeLinear(aq, s, z)"""
    kinds = lower(image(body, "float[1,2,4,5] y"), step=0.2)
    assert kinds == ["quantize", "conv", "mul", "add", "dequantize"]


def test_weights_of_each_type_and_scales_for_each_channel(lower: Lower) -> None:
    more = """, uint8[4,2,1,1] u = {190,8,170,160,5,255,0,3}, float[4] us = {0.01,0.02,0.03,0.005},
        uint8[4] uzs = {128,128,128,128}, int32[4] b = {100,-200,3000,40},
        float[4] bs = {0.001,0.002,0.003,0.0005}"""
    body = """wd = DequantizeLinear<axis = 0>(u, us, uzs) bd = DequantizeLinear<axis = 0>(b, bs)
        c = Conv(xd, wd, bd)"""
    assert lower(image(body + END, more=more)) == ["quantize", "conv", "dequantize"]


def test_a_float_bias_is_rounded_to_the_scale_of_the_products(lower: Lower) -> None:
    body = "wd = DequantizeLinear(w, ws, v) c = Conv(xd, wd, b)"
    assert lower(image(body + END, more=", float[4] b = {1, -2, 0.5, 3}")) == [
        "quantize",
        "conv",
        "dequantize",
    ]


def test_rows_are_images_of_height_one(lower: Lower) -> None:
    weights = f"int8[3,2,3] k = {{{','.join(map(str, range(-9, 9)))}}}"
    body = "wd = DequantizeLinear(k, ws, v) c = Conv<strides = [2], pads = [1, 0]>(xd, wd)"
    text = f"{HEAD}(float[1,2,9] x) => (float[1,3,4] y) <{CODES}, {weights}> {{ {IN} {body} {END} }}"
    assert lower(text) == ["quantize", "reshape", "conv", "reshape", "dequantize"]


def test_a_transposed_convolution(lower: Lower) -> None:
    weights = f", int8[2,3,2,2] k = {{{','.join(map(str, range(-40, 80, 5)))}}}"
    body = """wd = DequantizeLinear(k, ws, v) bd = DequantizeLinear(b, bs)
        c = ConvTranspose<strides = [2,2]>(xd, wd, bd)"""
    more = f"{weights}, int32[3] b = {{100, -100, 7}}, float bs = {{0.002}}"
    kinds = lower(image(body + END, "float[1,3,8,10] y", more))
    assert kinds == ["quantize", "conv_transpose", "dequantize"]


@pytest.mark.parametrize("domain", ["", "com.microsoft."])
@pytest.mark.parametrize(("kind", "least", "zeros"), [("int4", -8, "0, 0, 0"), ("uint4", 0, "8, 7, 8")])
def test_weights_of_less_than_a_byte_are_multiplied_as_bytes(
    domain: str, kind: str, least: int, zeros: str, lower: Lower
) -> None:
    weights = ", ".join(str(i * 5 % 16 + least) for i in range(12))
    narrow = f"Cast<to = {ir.DataType[kind.upper()].value}>"
    text = f"""<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]> g
        (float[2,4] x) => (float[2,3] y)
        <float s = {{0.1}}, uint8 z = {{100}}, float[3] ws = {{0.1, 0.2, 0.05}},
         int32[4,3] i = {{{weights}}}, int32[3] j = {{{zeros}}}> {{
        xq = {domain}QuantizeLinear(x, s, z) xd = {domain}DequantizeLinear(xq, s, z)
        w = {narrow}(i) wz = {narrow}(j) wd = {domain}DequantizeLinear<axis = 1>(w, ws, wz)
        k = MatMul(xd, wd) yq = {domain}QuantizeLinear(k, s, z) y = {domain}DequantizeLinear(yq, s, z) }}"""
    assert lower(text) == ["quantize", "gemm", "dequantize"]


@pytest.mark.parametrize("domain", ["", "com.microsoft."])
def test_codes_of_16_bits_have_a_reason(domain: str) -> None:
    graph = parse_model(f"""<ir_version: 10, opset_import: ["" : 21, "com.microsoft" : 1]> g
        (float[2,4] x) => (float[2,4] y) <float s = {{0.1}}, uint16 z = {{100}}> {{
        xq = {domain}QuantizeLinear(x, s, z) y = {domain}DequantizeLinear(xq, s, z) }}""")
    infer_shapes(graph)
    assert all("uint16" in reason for reason in reasons(graph).values())


def test_sequences_of_constants_are_not_computed() -> None:
    graph = parse_model("""<ir_version: 10, opset_import: ["" : 21]> g (float[1,4] x) => (float[1,4] y)
        <float[2,4] c = {1,2,3,4,5,6,7,8}, int64 zero = {0}> {
        rows = SplitToSequence(c) row = SequenceAt(rows, zero) y = Add(x, row) }""")
    infer_shapes(graph)
    assert "SplitToSequence" in " ".join(node.op_type for node in reasons(graph))


@pytest.mark.parametrize(("ends", "kinds"), [("-7, 7", 4), ("-7, 127", 4), ("-128, 127", 3)])
def test_codes_of_fewer_bits_are_clipped_in_a_table(ends: str, kinds: int, lower: Lower) -> None:
    low, high = ends.split(", ")
    text = f"""<ir_version: 10, opset_import: ["" : 21]> g (float[2,4] x) => (float[2,3] y)
        <float s = {{0.5}}, int8 z = {{0}}, int8 low = {{{low}}}, int8 high = {{{high}}}, float t = {{0.1}},
         int8[4,3] w = {{1,2,3,-4,5,-6,7,-7,6,5,4,-3}}> {{
        xq = QuantizeLinear(x, s, z) xc = Clip(xq, low, high) xd = DequantizeLinear(xc, s, z)
        wd = DequantizeLinear(w, t, z) k = MatMul(xd, wd) yq = QuantizeLinear(k, t, z)
        y = DequantizeLinear(yq, t, z) }}"""
    assert len(lower(text)) == kinds
