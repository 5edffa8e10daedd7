"""`graphopt optimize --quantize`: what is refused in words, what is shown, and metrics of one's own."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from graphopt import demo
from graphopt.cli.app import app

METRIC = """
import numpy as np

def loudness(run):
    return float(np.abs(run({"image": np.ones((1, 1, 8, 8), np.float32)})["probability"]).sum())
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(demo.load().model, tmp_path / "model.onnx")
    (tmp_path / "metric.py").write_text(METRIC)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["optimize", "model.onnx", "--no-measure", *arguments])


def test_fixed_ranges_without_data_are_refused_with_the_alternatives(folder: Path) -> None:
    ran = run("--quantize", "int8")
    assert ran.exit_code == 2 and "only calibration data can tell" in ran.stderr
    assert "dynamic-int8" in ran.stderr and not (folder / "model.opt.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--quantize", "int3"), "there is no quantization scheme 'int3'"),
        (("--calibration", "synthetic"), "calibration is given, but the model is neither"),
        (("--quantize", "int8", "--calibration", "nowhere"), "no such file or folder of inputs: nowhere"),
        (("--quantize", "weight-int8", "--metric", "loud"), "there is no metric 'loud'"),
        (("--quantize", "weight-int8", "--metric", "metric.py:quiet"), "quiet"),
    ],
)
def test_what_cannot_be_is_told(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    ran = run(*arguments)
    assert ran.exit_code == 2 and message in ran.stderr and "Traceback" not in ran.stderr


def test_the_report_says_what_was_quantized_and_why_the_rest_was_not(folder: Path) -> None:
    ran = run("--quantize", "weight-int8")
    assert ran.exit_code == 0, ran.output
    assert "quantized: weight-int8, cosine" in ran.stdout
    assert "its weights are fewer than" in ran.stdout
    layers = run("--quantize", "weight-int8", "--verbose").stdout
    assert all(word in layers for word in ("layer", "SQNR", "int8"))


def test_a_metric_of_ones_own_and_json(folder: Path) -> None:
    ran = run("--quantize", "weight-int8", "--metric", "metric.py:loudness", "--max-drop", "0.5", "--json")
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)["quantization"]
    assert told["metric"] == "own metric" and told["drop"] <= 0.5 and told["layers"]


def test_bad_values_are_bad_input_even_of_a_pass_alone(folder: Path) -> None:
    threads = threading.active_count()
    (folder / "data").mkdir()
    for index, element in enumerate((0.5, np.nan, 0.5)):
        np.savez(folder / "data" / f"{index}.npz", image=np.full((2, 1, 8, 8), element, np.float32))
    for arguments in (
        ("--quantize", "int8", "--calibration", "data"),
        ("--passes", "-O2,calibrate{data=data},quantize-static"),
    ):
        ran = run(*arguments)
        assert ran.exit_code == 2 and "input 'image' of sample 2 (1.npz) holds NaN" in ran.stderr
        assert threading.active_count() == threads  # none that would abort the process when it ends


def test_a_metric_that_fails_is_told_before_anything_is_done(folder: Path) -> None:
    (folder / "metric.py").write_text("def first(run):\n    return run({})[0]\n")
    ran = run("--quantize", "weight-int8", "--metric", "metric.py:first")
    assert ran.exit_code == 2 and "metric.py, line 2" in ran.stderr and "unexpected" not in ran.stderr
    ran = run("--quantize", "weight-int8", "--metric", "metric.py:second")
    assert ran.exit_code == 2 and "cannot load the metric" in ran.stderr and ":function" in ran.stderr


def test_a_folder_of_samples_calibrates(folder: Path) -> None:
    rng = np.random.default_rng(3)
    (folder / "data").mkdir()
    for index in range(8):
        np.savez(folder / "data" / f"{index}.npz", image=rng.random((2, 1, 8, 8), dtype=np.float32))
    ran = run("--quantize", "int8", "--calibration", "data")
    assert ran.exit_code == 0, ran.output
    assert "int8 found nothing to quantize" in ran.stdout or "on 2 held-out samples" in ran.stdout
