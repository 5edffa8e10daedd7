"""Constant nodes become initializers, wherever that is allowed."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from graphopt.pipeline import Pipeline
from graphopt.testing import run_pass


def test_every_spelling_becomes_an_initializer() -> None:
    run = run_pass(
        """
        agraph (float[2] x) => (float[2] y, int64[2] z)
        {
            a = Constant <value = float[2] {1.0, 2.0}> ()
            b = Constant <value_float = 3.0> ()
            c = Constant <value_floats = [4.0, 5.0]> ()
            d = Constant <value_int = 6> ()
            e = Constant <value_ints = [7, 8]> ()
            p = Add(x, a)
            q = Mul(p, b)
            y = Sub(q, c)
            z = Add(d, e)
        }
        """,
        "lift-constants",
    )
    assert run.changes == 5
    assert set(run.model.graph.initializers) == {"a", "b", "c", "d", "e"}
    assert run.model.graph.initializers["d"].shape == ir.Shape(())


def test_strings() -> None:
    run = run_pass(
        """
        agraph (string[2] x) => (bool[2] y)
        {
            a = Constant <value_strings = ["0", "1"]> ()
            y = Equal(x, a)
        }
        """,
        "lift-constants",
        opset=19,
    )
    assert run.changes == 1


def test_a_graph_output_stays_a_node() -> None:
    run = run_pass(
        "agraph (float[1] x) => (float c, float[1] y) { c = Constant <value_float = 1.0> () y = Add(x, c) }",
        "lift-constants",
    )
    assert run.changes == 0
    assert run.refusals == {"a graph output stays a node": 1}


def test_constants_of_a_branch_become_its_initializers() -> None:
    run = run_pass(
        """
        agraph (bool c, float[2] x) => (float[2] y)
        {
            y = If(c) <
                then_branch = t () => (float[2] p) { k = Constant <value_float = 1.0> () p = Add(x, k) },
                else_branch = e () => (float[2] q) { q = Constant <value = float[2] {3.0, 4.0}> () }
            >
        }
        """,
        "lift-constants",
    )
    assert run.changes == 1
    branch = run.node("If").attributes["then_branch"].as_graph()
    assert list(branch.initializers) == ["k"]


def test_functions_keep_their_constants() -> None:
    run = run_pass(
        """
        <ir_version: 9, opset_import: ["" : 18, "local" : 1]>
        agraph (float[2] x) => (float[2] y) { y = local.f(x) }
        <domain: "local", opset_import: ["" : 18]>
        f (x) => (y) { c = Constant <value_float = 2.0> () y = Mul(x, c) }
        """,
        "lift-constants",
    )
    assert run.changes == 0


def test_a_sparse_constant_stays_a_node() -> None:
    values = onnx.helper.make_tensor("v", onnx.TensorProto.FLOAT, [1], [2.0])
    indices = onnx.helper.make_tensor("i", onnx.TensorProto.INT64, [1], [1])
    sparse = onnx.helper.make_sparse_tensor(values, indices, [3])
    node = onnx.helper.make_node("Constant", [], ["s"], sparse_value=sparse)
    attribute = ir.Attr("sparse_value", ir.AttributeType.SPARSE_TENSOR, sparse)
    constant = ir.Node("", node.op_type, (), [attribute], outputs=[ir.Value(name="s")])
    x = ir.val("x", ir.DataType.FLOAT, [3])
    add = ir.node("Add", [x, constant.outputs[0]], outputs=[ir.val("y", ir.DataType.FLOAT, [3])])
    graph = ir.Graph([x], [add.outputs[0]], nodes=[constant, add], opset_imports={"": 18}, name="sparse")
    model = ir.Model(graph, ir_version=9)
    record = Pipeline.parse("lift-constants").run(model).records[0]
    assert record.refusals == {"a sparse tensor stays a node": 1}


@pytest.mark.parametrize(("ir_version", "lifted"), [(3, 0), (4, 1)])
def test_before_ir_version_4_constants_are_nodes_in_every_file(ir_version: int, lifted: int) -> None:
    """Counting their way there and back as a change would keep a pipeline from coming to rest."""
    run = run_pass(
        f"""<ir_version: {ir_version}, opset_import: ["" : 8]>
        g (float[2] x) => (float[2] y) {{ c = Constant <value = float[2] {{1, 2}}> ()  y = Add(x, c) }}""",
        "lift-constants",
    )
    assert run.changes == lifted
