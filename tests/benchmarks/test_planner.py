"""The planner's benchmarks: instances near a known bound, published cells, tables of what was measured."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from graphopt.memory.bounds import lower_bound
from graphopt.memory.placement import place


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    return importlib.import_module


@pytest.mark.parametrize("kind", ["network", "uniform", "deep", "tiled"])
def test_generated_instances_are_near_the_bound(load: Any, kind: str) -> None:
    instance = load("planner_instances").KINDS[kind](800, 0)
    assert instance == load("planner_instances").KINDS[kind](800, 0) and len(instance.buffers) == 800
    goal = int(1.02 * lower_bound(instance.buffers))
    assert place(instance, time_limit=20.0, capacity=goal).arena <= goal


def test_tables(load: Any, tmp_path: Path) -> None:
    planner = load("planner")
    (tmp_path / "small.8.csv").write_text("id,lower,upper,size\nx,0,2,4\ny,1,3,4\n", encoding="utf-8")
    found = planner.measure(tmp_path, ["graphopt"], 1.0, [])
    assert found["graphopt"]["small"]["arena"] == found["graphopt"]["small"]["bound"] == 8
    large = {"deep, 9": {"greedy": 1.0, "arena": 1.0, "seconds": 0.0}}
    text = planner.render({**found, "peers": {}, "large": large})
    assert "| small | 2 | 8 |" in text and "| deep, 9 |" in text


@pytest.mark.parametrize("name", ["DARTS", "NASNet-A", "AmoebaNet-A"])
def test_published_cells_need_less(load: Any, name: str) -> None:
    orders, wired = load("planner_orders"), load("wired_networks")
    proto = orders.cells(wired.Builder(np.random.default_rng(0)), [orders.CELLS[name]] * 3)
    onnx.checker.check_model(proto, full_check=True)
    found = orders.measured(proto)
    assert max(found[:3]) < 1  # whether it is proved best within its time depends on the machine
    assert name in orders.render({name: [found]})
