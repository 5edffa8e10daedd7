"""Names, scopes and order: what is repaired keeps its meaning, what is ambiguous is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from graphopt.errors import ModelError
from graphopt.io import load
from graphopt.io.load import load_with_notes
from graphopt.ir import verify


def parse(body: str, inputs: str = "float[2] x", outputs: str = "float[2] y") -> onnx.ModelProto:
    return onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> agraph ({inputs}) => ({outputs}) {{ {body} }}'
    )


def run(model: ir.Model, **inputs: np.ndarray) -> np.ndarray:
    verify(model)
    outputs: Any = ReferenceEvaluator(ir.to_proto(model)).run(None, inputs)
    return np.asarray(outputs[0])


def with_body(then_nodes: list[onnx.NodeProto], output: str, before: str = "h = Neg(x)") -> onnx.ModelProto:
    """y = If(c) with `then_nodes` in one branch and Abs(x) in the other."""
    proto = parse(f"{before} z = Identity(x)", "float[2] x, bool c")
    info = onnx.helper.make_tensor_value_info
    then = onnx.helper.make_graph(then_nodes, "then", [], [info(output, 1, [2])])
    other = onnx.helper.make_graph(
        [onnx.helper.make_node("Abs", ["x"], ["e"])], "else", [], [info("e", 1, [2])]
    )
    del proto.graph.node[-1]
    proto.graph.node.append(onnx.helper.make_node("If", ["c"], ["y"], then_branch=then, else_branch=other))
    return proto


X = np.array([1.0, -2.0], np.float32)


def test_sound_model_is_left_alone() -> None:
    assert load_with_notes(parse("a = Relu(x) y = Neg(a)"))[1] == []


def test_source_proto_is_not_changed() -> None:
    proto = parse("y = Neg(a) a = Relu(x)")
    before = proto.SerializeToString()
    load(proto)
    assert proto.SerializeToString() == before


def test_nodes_out_of_order_are_sorted() -> None:
    model, notes = load_with_notes(parse("y = Neg(b) b = Abs(a) a = Relu(x)"))
    assert [node.op_type for node in model.graph] == ["Relu", "Abs", "Neg"]
    assert notes == ["the graph was not in topological order; its nodes are sorted"]


def test_order_counts_what_a_body_reads() -> None:
    proto = with_body([onnx.helper.make_node("Neg", ["h"], ["t"])], "t")
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend(reversed(nodes))
    model = load(proto)
    assert [node.op_type for node in model.graph] == ["Neg", "If"]
    np.testing.assert_array_equal(run(model, x=X, c=np.array(True)), X)


def test_cycle_names_its_nodes() -> None:
    proto = parse("a = Add(x, c) b = Neg(a) c = Abs(b) y = Relu(x)")
    proto.graph.node[1].name = "middle"
    with pytest.raises(ModelError, match=r"cycle of 3 nodes: .*Add of 'a' -> Neg 'middle' -> Abs of 'c'"):
        load(proto)


def test_node_that_reads_its_own_output() -> None:
    with pytest.raises(ModelError, match="cycle of 1 nodes: Add of 'y' -> Add of 'y'"):
        load(parse("y = Add(x, y)"))


def test_undefined_value_is_named() -> None:
    with pytest.raises(ModelError, match="Add of 'y' reads 'ghost', which no node"):
        load(parse("y = Add(x, ghost)"))


def test_undefined_output_is_named() -> None:
    with pytest.raises(ModelError, match="the output 'y' of the graph is defined by no node"):
        load(parse("z = Relu(x)"))


def test_graph_without_outputs() -> None:
    proto = parse("y = Relu(x)")
    del proto.graph.output[:]
    with pytest.raises(ModelError, match="no outputs"):
        load(proto)


def test_graph_without_nodes() -> None:
    assert len(load(parse("", outputs="float[2] x")).graph) == 0


def test_two_definitions_in_order_are_named_apart() -> None:
    model, notes = load_with_notes(parse("a = Neg(x) b = Abs(a) a = Relu(x) y = Sub(b, a)"))
    assert notes == ["the graph defined more than once, now named apart: 'a'"]
    np.testing.assert_array_equal(run(model, x=X), np.abs(X) - np.maximum(X, 0))


def test_definition_that_reads_the_one_before() -> None:
    model = load(parse("y = Neg(x) y = Exp(y) y = Sqrt(y)"))
    assert [value.name for value in model.graph.outputs] == ["y"]
    np.testing.assert_allclose(run(model, x=X), np.sqrt(np.exp(-X)), rtol=1e-6)


def test_input_defined_again_keeps_its_name() -> None:
    model = load(parse("x = Neg(x) y = Exp(x)"))
    assert [value.name for value in model.graph.inputs] == ["x"]
    np.testing.assert_allclose(run(model, x=X), np.exp(-X), rtol=1e-6)


def test_input_defined_again_that_is_an_output() -> None:
    with pytest.raises(ModelError, match="'x' is an input and an output of the graph"):
        load(parse("x = Neg(x)", outputs="float[2] x"))


def test_initializer_defined_again_by_a_node() -> None:
    proto = parse("a = Add(x, w) w = Neg(a) y = Exp(w)")
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(2, np.float32), "w"))
    np.testing.assert_allclose(run(load(proto), x=X), np.exp(-(X + 1)), rtol=1e-6)


def test_two_definitions_out_of_order_are_refused() -> None:
    with pytest.raises(ModelError, match="the graph defines 'a' twice, and its nodes are not in order"):
        load(parse("b = Abs(a) a = Neg(x) a = Relu(x) y = Sub(b, a)"))


def test_claims_about_a_repeated_name_are_dropped() -> None:
    proto = parse("a = Neg(x) b = Abs(a) a = Relu(x) y = Sub(b, a)")
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info("a", 1, [7]))
    assert all(node.outputs[0].shape is None for node in load(proto).graph if node.op_type == "Relu")


def test_body_that_hides_an_outer_name() -> None:
    make = onnx.helper.make_node
    proto = with_body([make("Exp", ["h"], ["g"]), make("Neg", ["g"], ["h"]), make("Abs", ["h"], ["t"])], "t")
    model, notes = load_with_notes(proto)
    assert any("names also defined around it, now named apart: 'h'" in note for note in notes)
    np.testing.assert_allclose(run(model, x=X, c=np.array(True)), np.exp(-X), rtol=1e-6)


def test_body_that_returns_an_outer_value() -> None:
    model, notes = load_with_notes(with_body([], "h"))
    assert any("an Identity now stands between" in note for note in notes)
    np.testing.assert_array_equal(run(model, x=X, c=np.array(True)), -X)


def test_undefined_value_in_a_body() -> None:
    with pytest.raises(ModelError, match="Neg of 't' reads 'ghost'"):
        load(with_body([onnx.helper.make_node("Neg", ["ghost"], ["t"])], "t"))


def test_node_names_are_made_unique() -> None:
    proto = parse("a = Relu(x) b = Neg(a) y = Abs(b)")
    for node in proto.graph.node:
        node.name = "n"
    model, notes = load_with_notes(proto)
    assert [node.name for node in model.graph] == ["n", "n_1", "n_2"]
    assert notes == ["nodes of the model shared a name, now named apart: 'n', 'n'"]


def test_inputs_of_one_name() -> None:
    proto = parse("y = Relu(x)")
    proto.graph.input.append(proto.graph.input[0])
    with pytest.raises(ModelError, match="two of the inputs of the graph are named 'x'"):
        load(proto)


def test_initializers_of_one_name() -> None:
    proto = parse("y = Add(x, w)")
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(2, np.float32), "w"))
    proto.graph.initializer.append(proto.graph.initializer[0])
    model, notes = load_with_notes(proto)
    assert list(model.graph.initializers) == ["w"]
    assert notes == ["dropped the second copy of the initializer 'w'"]
    proto.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(np.zeros(2, np.float32), "w"))
    with pytest.raises(ModelError, match="two different initializers of the graph are named 'w'"):
        load(proto)


def nested(depth: int) -> onnx.ModelProto:
    proto = parse("", "float[2] x, bool c", "float[2] t0")
    graph = proto.graph
    for level in range(depth):
        node = graph.node.add(op_type="If", input=["c"], output=[f"t{level}"])
        other = node.attribute.add(name="else_branch", type=onnx.AttributeProto.GRAPH).g
        other.node.add(op_type="Neg", input=["x"], output=[f"e{level}"])
        other.output.add(name=f"e{level}")
        graph = node.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g
        graph.output.add(name=f"t{level + 1}")
    graph.node.add(op_type="Neg", input=["x"], output=[f"t{depth}"])
    return proto


def test_nesting_as_deep_as_a_file_can_be() -> None:
    load(nested(33))


def test_deeper_nesting() -> None:
    with pytest.raises(ModelError, match="nested more than 33 deep"):
        load(nested(1000))


def test_recursive_functions() -> None:
    proto = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17, "local" : 1]>
        agraph (float[2] x) => (float[2] y) { y = local.even(x) }
        <domain: "local", opset_import: ["" : 17, "local" : 1]> even (a) => (b) { b = local.odd(a) }
        <domain: "local", opset_import: ["" : 17, "local" : 1]> odd (a) => (b) { b = local.even(a) }
    """)
    with pytest.raises(ModelError, match="call each other in a circle: even -> odd -> even"):
        load(proto)


