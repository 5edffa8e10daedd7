"""Reports of pruned models say whether the runtime gains from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir

import graphopt
from graphopt.testing import parse_model


def pruned(passes: str, output: Path | None = None) -> graphopt.Result:
    model = parse_model("agraph (float[n,64] x, float[64,64] w) => (float[n,64] y) { y = MatMul(x, w) }")
    weight = model.graph.inputs.pop()
    weight.const_value = ir.tensor(
        np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32), name="w"
    )
    model.graph.initializers.add(weight)
    return graphopt.optimize(model, passes=passes, measure=False, output=output)


def test_it_says_that_zeros_save_no_time() -> None:
    notes = pruned("prune-weights{rate=0.2,importance=magnitude}").report.notes
    assert any("save no time in onnxruntime" in note for note in notes)
    assert not any("decoded when the model is loaded" in note for note in notes)


def test_it_says_when_they_are_decoded(tmp_path: Path) -> None:
    text = "prune-weights{rate=0.5,importance=magnitude},store-sparse"
    dense, sparse = pruned("dce", tmp_path / "a.onnx"), pruned(text, tmp_path / "b.onnx")
    assert any("decoded when the model is loaded" in note for note in sparse.report.notes)
    assert not any("decoded when the model is loaded" in note for note in dense.report.notes)
    assert (tmp_path / "b.onnx").stat().st_size < 0.65 * (tmp_path / "a.onnx").stat().st_size
