"""Evaluation of constant nodes: what it hands back can be stored in a model."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.execute.evaluate import evaluate
from graphopt.testing import parse_model


def test_texts_come_back_as_the_bytes_that_a_model_holds() -> None:
    model = parse_model("""g () => (string[1,2] y) <string[2] texts = {"Münze", "b"}, int64[2] shape = {1, 2}>
        { y = Reshape(texts, shape) }""")
    output = model.graph.outputs[0]
    tensor = evaluate([model.graph[0]], [output], model.opset_imports).tensors[output]
    assert list(tensor.shape) == [1, 2]
    assert list(ir.to_proto(tensor).string_data) == ["Münze".encode(), b"b"]