def test_function_that_returns_what_it_does_not_define() -> None:
    proto = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17, "local" : 1]>
        agraph (float[2] x) => (float[2] y) { y = local.f(x) }
        <domain: "local", opset_import: ["" : 17]> f (a) => (ghost) { b = Relu(a) }
    """)
    with pytest.raises(ModelError, match="the output 'ghost' of the function 'f'"):
        load(proto)


def test_function_whose_default_has_no_type() -> None:
    proto = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17, "local" : 1]>
        agraph (float[2] x) => (float[2] y) { y = local.f(x) }
        <domain: "local", opset_import: ["" : 17]> f <alpha: float = 1.0> (a) => (b) {
            b = LeakyRelu <alpha: float = @alpha> (a)
        }
    """)
    proto.functions[0].attribute_proto[0].ClearField("type")
    with pytest.raises(ModelError, match="the default of 'alpha' of the function 'f' has no type"):
        load(proto)


def test_attribute_without_type_takes_the_schemas() -> None:
    proto = parse("y = Transpose <perm = [0]> (x)")
    proto.graph.node[0].attribute[0].ClearField("type")
    model, notes = load_with_notes(proto)
    assert model.graph.node(0).attributes["perm"].as_ints() == (0,)
    assert notes == ["the attribute 'perm' of Transpose of 'y' had no type; it is INTS"]


