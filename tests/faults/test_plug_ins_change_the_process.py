"""A plug-in whose pass prints, or changes folder, seeds, warnings or environment: everything is put back."""

from __future__ import annotations

import json
import os
import random
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import graphopt


def optimized(model: Any, name: str, **options: Any) -> graphopt.Result:
    result = graphopt.optimize(
        model, passes=f"dce,misbehaving.process:{name},fold,cse", measure=False, **options
    )
    assert not result.report.left_out
    assert result.report.check is not None and result.report.check.equal
    return result


def test_the_folder(
    plug_ins: Any, model: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative output goes where it was meant to go."""
    monkeypatch.chdir(tmp_path)
    result = optimized(model, "ChangesFolder", output="out.onnx")
    assert Path.cwd() == tmp_path and result.report.files == ["out.onnx"]
    assert [path.name for path in tmp_path.iterdir()] == ["out.onnx"]


def test_numpy(plug_ins: Any, model: onnx.ModelProto) -> None:
    before = np.geterr(), np.get_printoptions()
    optimized(model, "ChangesNumpy")
    assert (np.geterr(), np.get_printoptions()) == before


def test_seeds(plug_ins: Any, model: onnx.ModelProto) -> None:
    random.seed(7)
    np.random.seed(7)
    expected = random.Random(7).random(), np.random.RandomState(7).random()
    optimized(model, "ChangesSeeds")
    assert (random.random(), np.random.random()) == expected


def test_warnings(plug_ins: Any, model: onnx.ModelProto) -> None:
    before = list(warnings.filters)
    optimized(model, "ChangesWarnings")
    assert list(warnings.filters) == before


def test_the_environment(plug_ins: Any, model: onnx.ModelProto) -> None:
    before = dict(os.environ)
    optimized(model, "ChangesEnvironment")
    assert dict(os.environ) == before


def test_the_recursion_limit(plug_ins: Any, model: onnx.ModelProto) -> None:
    before = sys.getrecursionlimit()
    optimized(model, "ChangesRecursionLimit")
    assert sys.getrecursionlimit() == before


def test_after_a_failure_too(plug_ins: Any, model: onnx.ModelProto) -> None:
    folder = Path.cwd()
    result = graphopt.optimize(model, passes="misbehaving.process:ChangesFolderAndRaises", measure=False)
    assert [left.reason for left in result.report.left_out] == ["ValueError: elsewhere"]
    assert Path.cwd() == folder


def test_prints_are_no_data(plug_ins: Any, run: Any, files: Any) -> None:
    """`--json` stays one JSON object, whatever a plug-in prints."""
    ran = run(
        "optimize", files.model, "-o", files.output, "--json", "--no-measure",
        "--passes", "misbehaving.process:Prints,eliminate-identities",
    )  # fmt: skip
    assert ran.code == 0 and json.loads(ran.out)["left_out"] == []
    assert "hello from a plug-in\nand again\n" in ran.err
