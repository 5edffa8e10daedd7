"""Passes beside the user, named as `module:Class` or `file.py:Class`, are found by every command alike."""

from __future__ import annotations

import json
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

SHARED = textwrap.dedent("""
    import onnx_ir as ir
    from .texts import WHY

    class Raises(ir.passes.InPlacePass):
        \"\"\"Never ends well.\"\"\"

        def call(self, model):
            raise ValueError(WHY)
""")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "nupasses"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "texts.py").write_text("WHY = 'it is Monday'\n", "utf-8")
    (package / "shared.py").write_text(SHARED, "utf-8")
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "nupasses"]:
        del sys.modules[name]


@pytest.fixture(params=["nupasses.shared:Raises", "nupasses/shared.py:Raises"])
def text(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_optimize(run: Run, model: Path, text: str) -> None:
    ran = run("optimize", model, "--passes", f"{text},-O2", "--no-measure", "--json")
    assert ran.code == 0, ran.err
    assert [each["name"] for each in json.loads(ran.out)["left_out"]] == [text]
    again = run("optimize", model, "--passes", f"{text},-O1", "--skip", text, "--no-measure")
    assert again.code == 0, again.err


def test_explain(run: Run, model: Path, text: str) -> None:
    ran = run("explain", model, "--passes", f"dce,{text}")
    assert "cannot load" not in ran.err and "it is Monday" in ran.err + ran.out


def test_bisect(run: Run, model: Path, text: str) -> None:
    ran = run("bisect", model, "--passes", f"dce,{text}")
    assert (ran.code, ran.out) == (1, f"{text} breaks the model: ValueError: it is Monday\n")
    (hint,) = [line for line in ran.err.splitlines() if line.startswith("hint: ")]
    assert run(*shlex.split(hint)[2:]).code == 0


def test_passes(run: Run, model: Path, text: str) -> None:
    ran = run("passes", text)
    assert ran.code == 0 and "Never ends well." in ran.out


def test_check_pass(run: Run, model: Path, text: str) -> None:
    ran = run("check-pass", text, model)
    assert ran.code == 1 and f"{text} breaks 'raises' on {model}: ValueError: it is Monday" in ran.out
    assert run("check-pass", f"dce,{text}", model).code == 1


@pytest.mark.parametrize(
    "words",
    [
        ["optimize", "{}", "--passes"],
        ["explain", "{}", "--passes"],
        ["bisect", "{}", "--passes"],
        ["passes"],
        ["check-pass"],
    ],
)
@pytest.mark.parametrize("text", ["nowhere.near:Swap", "nowhere/near.py:Swap", "nupasses.shared:Rises"])
def test_none_there(run: Run, model: Path, words: list[str], text: str) -> None:
    ran = run(*(word.format(model) for word in words), text)
    assert (ran.code, ran.out) == (2, "")
    assert f"error: cannot load the pass {text!r}: " in ran.err and "path/to/file.py:Class" in ran.err
