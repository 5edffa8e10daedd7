"""The interface: put back as it was, declared shapes corrected only where a run proved them false."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from graphopt.io import Interface, restore


@pytest.fixture
def model() -> ir.Model:
    return ir.from_onnx_text(
        '<ir_version: 8, opset_import: ["" : 17]> '
        "agraph (float[N,3] x, float[3] w) => (float[1,seq] y, float z) <float[3] w = {1, 2, 3}> "
        "{ y = Add(x, w) z = ReduceSum(x) }"
    )


def test_what_an_interface_holds(model: ir.Model) -> None:
    interface = Interface.of(model)
    assert [port.name for port in interface.inputs] == ["x", "w"]
    assert [port.has_default for port in interface.inputs] == [False, True]
    assert [port.describe() for port in interface.outputs] == ["FLOAT[1,seq]", "FLOAT[]"]
    assert interface.differences(model) == []


def test_differences_in_words(model: ir.Model) -> None:
    interface = Interface.of(model)
    model.graph.outputs[0].shape = ir.Shape([4, "seq"])
    model.graph.inputs[0].dtype = ir.DataType.FLOAT16
    assert interface.differences(model) == [
        "the input 'x' was FLOAT[N,3] and is FLOAT16[N,3]",
        "the output 'y' was FLOAT[1,seq] and is FLOAT[4,seq]",
    ]
    model.graph.initializers.pop("w")
    assert interface.differences(model)[-2] == "the input 'w' lost its default"
    model.graph.outputs.reverse()
    assert interface.differences(model)[-1] == "the outputs were ['y', 'z'] and are ['z', 'y']"


def test_other_types_in_words(model: ir.Model) -> None:
    interface = Interface.of(model)
    model.graph.outputs[0].shape = ir.Shape([4, "seq"])
    assert interface.retyped(model) == []
    model.graph.inputs[0].dtype = ir.DataType.FLOAT16
    model.graph.outputs[1].dtype = ir.DataType.BFLOAT16
    assert interface.retyped(model) == ["'x' was FLOAT and is FLOAT16", "'z' was FLOAT and is BFLOAT16"]
    model.graph.outputs[1].type = None
    assert interface.retyped(model) == ["'x' was FLOAT and is FLOAT16"]


def test_restoring_puts_declarations_back(model: ir.Model) -> None:
    model.graph.inputs[0].shape = ir.Shape(["?", 3])
    model.graph.inputs[0].doc_string = "doc"
    interface = Interface.of(model)
    for value in (*model.graph.inputs, *model.graph.outputs):
        value.shape = ir.Shape(["inferred"])
        value.doc_string = None
        value.metadata_props["pkg.onnx_shape_inference.sym_data"] = "[1]"
    assert restore(model, interface) == []
    assert interface.differences(model) == []
    assert model.graph.inputs[0].shape == ir.Shape(["?", 3])
    assert model.graph.inputs[0].doc_string == "doc"
    assert not model.graph.inputs[0].metadata_props


def test_declarations_that_fit_a_run_stay(model: ir.Model) -> None:
    interface = Interface.of(model)
    assert restore(model, interface, {"y": [(1, 7), (1, 9)], "z": [()]}) == []


def test_false_declaration_becomes_what_was_inferred(model: ir.Model) -> None:
    interface = Interface.of(model)
    model.graph.outputs[0].shape = ir.Shape(["floor(T/4)", 1, 8210])
    assert restore(model, interface, {"y": [(20, 1, 8210)]}) == [
        "the output 'y' was declared [1,seq], but a run gave [20, 1, 8210]; it is declared [?,1,8210] now"
    ]
    assert model.graph.outputs[0].shape == ir.Shape([None, 1, 8210])


def test_false_declaration_without_a_true_inference(model: ir.Model) -> None:
    interface = Interface.of(model)
    assert len(restore(model, interface, {"y": [(20, 1), (24, 1)]})) == 1
    assert model.graph.outputs[0].shape == ir.Shape([None, None])
    restore(model, interface, {"y": [(20, 1), (24,)]})
    assert model.graph.outputs[0].shape is None


def test_declared_outputs_of_a_loop_body_are_put_back() -> None:
    """They are the shape of a result that no iteration gave."""
    text = """<ir_version: 9, opset_import: ["" : 18]>
        g (int64 n, bool c, float[2] x) => (float[2] y, float[K,2] z) {
        y, z = Loop(n, c, x)
        <body = b (int64 i, bool go, float[2] a) => (bool more, float[2] next, float[2] out) {
            more = Identity(go) next = Neg(a) out = Exp(a) }> }"""
    model = ir.from_onnx_text(text)
    interface = Interface.of(model)
    body = model.graph[0].attributes["body"].as_graph()
    for value in body.outputs:
        value.shape = None
    restore(model, interface)
    assert [str(value.shape) for value in body.outputs] == ["[]", "[2]", "[2]"]
