"""Candidates as files, with the large weights of the original beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from graphopt.testing import parse_model
from graphopt.testing.reduce.weights import CandidateFiles


def large_model() -> ir.Model:
    model = parse_model("m (float[2,1200] x) => (float[2,1200] y) { a = MatMul(x, w) y = Add(a, b) }")
    model.graph.inputs[:] = model.graph.inputs[:1]
    for name, shape in (("w", (1200, 1200)), ("b", (1200,))):
        array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        for node in model.graph:
            for index, value in enumerate(node.inputs):
                if value is not None and value.name == name:
                    new = ir.Value(name=name, const_value=ir.Tensor(array, name=name))
                    model.graph.initializers.add(new)
                    node.replace_input_with(index, new)
    return model


def test_large_weights_are_shared_and_read_back(tmp_path: Path) -> None:
    model = large_model()
    files = CandidateFiles(model, tmp_path)
    first, second = files.write(model.clone()), files.write(model.clone())
    assert first != second
    assert first.stat().st_size < 10_000
    weights = {
        tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(second).graph.initializer
    }
    np.testing.assert_array_equal(weights["w"], np.arange(1_440_000).reshape(1200, 1200))
    files.remove(first)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["candidate2.onnx", "weights.data"]
    onnx.checker.check_model(str(second))


def test_a_candidate_without_many_is_one_file(tmp_path: Path) -> None:
    model = large_model()
    files = CandidateFiles(model, tmp_path)
    smaller = model.clone()
    smaller.graph.outputs[:] = [smaller.graph[1].outputs[0]]
    smaller.graph[1].replace_input_with(0, smaller.graph.inputs[0])
    smaller.graph.remove(smaller.graph[0], safe=True)
    del smaller.graph.initializers["w"]
    path = files.write(smaller)
    assert not onnx.load(path, load_external_data=False).graph.initializer[0].external_data


def test_what_a_command_made_of_a_candidate_goes_with_it(tmp_path: Path) -> None:
    files = CandidateFiles(large_model(), tmp_path)
    path = files.write(parse_model("m (float x) => (float y) { y = Abs(x) }"))
    path.with_suffix(".opt.onnx").touch()
    files.remove(path)
    assert [each.name for each in tmp_path.iterdir()] == ["weights.data"]
