"""Every command and every snippet of the README runs as it stands there."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graphopt import demo
from graphopt.cli.app import app
from graphopt.pytorch.require import is_missing

README = Path(__file__).resolve().parents[1] / "README.md"
SETUP = ("python -m pip install . && graphopt demo", 'python -m pip install ".[test]" && pytest -n 2')


def fences(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text("utf-8"), flags=re.M | re.S)


def needs_torch(text: str) -> bool:
    """Whether a command or snippet is about PyTorch: it says so, or uses the module of the README."""
    return any(sign in text for sign in ("import torch", "from net import", ".py:"))


def skip_without_torch(text: str) -> None:
    if needs_torch(text) and is_missing():
        pytest.skip(f"{is_missing()} is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the model of the README and the files that it shows, which begin with their names."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copy(demo.load().model, folder / "model.onnx")
    shutil.copy(folder / "model.onnx", folder / "model.opt.onnx")  # its maker may run elsewhere
    for text in fences("python"):
        if named := re.match(r"# (\w+\.py)\n", text):
            (folder / named[1]).write_text(text, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        yield folder


def test_the_setup_is_the_first_two_fences() -> None:
    assert tuple(text.strip() for text in fences("bash")[:2]) == SETUP


@pytest.mark.parametrize("number", range(2, len(fences("bash"))))
def test_every_command_runs(folder: Path, number: int) -> None:
    text = fences("bash")[number]
    skip_without_torch(text)
    for line in text.splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "graphopt", line
        ran = CliRunner().invoke(app, arguments)
        assert ran.exit_code == 0, f"{line}\n{ran.output}"


@pytest.mark.parametrize("number", range(len(fences("python"))))
def test_every_snippet_runs(folder: Path, number: int) -> None:
    skip_without_torch(fences("python")[number])
    script = folder / f"snippet_{number}.py"
    script.write_text(fences("python")[number], "utf-8")
    runpy.run_path(str(script), run_name=script.stem)


def test_every_command_is_shown() -> None:
    text = README.read_text("utf-8")
    for command in app.registered_commands:
        assert f"graphopt {command.name}" in text
