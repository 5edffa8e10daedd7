"""How the comparison judges and shows results; no tool is run here."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
GOOD = {"nodes": 7, "invalid": "", "fails": "", "difference": "", "relative_error": 1e-7}


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("peers")


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("peer_checks")


@pytest.mark.parametrize(
    ("change", "cell"),
    [
        ({}, "7"),
        ({"invalid": "no such type"}, "7, invalid"),
        ({"difference": "wrong interface: x, y", "relative_error": None}, "7, wrong interface"),
        ({"fails": "onnxruntime refuses it"}, "7, does not run"),
        ({"difference": "wrong shape: [1] for [2]", "relative_error": None}, "7, wrong shape"),
        ({"relative_error": 2e-4}, "7, wrong"),
        ({"relative_error": None}, "7, wrong"),
    ],
)
def test_a_flaw_is_named_in_the_node_table(peers: Any, change: dict[str, Any], cell: str) -> None:
    assert peers.summary({**GOOD, **change}) == cell


def test_a_tool_that_wrote_nothing_fails(peers: Any) -> None:
    assert peers.summary({"fails": "killed by signal 11"}) == "fails"


def test_rendering_keeps_the_order_of_the_tools(peers: Any) -> None:
    record = {**GOOD, "seconds": 1.234, "latency_ratio": 0.987}
    results = {"magika": {"base_ms": 4.4, "tools": {"original": GOOD, "graphopt": record, "onnxsim": record}}}
    text = peers.render(results, {"onnx": "1.23"})
    assert "| model | original | onnxsim | graphopt |" in text
    assert "| magika | – | 0.99 | 0.99 |" in text
    assert "| magika | 1.2 | 1.2 |" in text


def test_only_the_text_between_the_markers_is_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    readme, file = importlib.import_module("readme"), tmp_path / "README.md"
    text = "above\n<!-- peers:begin -->\n{}\n<!-- peers:end -->\nbelow\n"
    file.write_text(text.format("old"))
    monkeypatch.setattr(readme, "README", file)
    readme.write_table("peers", "new")
    assert file.read_text() == text.format("new")


def test_error_is_relative_to_the_largest_expected_value(checks: Any) -> None:
    expected = np.array([0.0, -4.0], dtype=np.float32)
    assert checks.compare([expected], [expected + np.float32(1.0)]) == (0.25, "")
    assert checks.relative_error(expected, np.array([np.nan, -4.0])) == float("inf")


def test_another_shape_or_type_is_a_difference(checks: Any) -> None:
    expected = np.zeros((2, 3), dtype=np.float32)
    assert checks.compare([expected], [expected.T])[1] == "wrong shape: [3, 2] for [2, 3]"
    assert checks.compare([expected], [expected.astype(np.float64)])[1] == "wrong type: float64 for float32"
