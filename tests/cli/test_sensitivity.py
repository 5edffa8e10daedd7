"""`graphopt sensitivity`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from graphopt import demo
from graphopt.cli.app import app

DATA = ("--calibration", "synthetic")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["sensitivity", str(demo.load().model), *arguments])


def test_a_table_and_a_drawing(tmp_path: Path) -> None:
    file = tmp_path / "drawn.svg"
    ran = run(*DATA, "--rates", "0.25,0.5", "--metric", "top-1", "--plot", str(file))
    assert ran.exit_code == 0
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("top-1") and lines[1].split()[-2:] == ["25%", "50%"]
    assert file.read_text("utf-8").startswith("<svg") and f"wrote {file}" in ran.stderr


def test_json_has_all_numbers() -> None:
    ran = run(*DATA, "--rates", "0.5", "--json")
    found = json.loads(ran.stdout)
    assert found["rates"] == [0.5] and len(found["groups"]) > 3
    assert all(group["points"][0]["error"] >= 0 for group in found["groups"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "there are no data"),
        ((*DATA, "--rates", "1.5"), "no share between 0 and 1"),
        ((*DATA, "--rates", "half"), "expected shares between 0 and 1"),
        ((*DATA, "--metric", "beauty"), "no metric 'beauty'"),
        ((*DATA, "--importance", "charm"), "no importance 'charm'"),
        ((*DATA, "--plot", "drawn.png"), "drawings are SVG"),
        ((*DATA, "--plot", "no/such/folder/drawn.svg"), "no/such/folder"),
        (("--calibration", "no such data"), "no such data"),
    ],
)
def test_bad_usage_is_told(arguments: tuple[str, ...], message: str) -> None:
    ran = run(*arguments)
    assert ran.exit_code == 2 and message in ran.stderr and not ran.stdout
