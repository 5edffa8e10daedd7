"""Names are free everywhere they might stand."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir import TAKEN_KEY, Names
from graphopt.testing import parse_model


def test_fresh_names_are_no_names_of_nodes_either() -> None:
    model = ir.from_onnx_text(
        """<ir_version: 8, opset_import: ["": 17]>
        g (float[1] x) => (float[1] y) { ["y/Relu"] y = Relu(x) }"""
    )
    assert Names(model).fresh("y/Relu") == "y/Relu_1"


def test_names_that_the_model_once_had_are_not_given_again() -> None:
    model = parse_model("g (float[2] x) => (float[2] y) { y = Relu(x) }")
    model.meta[TAKEN_KEY] = frozenset({"x_1", "y_2"})
    names = Names(model)
    assert [names.fresh("x"), names.fresh("y"), names.fresh("y")] == ["x_2", "y_1", "y_3"]
