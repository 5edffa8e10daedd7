"""A runner of the command line in this process, and small model files."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest

from graphopt.cli import main

MODEL = """<ir_version: 8, opset_import: ["" : 17]>
main (float[N,4] x) => (float[N,4] y)
<float[4] scale = {1.5, 2, 3, 4}, float[4] again = {1.5, 2, 3, 4}>
{
    [twice] a = Identity (x)
    [first] b = Mul (a, scale)
    [second] c = Mul (b, again)
    [relu] y = Relu (c)
}"""


@dataclasses.dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: Any
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["graphopt", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return Ran(ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write(tmp_path / "model.onnx", MODEL)


def write(path: Path, text: str) -> Path:
    ir.save(ir.from_onnx_text(text), path)
    return path
