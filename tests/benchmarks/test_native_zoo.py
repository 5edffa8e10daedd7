"""The sweep of the zoo in the engine: what is compared, what is kept, what the table says."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

CHAIN = """<ir_version: 9, opset_import: ["" : 17]>
g (float[1, 2] x) => (float[1, 2] y, float[1, 2] n)
<float s = {0.1}, uint8 z = {128}, int8[2, 2] w = {1, 2, 3, 4}, float r = {0.5}, int8 o = {0}> {
  q = QuantizeLinear (x, s, z)
  a = DequantizeLinear (q, s, z)
  b = DequantizeLinear (w, r, o)
  c = MatMul (a, b)
  last = QuantizeLinear (c, s, z)
  d = DequantizeLinear (last, s, z)
  y = Softmax (d)
  n = Neg (x)
}"""


@pytest.fixture
def native_zoo(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    return importlib.import_module("native_zoo")


def test_the_last_codes_are_those_before_the_outputs(native_zoo: Any) -> None:
    model = native_zoo.last_codes(onnx.parser.parse_model(CHAIN))
    assert [value.name for value in model.graph.output] == ["last"]
    assert model.graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    plain = '<ir_version: 9, opset_import: ["" : 17]> g (float[1] x) => (float[1] y) { y = Neg(x) }'
    assert native_zoo.last_codes(onnx.parser.parse_model(plain)) is None


def test_codes_within_a_step_are_counted(native_zoo: Any) -> None:
    expected, found = np.array([0, 255, 7, 9], np.uint8), np.array([1, 0, 7, 7], np.uint8)
    assert native_zoo.within_a_step(expected, found) == 2


def record(model: str, form: str, threads: int, *quartiles: float) -> dict[str, Any]:
    return {
        "model": model,
        "form": form,
        "threads": threads,
        "milliseconds": {"onnxruntime": 2.0},
        "faster": {"Session": list(quartiles), "--target native": [1.5, 1.4, 1.6]},
        "programs": 1,
        "emitted programs": 1,
        "agreement": {"Session": 0.999, "onnxruntime without optimizations": 0.5},
    }


def test_records_replace_those_of_the_same_model_form_and_threads(native_zoo: Any) -> None:
    old = [record("minilm", "int8", 1, 1.0, 0.9, 1.1), record("ppocr-det", "float", 2, 2.0, 1.9, 2.1)]
    new = [record("minilm", "int8", 1, 3.0, 2.9, 3.1), {"model": "ppocr-det", "form": "float", "fails": "no"}]
    kept = native_zoo.merged(old, new)
    assert [(each["model"], each.get("threads")) for each in kept] == [("ppocr-det", None), ("minilm", 1)]
    assert kept[1]["faster"]["Session"] == [3.0, 2.9, 3.1]


def test_the_table_names_what_is_slower(native_zoo: Any) -> None:
    rows = [record("minilm", "int8", 1, 0.9, 0.8, 0.95), record("magika", "int8", 2, 0.99, 0.9, 1.1)]
    text = native_zoo.render(rows)
    row = (
        "| minilm | int8 | 1 | 2.000 | 0.90x (0.80 to 0.95) | 1.50x (1.40 to 1.60) | 1 / 1 | 99.90% / 50.00%"
    )
    assert row in text
    assert text.endswith("Slower than stock onnxruntime in three of four turns: minilm (int8, 1 threads).")
