"""`graphopt optimize --prune`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from typer.testing import CliRunner, Result

from graphopt import demo
from graphopt.cli.app import app


def run(folder: Path, *arguments: str) -> Result:
    out = str(folder / "pruned.onnx")
    return CliRunner().invoke(
        app, ["optimize", str(demo.load().model), "-o", out, "--no-measure", *arguments]
    )


def test_each_step_has_a_line(tmp_path: Path) -> None:
    for index in range(8):
        image = np.random.default_rng(index).random((1, 1, 8, 8), dtype=np.float32)
        np.savez(tmp_path / f"{index}.npz", image=image)
    ran = run(tmp_path, "--prune", "macs=0.3", "--calibration", str(tmp_path), "--metric", "top-1")
    assert ran.exit_code == 0
    lines = {line.split()[0]: line for line in ran.stdout.splitlines() if line.strip()}
    assert "70%" in lines["pruned"] and "top-1" in lines["step"] and "100%" in lines["original"]


def test_the_report_holds_the_steps(tmp_path: Path) -> None:
    ran = run(tmp_path, "--prune", "macs=0.3", "--json")
    steps = json.loads(ran.stdout)["steps"]
    assert 0.67 < steps[2]["macs"] / steps[0]["macs"] < 0.73


def test_a_rate_beyond_1_is_a_usage_error(tmp_path: Path) -> None:
    ran = run(tmp_path, "--prune", "macs=1.2")
    assert ran.exit_code == 2 and "expected a share between 0 and 1" in ran.stderr
