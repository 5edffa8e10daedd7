"""In what form candidates are shown, and that what a failure hangs on is kept."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir import nodes
from graphopt.testing import parse_model
from graphopt.testing.reduce import reduce

FUNCTION = """
    <ir_version: 9, opset_import: ["" : 18, "local" : 1]>
    m (float[2,3] x) => (float[2,3] y) { a = Neg(x) b = local.f(a) c = Exp(b) y = Abs(c) }
    <domain: "local", opset_import: ["" : 18]>
    f (x) => (y) { z = Sin(x) y = Relu(z) }
"""


def test_a_call_that_must_stay_is_cut_free() -> None:
    def holds(model: ir.Model) -> bool:
        return any(node.op_type == "f" for node in model.graph)

    model = reduce(parse_model(FUNCTION), holds)
    assert [node.op_type for node in nodes(model)] == ["f", "Sin"]
    assert model.graph.inputs[0].shape == model.graph.outputs[0].shape == [1, 1]


def test_claims_about_inner_values_stay_where_the_failure_hangs_on_them() -> None:
    text = """m (float[2] x) => (float[2] y) <float[k] b> { a = Neg(x) b = Exp(a) y = Abs(b) }"""
    model = parse_model(text)

    def holds(candidate: ir.Model) -> bool:
        values = [value for node in nodes(candidate) for value in node.outputs]
        return any(value.name == "b" and str(value.shape) == "[k]" for value in values)

    assert holds(model)
    reduced = reduce(model, holds)
    assert [node.op_type for node in reduced.graph] == ["Exp"]
    assert "b" not in [value.name for value in reduced.graph.inputs]


def test_no_claims_about_inner_values_stay_otherwise() -> None:
    text = """m (float[2] x) => (float[2] y) <float[k] b> { a = Neg(x) b = Exp(a) y = Abs(b) }"""

    def holds(candidate: ir.Model) -> bool:
        return [node.op_type for node in candidate.graph][-2:] == ["Exp", "Abs"]

    reduced = reduce(parse_model(text), holds)
    assert [value.type for value in reduced.graph[0].outputs] == [None]
    assert reduced.graph.outputs[0].shape == [1]


def test_unused_constants_stay_where_the_failure_hangs_on_them() -> None:
    text = "m (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { a = Neg(x) y = Abs(a) }"
    reduced = reduce(parse_model(text), lambda model: len(model.graph.initializers) == 1)
    assert len(list(reduced.graph)) == 1
    assert len(reduced.graph.initializers) == 1
