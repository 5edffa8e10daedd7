"""The engine's benchmark: who takes turns, what agrees, what is made of it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

MODEL = """
<ir_version: 10, opset_import: ["" : 21]>
int8 (float[1, 2] x) => (float[1, 2] y)
<float[2, 2] w = {1, 2, 3, 4}, float s = {0.1}, uint8 z = {128}>
{
  q = QuantizeLinear (x, s, z)
  d = DequantizeLinear (q, s, z)
  y = MatMul (d, w)
}
"""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    return importlib.import_module("engine")


def test_all_take_as_many_turns(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "REST_SECONDS", 0.0)
    monkeypatch.setattr(engine, "TURN_SECONDS", 1e-9)
    order: list[str] = []
    ways = {name: lambda name=name: order.append(name) for name in "abc"}
    times = engine.take_turns(ways, 0.0)
    assert {name: len(taken) for name, taken in times.items()} == dict.fromkeys("abc", engine.FEWEST_ROUNDS)
    first = len(ways) * engine.WARM_UP
    assert order[first : first + 12] == [*"ccbbaa", *"aabbcc"]


def test_agreement_is_a_share_of_values(engine: Any) -> None:
    expected = [np.array([0.0, 1.0]), np.array([0.0, 100.0])]
    assert engine.agreement([np.array([0.0, 1.5]), np.array([1.5, 100.0])], expected) == 0.75
    assert engine.agreement([], []) == 1.0


def test_a_row_names_the_best_peer_and_what_failed(engine: Any) -> None:
    row = engine.Row("tiny", 2, {"graphopt": 1.0}, {"onnxruntime": 2.0, "openvino": 1.5})
    row.notes.append("openvino: no")
    assert row.against_best == 1.5
    assert "1.50x" in str(row) and "openvino: no" in str(row)


def test_peers_run_a_file(engine: Any, tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    onnx.save(onnx.parser.parse_model(MODEL), path)
    inputs = {"x": np.ones((1, 2), np.float32)}
    (y,) = engine.in_onnxruntime(path, inputs, 1)()
    np.testing.assert_allclose(y, [[4, 6]], rtol=1e-5)
