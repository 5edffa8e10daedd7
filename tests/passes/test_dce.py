"""dce: what no output needs goes, in every scope; what is part of an interface or has a meaning stays."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from graphopt.pipeline import Pipeline
from graphopt.testing import parse_model, run_pass


def test_dead_chains_initializers_and_outputs_go() -> None:
    run = run_pass(
        """g (float[4] x) => (float[4] y) <float[4] w = {1.0, 2.0, 3.0, 4.0},
                                               float[4] dead = {0.0, 0.0, 0.0, 0.0}> {
            a = Mul(x, dead) b = Neg(a) c = Relu(b) y = Mul(x, w) }""",
        "dce",
    )
    assert run.ops == ["Mul"]
    assert list(run.model.graph.initializers) == ["w"]
    assert run.hits == {"dead node": 3, "dead initializer": 1}


def test_an_unused_mask_of_dropout_goes() -> None:
    run = run_pass("g (float[4] x) => (float[4] y) { y, mask = Dropout(x) }", "dce")
    assert len(run.node("Dropout").outputs) == 1


def test_an_output_before_a_used_one_stays() -> None:
    run = run_pass("g (float[1,4,4] x) => (int64[1,4,3] i) { y, i = MaxPool<kernel_shape = [2]>(x) }", "dce")
    assert run.changes == 0


def test_further_outputs_of_an_old_batch_normalization_mean_training_and_stay() -> None:
    text = """<ir_version: 8, opset_import: ["" : 9]>
    g (float[2,3] x, float[3] s, float[3] b, float[3] m, float[3] v) => (float[2,3] y)
    { y, mean, var, saved_mean, saved_var = BatchNormalization(x, s, b, m, v) }"""
    model = parse_model(text)
    Pipeline.parse("dce").run(model)
    assert len(model.graph[0].outputs) == 5


def test_nodes_used_in_a_body_alone_stay_until_the_body_goes() -> None:
    text = """g (float[2] x, bool c) => (float[2] y) {{ t = Neg(x)
    z = If(c) <then_branch = a () => (float[2] p) {{ p = Relu(t) }},
               else_branch = b () => (float[2] q) {{ u = Exp(t) q = Abs(x) }}>
    y = {y} }}"""
    assert run_pass(text.format(y="Identity(z)"), "dce").ops == ["Neg", "If", "Identity", "Relu", "Abs"]
    assert run_pass(text.format(y="Exp(x)"), "dce").ops == ["Exp"]


def test_graph_inputs_and_their_defaults_stay() -> None:
    run = run_pass(
        "g (float[2] x, float[2] w) => (float[2] y) <float[2] w = {1.0, 2.0}> { y = Neg(x) }", "dce"
    )
    assert run.changes == 0


def test_a_dead_node_of_an_unknown_operator_goes_and_a_live_one_stays() -> None:
    model = parse_model("""<ir_version: 8, opset_import: ["" : 17, "com.example" : 1]>
    g (float[2] x) => (float[2] y) { d = com.example.Log(x) y = com.example.Twice(x) }""")
    Pipeline.parse("dce").run(model)
    assert [node.op_type for node in model.graph] == ["Twice"]


def test_functions_that_nobody_calls_go() -> None:
    model = parse_model("""<ir_version: 9, opset_import: ["" : 17, "local" : 1]>
    g (float[2] x) => (float[2] y) { y = local.outer(x) }
    <domain: "local", opset_import: ["" : 17, "local" : 1]> outer (a) => (b) { b = local.inner(a) }
    <domain: "local", opset_import: ["" : 17]> inner (a) => (b) { b = Neg(a) }
    <domain: "local", opset_import: ["" : 17]> unused (a) => (b) { b = Abs(a) }""")
    Pipeline.parse("dce").run(model)
    assert [function.name for function in model.functions.values()] == ["outer", "inner"]


def test_initializers_that_a_quantization_annotation_names_stay() -> None:
    proto = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
    g (float[2] x) => (float[2] y) <float scale = {0.5}, float other = {1.0}> { y = Neg(x) }""")
    annotation = proto.graph.quantization_annotation.add(tensor_name="y")
    annotation.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="scale")
    model = ir.from_proto(proto)
    Pipeline.parse("dce").run(model)
    assert list(model.graph.initializers) == ["scale"]


@pytest.mark.parametrize("nodes", [5000])
def test_a_long_dead_chain_needs_no_recursion(nodes: int) -> None:
    chain = "\n".join(f"t{i + 1} = Relu(t{i})" for i in range(nodes))
    model = parse_model(f"g (float[2] x) => (float[2] y) {{ t0 = Neg(x)\n{chain}\ny = Abs(x) }}")
    Pipeline.parse("dce").run(model)
    assert len(model.graph) == 1


def test_outputs_that_were_left_out_before_are_no_change() -> None:
    model = parse_model("g (float[1,4,4] x) => (float[1,4,3] y) { y, i = MaxPool<kernel_shape = [2]>(x) }")
    model.graph[0].outputs[1].name = ""
    assert run_pass(model, "dce").changes == 0


def test_a_batch_normalization_in_training_keeps_its_outputs() -> None:
    text = """g (float[2,3] x, float[3] s, float[3] b, float[3] m, float[3] v) => (float[2,3] y)
    { y, mean, var = BatchNormalization <training_mode = 1> (x, s, b, m, v) }"""
    assert run_pass(text, "dce").changes == 0
