"""What ordering and planning memory are worth: peaks, arenas and bounds, and onnxruntime's real memory.

    python benchmarks/memory.py [--wired] [--models] [--tiled] [--within] [--resident] [--json FILE] [MODEL]

Without a choice all parts run. `--wired`: networks whose wiring leaves the order open, in the order their
wiring numbers nodes, breadth-first, and as planned. `--models`: arena, bound and seconds of the given models,
by default of the zoo's as far as it is at hand. `--tiled`: MobileNetV2 at 224x224 within less and less
memory, and what that costs. `--within`: the given models or the zoo's within half of what they need.
`--resident`: the resident memory that a run of onnxruntime adds, before and after the pass `reorder`, each in
a process of its own.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import wired_networks
import zoo
from zoo_wheels import ZooError

from graphopt.errors import GraphoptError
from graphopt.execute import Session
from graphopt.io import load, save
from graphopt.memory.graph_plan import GraphPlan, Options
from graphopt.memory.order.problem import Problem
from graphopt.pipeline import Pipeline
from graphopt.report.memory import plan_memory
from graphopt.report.memory_budget import plan_within

SEEDS = 4
SIDE, CHANNELS = 112, 64
"""Of the networks whose resident memory is measured: large enough to tell from everything else."""

Case = tuple[Path, Mapping[str, Sequence[int]] | None]
"""A model and the shapes of its inputs."""

SETTINGS = ("priority", "default")
"""onnxruntime's execution orders: that of the file, and one of its own."""


def wired() -> Iterator[dict[str, Any]]:
    """Peaks of each wired network in three orders, in bytes."""
    for name, proto in wired_networks.wired_networks(SEEDS):
        started = time.perf_counter()
        plan = plan_memory(load(proto), source=name).plan
        seconds = time.perf_counter() - started
        yield {
            "name": name,
            "nodes": len(plan.order),
            "numbered": plan.given_peak,
            "breadth_first": _breadth_first_peak(plan),
            "planned": plan.peak,
            "any_order": plan.any_order,
            "arena": plan.arena,
            "optimal": plan.optimal,
            "best_order": plan.is_best_order,
            "seconds": seconds,
        }


def _breadth_first_peak(plan: GraphPlan) -> int:
    """The peak of the order in which what is ready first runs first."""
    problem = Problem.of(plan.storages)
    after = problem.after()
    waiting = [len(sources) for sources in problem.before]
    ready = deque(step for step, count in enumerate(waiting) if not count)
    order = []
    while ready:
        order.append(ready.popleft())
        for user in after[order[-1]]:
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    return plan.peak_of(order)


