"""A share of ONNX's own node tests, raised to newer opsets; benchmarks/opset_nodes.py runs all."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
STRIDE = 40
"""Of about 1,900 cases; each operator has several in a row."""


def test_raised_node_cases() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        opset_nodes = importlib.import_module("opset_nodes")
        cases = importlib.import_module("backend_nodes").load_cases(STRIDE)
    counts: Counter[str] = Counter()
    failed = []
    for case in cases:
        for version, target, outcome in opset_nodes.run_case(case):
            counts[outcome.kind] += 1
            if outcome.kind == "failed":
                failed.append(f"{case.name} from {version} to {target}: {outcome.reason}")
    assert not failed
    assert counts["equal"] > 3 * len(cases)
