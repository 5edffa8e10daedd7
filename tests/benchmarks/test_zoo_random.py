"""Models whose weights are all equal get random ones."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import numpy_helper


@pytest.fixture
def zoo_random(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    return importlib.import_module("zoo_random")


def test_equal_weights_become_random_ones(zoo_random: Any) -> None:
    text = """<ir_version: 3, opset_import: ["" : 9]> g (float[1,3,8,8] x, int64[4] k) => (float[1,4,6,6] y)
    <int64[4] k = {4, 3, 3, 3}> { w = ConstantOfShape (k) y = Conv (x, w) }"""
    model = zoo_random.randomized(onnx.parser.parse_model(text))
    assert [node.op_type for node in model.graph.node] == ["Conv"]
    weights = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}["w"]
    assert weights.shape == (4, 3, 3, 3) and weights.std() == pytest.approx((2 / 27) ** 0.5, rel=0.2)
    assert [value.name for value in model.graph.input] == ["x"]
