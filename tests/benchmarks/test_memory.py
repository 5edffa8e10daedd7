"""The networks whose order is open: valid, the same for a seed, and never worse after planning."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from graphopt.io import load
from graphopt.report.memory import plan_memory


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    return importlib.import_module("wired_networks")


@pytest.mark.parametrize("wiring", ["watts_strogatz", "erdos_renyi", "barabasi_albert"])
def test_stages(networks: Any, wiring: str) -> None:
    assert_sound(lambda: networks.random_stage(getattr(networks, wiring), 0, nodes=12, side=8))


def test_cells(networks: Any) -> None:
    assert_sound(lambda: networks.random_cells(0, cells=2, side=8))


def test_mobilenet(networks: Any) -> None:
    assert_sound(lambda: networks.mobilenet_v2(side=32))


def assert_sound(make: Callable[[], onnx.ModelProto]) -> None:
    """Valid, always the same, and planned no worse than given."""
    proto = make()
    onnx.checker.check_model(proto, full_check=True)
    assert proto == make()
    plan = plan_memory(load(proto), source="").plan
    assert plan.any_order <= plan.peak <= plan.given_peak and plan.lower_bound <= plan.arena
