"""`script.py:make_model` wherever a command takes a model, and what is said when the script is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="PyTorch is an extra")
pytest.importorskip("onnxscript", reason="PyTorch's exporter needs it")

Run = Callable[..., Any]

SCRIPT = """\
import torch
from layers import Twice

print("noise")


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear(4, 3)
        self.second = Twice()

    def forward(self, x):
        return {"y": self.second(self.first(x)).relu()}


def make_model():
    return Net(), torch.zeros(2, 4), {"x": {0: "batch"}}


def make_program():
    return torch.export.export(Net(), (torch.zeros(2, 4),))


def _private():
    return undefined


def fails():
    return _private()


def wants(width):
    return width


def returns_nothing():
    pass


value = 3
"""
LAYERS = """\
import torch


class Twice(torch.nn.Module):
    def forward(self, x):
        return x * 2
"""


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "layers.py").write_text(LAYERS)
    path = tmp_path / "net.py"
    path.write_text(SCRIPT)
    yield path
    for name in ("net", "_script_net", "layers"):
        sys.modules.pop(name, None)


def test_optimize_writes_beside_the_script(run: Run, script: Path) -> None:
    ran = run("optimize", f"{script}:make_model", "--no-measure")
    assert ran.code == 0, ran.err
    assert "traced from Net: 15 parameters, any batch" in ran.out
    assert "example inputs: x float32[2x4]" in ran.out
    assert ran.err.splitlines()[0] == "noise"
    assert (script.parent / "make_model.opt.onnx").exists()
    assert str(script.parent) not in sys.path


def test_json_stays_json(run: Run, script: Path) -> None:
    found = json.loads(run("inspect", f"{script}:make_model", "--json").out)
    assert found["source"] == f"{script}:make_model"
    assert found["inputs"] == [{"name": "x", "type": "FLOAT[batch,4]"}]


def test_every_command_takes_one(run: Run, script: Path) -> None:
    model = f"{script}:make_model"
    written = script.with_name("make_model.opt.onnx")
    assert run("optimize", model, "--no-measure").code == 0
    assert run("check", model, written).code == 0
    assert run("bench", model, written, "--seconds", "0.01").code == 0
    assert "15" in run("inspect", f"{script}:make_program").out
    assert run("diff", model, written).code == 1
    assert run("explain", model, "--node", "first/Gemm").code == 0
    assert run("bisect", model, "-O", "1").code == 0


@pytest.mark.parametrize(
    ("function", "message", "hint"),
    [
        (
            "make_modle",
            "has no function 'make_modle'",
            "make_model, make_program, fails, wants, returns_nothing",
        ),
        ("fails", "net.py, line 26, in fails: NameError: name 'undefined' is not defined", "--debug"),
        ("wants", "called without arguments, but: missing a required argument: 'width'", ""),
        ("returns_nothing", "returned NoneType, expected (module, example_inputs)", "return Net()"),
        ("value", "'value' in", ""),
    ],
)
def test_what_is_wrong_with_a_function(
    function: str, message: str, hint: str, run: Run, script: Path
) -> None:
    ran = run("optimize", f"{script}:{function}")
    assert ran.code == 2
    assert message in ran.err and hint in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import torch\nx = 1 +\n", "line 2: SyntaxError: invalid syntax"),
        ("x = 1\nimport no_such_module\n", "line 2: ModuleNotFoundError: No module named 'no_such_module'"),
        ("import sys\nsys.exit(3)\n", "line 2: SystemExit: 3"),
    ],
)
def test_what_is_wrong_with_a_script(text: str, message: str, run: Run, script: Path) -> None:
    script.write_text(text)
    ran = run("optimize", f"{script}:make_model")
    assert ran.code == 2
    assert message in ran.err


def test_debug_shows_the_traceback(run: Run, script: Path) -> None:
    ran = run("optimize", f"{script}:fails", "--debug")
    assert "Traceback" in ran.err and "in _private" in ran.err


def test_a_script_needs_a_function_and_a_file(run: Run, script: Path) -> None:
    ran = run("optimize", script)
    assert (ran.code, "names no function" in ran.err) == (2, True)
    ran = run("optimize", script.with_name("none.py:make"))
    assert (ran.code, "No such file" in ran.err) == (2, True)
