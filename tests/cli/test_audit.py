"""`graphopt audit`: tables, JSON and exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest

TEXT = """<ir_version: 8, opset_import: ["" : 13]>
main (float[N,4] x) => (float[N,4] y)
<float s = {0.1}, uint8 z = {3}, int8 wz = {0},
 int8[4,4] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}>
{
    xq = QuantizeLinear (x, s, z)
    xd = DequantizeLinear (xq, s, z)
    wd = DequantizeLinear (w, s, wz)
    [first] a = MatMul (xd, wd)
    [gate] g = Sigmoid (a)
    [second] y = MatMul (g, wd)
}"""

Run = Callable[..., Any]


@pytest.fixture
def quantized(tmp_path: Path) -> Path:
    path = tmp_path / "quantized.onnx"
    ir.save(ir.from_onnx_text(TEXT), path)
    return path


def test_audit(run: Run, quantized: Path) -> None:
    ran = run("audit", quantized, "--shape", "x=2x4")
    assert (ran.code, ran.err) == (0, "")
    assert "2 heavy nodes: 1 in int8" in ran.out
    assert "why not in int8" in ran.out
    assert "confirmed: onnxruntime runs" in ran.out


def test_audit_as_json(run: Run, quantized: Path) -> None:
    found = json.loads(run("audit", quantized, "--target", "openvino", "--json").out)
    reasons = {node["name"]: node["reason"] for node in found["nodes"]}
    assert "its input 'g' comes from Sigmoid 'gate', not from a DequantizeLinear" in reasons["second"]
    assert reasons.keys() >= {"first", "second"}
    assert found["target"] == "openvino" and found["notes"]


def test_audit_without_running(run: Run, quantized: Path) -> None:
    ran = run("audit", quantized, "--no-confirm", "--nodes")
    assert ran.code == 0 and "confirmed" not in ran.out and "gate" in ran.out


def test_audit_of_an_unknown_target(run: Run, quantized: Path) -> None:
    assert run("audit", quantized, "--target", "gpu").code == 2
