"""Tracing, with its check, copies no weights: measured in a process of its own."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

MOST = 0.3
"""Growth of the peak in units of the weights; 0.01 is measured."""


@pytest.fixture
def trace_memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("trace_memory")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_weights_stay_where_they_are(trace_memory: Any) -> None:
    found = trace_memory.apart("linear", 100.0, check=True)
    assert found["parameters"] > 90e6
    assert found["ratio"] < MOST, found
