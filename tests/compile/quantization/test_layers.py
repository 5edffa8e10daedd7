"""Which nodes compute on quantized values, and which of them hang together."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.compile.quantization.layers import heavy_nodes, light_kinds, quantized_nodes, regions

MODEL = ir.from_onnx_text(
    """<ir_version: 8, opset_import: ["" : 17]> g (float[1,4] x) => (float[1,4] y)
    <float s = {0.1}, uint8 z = {128}, int8[4,4] w = {1,0,0,0,0,1,0,0,0,0,1,0,0,0,0,1}, int8 wz = {0}> {
        q = QuantizeLinear(x, s, z)
        d = DequantizeLinear(q, s, z)
        wd = DequantizeLinear(w, s, wz)
        [first] a = MatMul(d, wd)
        aq = QuantizeLinear(a, s, z)
        ad = DequantizeLinear(aq, s, z)
        [add] b = Add(ad, d)
        bq = QuantizeLinear(b, s, z)
        bd = DequantizeLinear(bq, s, z)
        [exp] e = Exp(bd)
        [tanh] t = Tanh(e)
        tq = QuantizeLinear(t, s, z)
        td = DequantizeLinear(tq, s, z)
        [second] c = MatMul(td, wd)
        [float_weights] y = MatMul(c, wd)
    }"""
)


def test_who_reads_a_quantized_activation_is_quantized_and_weights_alone_do_not_count() -> None:
    assert [node.name for node in quantized_nodes(MODEL)] == ["first", "add", "exp", "second"]
    assert [node.name for node in heavy_nodes(MODEL)] == ["first", "second"]
    assert light_kinds(MODEL) == {"Add": ["add"], "Exp": ["exp"]}


def test_regions_end_where_values_are_float() -> None:
    assert regions(MODEL) == [["first", "add", "exp"], ["second"]]
