"""The generated graphs: the same every time, valid, and stable in onnxruntime."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def scaling(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("scaling")


def test_graphs_are_deterministic(scaling: Any) -> None:
    assert scaling.build(300).SerializeToString() == scaling.build(300).SerializeToString()


def test_size_is_as_asked(scaling: Any) -> None:
    for size in (100, 1000, 3000):
        assert size <= len(scaling.build(size).graph.node) <= size + 60


def test_a_thousand_nodes_are_valid_and_run(scaling: Any) -> None:
    model = scaling.build(1000)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 6)).astype(np.float32)
    (y,) = session.run(None, {"x": x})
    assert y.shape == x.shape
    assert 0.5 < y.std() < 2.0
    assert not np.allclose(x, y, atol=0.1)