def test_attribute_without_type_and_value() -> None:
    proto = parse("y = Relu(x)")
    proto.graph.node[0].attribute.add(name="alpha")
    with pytest.raises(ModelError, match="'alpha' of Relu of 'y' has no type and no value"):
        load(proto)


def test_attribute_whose_value_is_of_another_type() -> None:
    proto = parse("y = LeakyRelu <alpha = 0.5> (x)")
    proto.graph.node[0].attribute[0].type = onnx.AttributeProto.INT
    with pytest.raises(
        ModelError, match="'alpha' of LeakyRelu of 'y' is declared INT and holds its value in 'f'"
    ):
        load(proto)


def test_attribute_twice() -> None:
    proto = parse("y = LeakyRelu <alpha = 0.5> (x)")
    proto.graph.node[0].attribute.append(proto.graph.node[0].attribute[0])
    with pytest.raises(ModelError, match="'alpha'"):
        load(proto)


def test_negative_dimension_is_an_unknown_one() -> None:
    proto = parse("y = Relu(x)")
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    model, notes = load_with_notes(proto)
    assert model.graph.inputs[0].shape == [None]
    assert notes == ["the value 'x' was declared with the dimension -1; it is unknown"]


def test_element_type_that_does_not_exist() -> None:
    proto = parse("y = Relu(x)")
    proto.graph.input[0].type.tensor_type.elem_type = 99
    with pytest.raises(ModelError, match="the value 'x' has the element type 99"):
        load(proto)


def test_names_that_are_not_text() -> None:
    proto = onnx.ModelProto.FromString(
        parse("y = Relu(x)").SerializeToString().replace(b"Relu", b"\xff\xfe\xfd\xfc")
    )
    with pytest.raises(ModelError):
        load(proto)


def test_model_in_memory_is_copied() -> None:
    source = ir.from_proto(parse("a = Relu(x) y = Neg(a)"))
    model = load(source)
    model.graph.node(0).op_type = "Abs"
    assert source.graph.node(0).op_type == "Relu"


def test_model_in_memory_out_of_order() -> None:
    with pytest.raises(ModelError, match="Neg '' reads 'a', which is not defined before it"):
        load(ir.from_proto(parse("y = Neg(a) a = Relu(x)")))


def test_model_in_memory_with_names_twice() -> None:
    source = ir.from_proto(parse("a = Relu(x) y = Neg(a)"))
    source.graph.node(0).outputs[0].name = "x"
    model, notes = load_with_notes(source)
    assert notes == ["values or nodes without a name or sharing one are named apart"]
    assert [value.name for value in model.graph.inputs] == ["x"]
    verify(model)
