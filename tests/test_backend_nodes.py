"""A share of ONNX's own node tests at both levels, in both forms; benchmarks/backend_nodes.py runs all."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
STRIDE = 8
"""Of about 1,900 cases; each operator has several in a row."""


@pytest.fixture(scope="module")
def backend_nodes() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        return importlib.import_module("backend_nodes")


@pytest.fixture(scope="module")
def cases(backend_nodes: Any) -> Any:
    return backend_nodes.load_cases(STRIDE)


@pytest.mark.parametrize("form", ["given", "constant"])
@pytest.mark.parametrize("level", [1, 2])
def test_node_cases(backend_nodes: Any, cases: Any, level: int, form: str) -> None:
    outcomes = {case.name: backend_nodes.run_case(case, level, form) for case in cases}
    failed = {name: each.reason for name, each in outcomes.items() if each and each.kind == "failed"}
    assert not failed
    assert sum(each is not None and each.kind == "equal" for each in outcomes.values()) > len(cases) // 2