def models(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Arena, bounds and seconds of models, at the sizes they run at most."""
    cases: list[Case] = [(path, None) for path in paths] or list(_zoo())
    for path, shapes in cases:
        row: dict[str, Any] = {"name": path.stem}
        try:
            plan = plan_memory(load(path), source=path.name, shapes=shapes).plan
        except GraphoptError as error:
            yield row | {"error": error.message}
            continue
        kept = plan_memory(
            load(path), source=path.name, shapes=shapes, options=Options(share=False, reorder=False)
        )
        yield row | {
            "nodes": len(plan.order),
            "nothing_shared": kept.plan.peak,
            "given_order": plan.given_peak,
            "arena": plan.arena,
            "lower_bound": plan.lower_bound,
            "optimal": plan.optimal,
            "any_order": plan.any_order,
            "best_order": plan.is_best_order,
            "seconds": plan.seconds,
        }


def _zoo() -> Iterator[Case]:
    for entry in zoo.ZOO.values():
        try:
            path = entry.path()
            shapes = {name: array.shape for name, array in entry.inputs()[0].items()}
        except (ZooError, OSError, ImportError) as error:
            print(f"{entry.name}: left out, {error}", file=sys.stderr)
            continue
        yield path, shapes


def tiled() -> Iterator[dict[str, Any]]:
    """MobileNetV2 within shares of the arena that it has as it is; 0 is as little as can be had."""
    proto = wired_networks.mobilenet_v2()
    before = plan_memory(load(proto), source="").plan.arena
    image = np.random.default_rng(0).standard_normal((1, 3, 224, 224), dtype=np.float32)
    (expected,) = Session(load(proto)).run({"image": image}).values()
    for share in (0.5, 0.25, 0.0):
        model, report = plan_within(load(proto), int(before * share), source="")
        (found,) = Session(model).run({"image": image}).values()
        assert report.budget is not None
        yield {
            "name": f"mobilenetv2 at {share:.0%}",
            "before": before,
            "arena": report.plan.arena,
            "times_less": before / report.plan.arena,
            "extra_macs": report.budget.extra,
            "done": ", ".join(report.budget.done),
            "largest_difference": f"{np.abs(found - expected).max():.2g}",
        }


def within(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Models within half of what they need, by default those of the zoo as far as it is at hand."""
    cases: list[Case] = [(path, None) for path in paths] or list(_zoo())
    for path, shapes in cases:
        row: dict[str, Any] = {"name": path.stem}
        started = time.perf_counter()
        try:
            before = plan_memory(load(path), source=path.name, shapes=shapes).plan.arena
            _, report = plan_within(load(path), before // 2, source=path.name, shapes=shapes)
        except GraphoptError as error:
            yield row | {"error": error.message}
            continue
        assert report.budget is not None
        yield row | {
            "before": before,
            "arena": report.plan.arena,
            "times_less": before / report.plan.arena,
            "extra_macs": report.budget.extra,
            "outputs": report.budget.same,
            "done": ", ".join(report.budget.done),
            "reason": report.budget.reason,
            "seconds": time.perf_counter() - started,
        }


def resident(folder: Path) -> Iterator[dict[str, Any]]:
    """Bytes that runs add to the process, before and after `reorder`; see `RUN`."""
    stage = wired_networks.random_stage
    cases = {
        "ws": stage(wired_networks.watts_strogatz, 1, channels=CHANNELS, side=SIDE),
        "er": stage(wired_networks.erdos_renyi, 1, channels=CHANNELS, side=SIDE),
        "ba": stage(wired_networks.barabasi_albert, 1, channels=CHANNELS, side=SIDE),
        "cells": wired_networks.random_cells(1, blocks=8, channels=CHANNELS, side=SIDE),
    }
    for name, proto in cases.items():
        before, after = folder / f"{name}.onnx", folder / f"{name}.reordered.onnx"
        onnx.save(proto, before)
        model = load(before)
        Pipeline.parse("reorder").run(model)
        save(model, after)
        planned = [
            plan_memory(load(path), source=name, options=Options(reorder=False)).plan.peak
            for path in (before, after)
        ]
        for setting in SETTINGS:
            measured = [_run(path, setting) for path in (before, after)]
            yield {
                "name": name,
                "order": setting,
                "before": measured[0],
                "after": measured[1],
                "planned": planned,
            }


GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": str(1 << 16)}
"""glibc then returns each freed tensor to the system, so that holes between them do not count."""

RUN = r"""
import re, sys
import numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
options.enable_cpu_mem_arena = options.enable_mem_pattern = False
if sys.argv[2] == "priority":
    options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
session = ort.InferenceSession(sys.argv[1], options)
feed = {each.name: np.ones(each.shape, np.float32) for each in session.get_inputs()}
def resident(what):
    return 1024 * int(re.search(what + r":\s*(\d+)", open("/proc/self/status").read())[1])
open("/proc/self/clear_refs", "w").write("5")  # the peak so far is forgotten
before = resident("VmRSS")
session.run(None, feed)
session.run(None, feed)
print(resident("VmHWM") - before)
"""
"""Peak resident bytes of two runs over what the loaded session holds (Linux), each tensor allocated alone."""


def _run(path: Path, setting: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(path), setting],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **GIVE_BACK},
    )
    return int(done.stdout)


def geometric_mean(ratios: Sequence[float]) -> float:
    """1.0 of none."""
    return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else 1.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each network, and means; 1 if an order was made worse."""
    parser = argparse.ArgumentParser(description="What ordering and planning memory are worth.")
    for part in ("wired", "models", "tiled", "within", "resident"):
        parser.add_argument(f"--{part}", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("paths", nargs="*", type=Path, metavar="MODEL")
    options = parser.parse_args(arguments)
    chosen = (options.wired, options.models, options.tiled, options.within, options.resident)
    every = not any(chosen) and not options.paths
    found: dict[str, list[dict[str, Any]]] = {}
    if options.wired or every:
        found["wired"] = _shown(wired())
        for base in ("numbered", "breadth_first"):
            mean = geometric_mean([row["planned"] / row[base] for row in found["wired"]])
            print(f"planned / {base.replace('_', '-')}: {mean:.3f} in geometric mean")
    if options.models or (options.paths and not any(chosen)) or every:
        found["models"] = _shown(models(options.paths))
    if options.tiled or every:
        found["tiled"] = _shown(tiled())
    if options.within or every:
        found["within"] = _shown(within(options.paths))
    if options.resident or every:
        with tempfile.TemporaryDirectory() as folder:
            found["resident"] = _shown(resident(Path(folder)))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    return int(any(row["planned"] > row["numbered"] for row in found.get("wired", ())))


def _shown(rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = []
    for row in rows:
        kept.append(row)
        cells = (
            f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}"
            for key, value in row.items()
            if key != "name"
        )
        print(f"{row['name']:24} {', '.join(cells)}", flush=True)
    return kept


if __name__ == "__main__":
    sys.exit(main())
