"""What onnxruntime really runs: nodes behind its fused ones, their types and their times."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.errors import ExecutionError
from graphopt.execute.optimized import optimized

TEXT = """<ir_version: 8, opset_import: ["" : 13]>
main (float[1,4,8,8] x) => (float[1,4,8,8] y)
<float s = {0.1}, uint8 z = {0}, int8[4,4,1,1] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
 float ws = {0.02}, int8 wz = {0}>
{
    xq = QuantizeLinear (x, s, z)
    xd = DequantizeLinear (xq, s, z)
    wd = DequantizeLinear (w, ws, wz)
    [conv] c = Conv (xd, wd)
    [relu] r = Relu (c)
    [pool] m = MaxPool <kernel_shape = [1, 1]> (r)
    mq = QuantizeLinear (m, s, z)
    md = DequantizeLinear (mq, s, z)
    [last] l = Conv (md, wd)
    [end] y = Relu (l)
}"""


def node(model: ir.Model, name: str) -> ir.Node:
    return next(node for node in model.graph if node.name == name)


def test_fused_nodes_stand_for_those_of_the_model() -> None:
    model = ir.from_onnx_text(TEXT)
    run = optimized(model)
    assert run.seconds is None
    (conv,) = run.of(node(model, "conv"))
    assert conv.operator.endswith("QLinearConv") and conv.input_types[0] == ir.DataType.UINT8
    (pool,) = run.of(node(model, "pool"))
    assert pool.operator.endswith("MaxPool") and pool.input_types == (ir.DataType.UINT8,)
    (last,) = run.of(node(model, "last"))
    assert last.operator.endswith("Conv") and last.input_types[0] == ir.DataType.FLOAT
    assert run.of(node(model, "relu")) == ()


def test_a_profile_gives_each_node_its_time() -> None:
    model = ir.from_onnx_text(TEXT)
    run = optimized(model, inputs={"x": np.ones((1, 4, 8, 8), np.float32)}, runs=2)
    assert run.seconds is not None
    (conv,), (last,) = run.of(node(model, "conv")), run.of(node(model, "last"))
    assert 0 < conv.seconds <= run.seconds and 0 < last.seconds <= run.seconds


def test_a_conv_that_a_sum_is_fused_into_has_its_time() -> None:
    model = ir.from_onnx_text("""<ir_version: 8, opset_import: ["" : 13]>
    main (float[1,32,16,16] x, float[32,32,3,3] w, float[32] bias) => (float[1,32,16,16] y)
    {
        [first] a = Conv <pads = [1, 1, 1, 1]> (x, w, bias) [r] b = Relu (a)
        [second] c = Conv <pads = [1, 1, 1, 1]> (b, w, bias) [sum] d = Add (c, b) [s] e = Relu (d)
        [third] f = Conv <pads = [1, 1, 1, 1]> (e, w, bias) [last] y = Add (f, e)
    }""")
    for name, shape in {"bias": (32,), "w": (32, 32, 3, 3)}.items():
        weight = model.graph.inputs.pop()
        weight.const_value = ir.tensor(np.ones(shape, np.float32), name=name)
        model.graph.initializers.add(weight)
    run = optimized(model, inputs={"x": np.ones((1, 32, 16, 16), np.float32)}, runs=2)
    for name in ("first", "second", "third"):
        (conv,) = run.of(node(model, name))
        assert conv.seconds > 0


def test_nodes_of_bodies_are_found() -> None:
    model = ir.from_onnx_text("""<ir_version: 8, opset_import: ["" : 13]>
    main (bool c, float[2,4] x) => (float[2,4] y)
    {
        y = If (c) <
            then_branch = yes () => (float[2,4] a) { [inner] a = Sigmoid (x) },
            else_branch = no () => (float[2,4] b) { b = Tanh (x) }>
    }""")
    inner = next(iter(model.graph[0].attributes["then_branch"].as_graph()))
    assert [each.operator for each in optimized(model).of(inner)] == ["Sigmoid"]


def test_a_model_that_onnxruntime_refuses_is_an_error() -> None:
    with pytest.raises(ExecutionError, match="onnxruntime could not load or run the model"):
        optimized(ir.from_onnx_text(TEXT.replace("Relu (c)", "Nonsense (c)")))
