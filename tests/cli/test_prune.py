"""`graphopt optimize --prune`."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from graphopt import demo
from graphopt.cli.app import app
from graphopt.io import save
from graphopt.testing import parse_model


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


@pytest.mark.parametrize("rate", ["macs=1.2", "macs=0", "macs=1", "params=-0.3", "latency=nan", "30"])
def test_a_rate_beyond_0_to_1_is_a_usage_error(tmp_path: Path, rate: str) -> None:
    ran = run(tmp_path, "--prune", rate)
    assert ran.exit_code == 2 and "expected a share of more than 0 and less than 1" in ran.stderr


@pytest.mark.parametrize(
    ("shape", "spoil", "told"),
    [
        ((2, 1, 9, 9), False, "has shape"),
        ((0, 1, 8, 8), False, "hold no sample"),
        ((2, 1, 8, 8), True, "holds NaN"),
    ],
)
def test_data_that_do_not_fit_are_refused_before_anything_runs(
    tmp_path: Path, shape: tuple[int, ...], spoil: bool, told: str
) -> None:
    images = np.zeros(shape, np.float32)
    if spoil:
        images[-1, 0, 3, 3] = np.nan
    np.savez(tmp_path / "data.npz", image=images)
    ran = run(tmp_path, "--prune", "macs=0.3", "--calibration", str(tmp_path / "data.npz"))
    assert ran.exit_code == 2 and told in ran.stderr and not (tmp_path / "pruned.onnx").exists()


@pytest.mark.parametrize("option", ["importance=none", "align=0", "size=3", "macs", "params=0.3"])
def test_options_that_nobody_knows_are_refused(tmp_path: Path, option: str) -> None:
    assert run(tmp_path, "--prune", f"macs=0.3,{option}").exit_code == 2


def test_what_was_meant_is_told(tmp_path: Path) -> None:
    ran = run(tmp_path, "--prune", "macs=0.3,imp=l1")
    assert ran.exit_code == 2 and "did you mean 'importance'?" in ran.stderr
    ran = run(tmp_path, "--prune", "macs=0.3", "--calibration", str(tmp_path / "none"))
    assert ran.exit_code == 2 and "a folder of .npz files is read" in " ".join(ran.stderr.split())
    ran = run(tmp_path, "--prune", "macs=0.3", "--metric", "top-1", "--max-drop", "2")
    assert ran.exit_code == 2 and "top-1 can drop by no more than 1" in ran.stderr


def test_a_model_in_which_nothing_can_go_is_refused(tmp_path: Path) -> None:
    model = parse_model("agraph (float[1,4] x) => (float[1,4] y) { y = Relu(x) }")
    save(model, tmp_path / "relu.onnx")
    ran = CliRunner().invoke(
        app, ["optimize", str(tmp_path / "relu.onnx"), "--prune", "macs=0.3", "-o", str(tmp_path / "o.onnx")]
    )
    assert ran.exit_code == 2 and "there are no channels to prune" in ran.stderr
    assert not (tmp_path / "o.onnx").exists()


def test_a_goal_that_is_missed_is_a_negative_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = importlib.import_module("graphopt.compile.pruning.prune")._Attempts
    monkeypatch.setattr(attempts, "_ratio", lambda self, attempt: 0.9)
    out = tmp_path / "pruned.onnx"
    ran = CliRunner().invoke(
        app, ["optimize", str(demo.load().model), "--prune", "latency=0.5", "-o", str(out)]
    )
    assert ran.exit_code == 1 and "10% less latency was measured, 50% less was asked for" in ran.stdout
    assert out.exists()


def test_a_bound_on_accuracy_needs_something_that_costs_some(tmp_path: Path) -> None:
    ran = run(tmp_path, "--max-drop", "0.1")
    assert ran.exit_code == 2 and "--prune" in ran.stderr and "--quantize" in ran.stderr
