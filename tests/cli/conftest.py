"""Small model files."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import pytest

MODEL = """<ir_version: 8, opset_import: ["" : 17]>
main (float[N,4] x) => (float[N,4] y)
<float[4] scale = {1.5, 2, 3, 4}, float[4] again = {1.5, 2, 3, 4}>
{
    [twice] a = Identity (x)
    [first] b = Mul (a, scale)
    [second] c = Mul (b, again)
    [relu] y = Relu (c)
}"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model.onnx", MODEL)


def write(path: Path, text: str) -> Path:
    ir.save(ir.from_onnx_text(text), path)
    return path
