"""The program: help, version, bad usage, and what a terminal may lack."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphopt.cli.app import app

Run = Callable[..., Any]
COMMANDS = (
    "optimize",
    "inspect",
    "check",
    "bench",
    "explain",
    "audit",
    "diff",
    "plan",
    "sensitivity",
    "passes",
    "bisect",
    "check-pass",
    "reduce",
    "demo",
)


def test_help_names_every_command(run: Run) -> None:
    ran = run("--help")
    assert (ran.code, ran.err) == (0, "")
    assert all(f"  {name} " in ran.out for name in COMMANDS)
    assert "..." not in ran.out.partition("Commands:")[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(run: Run, name: str) -> None:
    ran = run(name, "-h")
    assert ran.code == 0 and "--debug" in ran.out


def test_version(run: Run) -> None:
    assert run("--version").out.startswith("graphopt ")


@pytest.mark.parametrize(
    "arguments", [(), ("nonsense",), ("optimize",), ("optimize", "--nonsense", "x"), ("check", "a")]
)
def test_bad_usage(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).code == 2


def test_commands_are_all_there() -> None:
    assert tuple(command.name for command in app.registered_commands) == COMMANDS


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, graphopt.cli; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "onnx", "onnx_ir", "onnxruntime", "rich"} & set(ran.stdout.split())


def test_a_terminal_that_knows_only_ascii(model: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "COLUMNS": "80"}
    ran = subprocess.run(
        [sys.executable, "-m", "graphopt", "inspect", model.name],
        capture_output=True,
        cwd=model.parent,
        env=environment,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout.isascii() and max(map(len, ran.stdout.splitlines())) <= 80


def test_a_reader_that_leaves_is_no_error(model: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "graphopt", "passes"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait() == 141
    assert process.stderr.read() == b""
    process.stderr.close()
