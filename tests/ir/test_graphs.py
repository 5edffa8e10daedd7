"""Names are free everywhere they might stand."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir import Names


def test_fresh_names_are_no_names_of_nodes_either() -> None:
    model = ir.from_onnx_text(
        """<ir_version: 8, opset_import: ["": 17]>
        g (float[1] x) => (float[1] y) { ["y/Relu"] y = Relu(x) }"""
    )
    assert Names(model).fresh("y/Relu") == "y/Relu_1"
