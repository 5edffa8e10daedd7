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

README = Path(__file__).resolve().parents[1] / "README.md"
SETUP = ("python -m pip install . && graphopt demo", 'python -m pip install ".[test]" && pytest -n 2')


def fences(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text("utf-8"), flags=re.M | re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("readme")
    shutil.copy(demo.load().model, folder / "model.onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def test_the_setup_is_the_first_two_fences() -> None:
    assert tuple(text.strip() for text in fences("bash")[:2]) == SETUP


def test_every_command_runs(folder: Path) -> None:
    lines = "".join(fences("bash")[2:]).splitlines()
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "graphopt", line
        ran = CliRunner().invoke(app, arguments)
        assert ran.exit_code == 0, f"{line}\n{ran.output}"


@pytest.mark.parametrize("number", range(len(fences("python"))))
def test_every_snippet_runs(folder: Path, number: int) -> None:
    script = folder / f"snippet_{number}.py"
    script.write_text(fences("python")[number], "utf-8")
    runpy.run_path(str(script), run_name=script.stem)


def test_every_command_is_shown() -> None:
    text = README.read_text("utf-8")
    for command in app.registered_commands:
        assert f"graphopt {command.name}" in text
