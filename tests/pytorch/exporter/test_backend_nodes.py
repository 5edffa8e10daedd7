"""All of ONNX's own node tests through `to_fx`; benchmarks/fx_nodes.py prints what fails and why."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
CHUNKS = 3

STRINGS = "PyTorch has no tensors of strings"
REFUSED = {
    "test_ai_onnx_ml_label_encoder": STRINGS,
    "test_ai_onnx_ml_tree_ensemble": "trees are no network",
    "test_equal_string": STRINGS,
    "test_regex_full_match": STRINGS,
    "test_scan_sum": "a Scan of opset 8 has a batch and lengths of its own",
    "test_string_concat": STRINGS,
    "test_string_split": STRINGS,
    "test_strnormalizer": STRINGS,
}
"""How the names of cases begin that onnxruntime gets right and `to_fx` refuses, and the reason."""


@pytest.fixture(scope="module")
def fx_nodes() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        return importlib.import_module("fx_nodes")


@pytest.fixture(scope="module")
def cases(fx_nodes: Any) -> Any:
    return fx_nodes.load_cases()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_what_onnxruntime_gets_right_comes_out_the_same_or_is_refused(
    fx_nodes: Any, cases: Any, chunk: int
) -> None:
    outcomes = fx_nodes.run_cases(cases[chunk::CHUNKS])
    base = [outcome for outcome in outcomes if outcome.in_base]
    assert len(base) > 1500 // CHUNKS
    refusals = {fx_nodes.REFUSED, fx_nodes.NO_TRANSLATION}
    refused = {each.name for each in base if each.kind in refusals}
    assert not [each for each in base if each.kind in fx_nodes.FAILURES and each.name not in refused]
    assert refused == {each.name for each in base if each.name.startswith(tuple(REFUSED))}
