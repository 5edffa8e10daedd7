"""The structural verifier: each rule has a model that breaks it, and the message names the place."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphopt.errors import VerificationError
from graphopt.ir import verify, violations
from graphopt.testing import parse_model

CHAIN = "g (float[2] x) => (float[2] y) { [first] t = Relu(x) [second] y = Neg(t) }"


def only_violation(model: ir.Model) -> str:
    (found,) = violations(model)
    return found


def test_a_sound_model_has_no_violations() -> None:
    verify(parse_model(CHAIN))


def test_use_before_definition() -> None:
    model = parse_model(CHAIN)
    first, second = model.graph
    model.graph.remove(first)
    model.graph.insert_after(second, first)
    assert only_violation(model) == "Neg 'second' reads 't', which is not defined before it"


def test_two_values_of_one_name() -> None:
    model = parse_model(CHAIN)
    model.graph[0].outputs[0].name = "x"
    assert only_violation(model) == "Relu 'first' defines 'x' a second time"


def test_a_body_must_not_take_an_outer_name() -> None:
    model = parse_model("""g (float[2] x, bool c) => (float[2] z) { t = Relu(x)
    z = If(c) <then_branch = a () => (float[2] p) { p = Neg(t) },
               else_branch = b () => (float[2] q) { q = Abs(x) }> }""")
    verify(model)
    model.graph[1].attributes["then_branch"].as_graph()[0].outputs[0].name = "t"
    assert "defines 't' a second time" in only_violation(model)


def test_an_output_of_another_graph() -> None:
    model = parse_model(CHAIN)
    stray = ir.node("Relu", [model.graph.inputs[0]])
    stray.outputs[0].name = "stray"
    model.graph.outputs[0] = stray.outputs[0]
    assert "the graph output 'stray' is not defined in its graph" in list(violations(model))


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (
            {"op_type": "Relu", "domain": "com.example"},
            "of the domain 'com.example', which the model does not import",
        ),
        (
            {"op_type": "Softmax", "attributes": {"axes": 1}},
            "has an attribute 'axes' that opset 18 does not know",
        ),
        ({"op_type": "Softmax", "attributes": {"axis": 1.5}}, "has 'axis' of type FLOAT, expected INT"),
        ({"op_type": "Concat"}, "lacks the attribute 'axis'"),
        ({"op_type": "Add"}, "has 1 inputs, expected 2 to 2"),
    ],
)
def test_a_node_that_does_not_fit_its_schema(node: dict[str, object], expected: str) -> None:
    model = parse_model(CHAIN)
    extra = ir.node(inputs=[model.graph.inputs[0]], name="extra", **node)  # type: ignore[arg-type]
    model.graph.append(extra)
    assert expected in only_violation(model)


def test_a_node_without_the_outputs_that_it_must_have() -> None:
    model = parse_model(CHAIN)
    model.graph.append(ir.Node("", "Neg", [model.graph.inputs[0]], outputs=[], name="extra"))
    assert "has 0 outputs, expected at least 1" in only_violation(model)


@pytest.mark.parametrize("group", [0, -1])
def test_a_convolution_without_groups(group: int) -> None:
    model = parse_model(f"""g (float[1,1,2,2] x, float[1,1,1,1] w) => (float[1,1,2,2] y) {{
        [up] y = ConvTranspose <group = {group}> (x, w) }}""")
    assert only_violation(model) == f"ConvTranspose 'up' has {group} groups, expected at least 1"


def test_the_message_names_what_was_done_last() -> None:
    model = parse_model(CHAIN)
    model.graph[0].outputs[0].name = "x"
    with pytest.raises(VerificationError, match=r"^after some-pass: the graph is not valid: Relu 'first'"):
        verify(model, after="some-pass")


def test_inputs_left_out_count_where_the_schema_says_that_they_may_be() -> None:
    model = parse_model(
        """
        g (float[2] x) => (float[N,2] y)
        {
            y = Loop <body = b (int64 i, bool c) => (bool d, float[2] z) { d = Less (i, i) z = Neg (x) }>
                ("", "")
        }
        """
    )
    verify(model)


def test_attributes_refer_to_those_of_a_call_in_functions_alone() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18, "f" : 1]>
        g (float[2] x) => (float[2] y) { y = f.part <slope = 0.5> (x) }
        <domain: "f", opset_import: ["" : 18]> part <slope> (a) => (b) {
            b = LeakyRelu <alpha: float = @slope> (a)
        }"""
    model = ir.from_onnx_text(text)
    assert list(violations(model)) == []
    (function,) = model.functions.values()
    stray = function.graph[0].attributes["alpha"]
    model.graph[0].op_type, model.graph[0].domain = "LeakyRelu", ""
    model.graph[0].attributes.clear()
    model.graph[0].attributes.add(stray)
    (found,) = violations(model)
    assert "takes 'alpha' from 'slope' of a call" in found


def test_a_scan_that_takes_its_number_of_inputs_from_a_call() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18, "f" : 1]>
        g (float[2,3] x) => (float[2,3] y) { y = f.part <n = 1> (x) }
        <domain: "f", opset_import: ["" : 18]> part <n> (a) => (b) {
            b = Scan <num_scan_inputs: int = @n, body = s (float[3] i) => (float[3] o) { o = Neg(i) }> (a)
        }"""
    model = ir.from_onnx_text(text)
    assert list(violations(model)) == []
    (function,) = model.functions.values()
    stray = function.graph[0].attributes
    model.graph[0].op_type, model.graph[0].domain = "Scan", ""
    model.graph[0].attributes.clear()
    model.graph[0].attributes.update(stray)
    (found,) = violations(model)
    assert "takes 'num_scan_inputs' from 'n' of a call" in found
