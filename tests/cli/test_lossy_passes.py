"""`graphopt optimize --passes` with lossy passes: what was asked for is emitted, or it is an error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from typer.testing import CliRunner, Result

from graphopt import demo
from graphopt.cli.app import app


def run(folder: Path, passes: str, *arguments: str) -> Result:
    out = str(folder / "out.onnx")
    given = ["--passes", f"-O2,{passes}", "-o", out, "--no-measure", *arguments]
    return CliRunner().invoke(app, ["optimize", str(demo.load().model), *given])


def report(folder: Path, passes: str, *arguments: str) -> dict[str, Any]:
    ran = run(folder, passes, "--json", *arguments)
    assert ran.exit_code == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize("rate", ["0.3", "0.8"])
def test_channels_go_as_asked_and_accuracy_is_told(tmp_path: Path, rate: str) -> None:
    told = report(tmp_path, f"prune-channels{{rate={rate}}}", "--calibration", "synthetic")
    macs = [told[each]["macs"] for each in ("cost_before", "cost_after")]
    assert macs[1] / macs[0] == pytest.approx(1 - float(rate), abs=0.03)
    assert told["quantization"]["metric"] == "cosine" and told["quantization"]["value"] < 1
    assert onnx.load(tmp_path / "out.onnx").graph.node


def test_a_bound_on_what_may_be_lost_keeps_them(tmp_path: Path) -> None:
    told = report(tmp_path, "prune-channels{rate=0.8}", "--max-drop", "0.0001")
    assert told["cost_before"]["macs"] == told["cost_after"]["macs"]
    assert any("not accurate enough" in note for note in told["notes"])


def test_nothing_is_said_of_quantizing_where_nothing_is_quantized(tmp_path: Path) -> None:
    ran = run(tmp_path, "prune-weights{rate=0.5,importance=magnitude},store-sparse")
    assert ran.exit_code == 0 and "quantize" not in ran.stdout and "pipeline, cosine" in ran.stdout
    idle = run(tmp_path, "prune-weights{rate=0.5,importance=magnitude,least=1000000}")
    assert "quantize" not in idle.stdout and "pipeline changed nothing" in idle.stdout


def test_quantizing_is_called_by_its_name(tmp_path: Path) -> None:
    assert "quantized: pipeline" in run(tmp_path, "quantize-dynamic,quantize-weights").stdout


@pytest.mark.parametrize(
    ("passes", "remedy"),
    [
        ("prune-weights", "importance=magnitude"),
        ("prune-channels{importance=hessian}", "importance=l2"),
        ("smooth-quant,calibrate,quantize-static", "--calibration FOLDER"),
    ],
)
def test_passes_that_lack_their_data_are_refused(tmp_path: Path, passes: str, remedy: str) -> None:
    ran = run(tmp_path, passes)
    assert ran.exit_code == 2 and not (tmp_path / "out.onnx").exists()
    assert "needs calibration data" in ran.stderr and remedy in ran.stderr and "--calibration" in ran.stderr


def test_calibration_data_are_for_exact_passes_too(tmp_path: Path) -> None:
    told = report(tmp_path, "calibrate", "--calibration", "synthetic")
    assert not told["left_out"] and any(each["changes"] for each in told["records"])


def test_a_pass_that_cannot_do_what_was_asked_is_an_error(tmp_path: Path) -> None:
    ran = run(tmp_path, "prune-channels{rate=0.5,layers=none:0.5}")
    assert ran.exit_code == 2 and not (tmp_path / "out.onnx").exists()
    assert "no group is called 'none'" in ran.stderr and "UsageError" not in ran.stderr


def test_no_data_to_tell_accuracy_on(tmp_path: Path) -> None:
    ran = run(tmp_path, "prune-channels", "--metric", "top-1", "--no-check")
    assert ran.exit_code == 2 and "metric is given, and there are no data" in ran.stderr
