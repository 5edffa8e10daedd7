"""One step of the comparison in a process of its own, so that no crash stops the rest; prints JSON.

    python worker.py make TASK SCHEME OUT
    python worker.py score TASK MODEL [native]
    python worker.py latency TASK THREADS MODEL...

A scheme is `float`, one of `naive.NAIVE`, or `graphopt[:KIND][@TARGET][/DROP]`: `quantize` (by default int8,
auto for recurrent models), `target` (ort-cpu) and `max_drop` (of the task's metric) of `graphopt.optimize`.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import zoo

import graphopt
from graphopt.execute import InputSet
from graphopt.execute import bench as execute_bench
from tasks.catalog import TASKS
from tasks.naive import NAIVE
from tasks.task import Figures, Task, open_run

SCHEME = re.compile(r"graphopt(:(?P<kind>[^@/]+))?(@(?P<target>[^/]+))?(/(?P<drop>[0-9.]+))?")
TARGET = "ort-cpu"
NATIVE = "native"
SECONDS_PER_MODEL = 2.0

AnyTask = Task[Any, Any]


def make(task: AnyTask, scheme: str, target: Path) -> dict[str, Any]:
    """Write the task's model in a scheme: seconds, and what is to be known of how."""
    begin = time.perf_counter()
    note = ""
    if scheme == "float":
        shutil.copyfile(task.path(), target)
    elif scheme in NAIVE:
        # Its own preprocessing does not fold all that the optimized export has folded.
        source = zoo.BASELINES[task.name].path() if task.name in zoo.BASELINES else task.path()
        note = NAIVE[scheme](source, target, task.calibration(task.calibration_size))
    else:
        note = optimize(task, scheme, target)
    return {"seconds": time.perf_counter() - begin, "note": note}


def optimize(task: AnyTask, scheme: str, target: Path) -> str:
    """Have graphopt quantize the task's model; return what it was asked for."""
    asked = SCHEME.fullmatch(scheme)
    if asked is None:
        raise SystemExit(f"there is no scheme {scheme!r}")
    kind = asked["kind"] or ("auto" if task.recurrent else "int8")
    machine = asked["target"] or TARGET
    drop = asked["drop"]
    graphopt.optimize(
        str(task.path()),
        quantize=kind,
        calibration=lambda: task.calibration(task.calibration_size),
        metric=task.metric if drop else None,
        max_drop=float(drop) if drop else None,
        target=machine,
        output=str(target),
    )
    return f"{kind} for {machine}" + (f", at most {drop} of {task.metric} lost" if drop else "")


def score(task: AnyTask, model: Path, native: bool) -> Figures:
    """The task's figures of a model."""
    return task.score(open_run(model, native=native))


def latency(task: AnyTask, threads: int, models: list[Path]) -> dict[str, Any]:
    """Milliseconds of the float model, and each model's time over it: median and 99% interval, paired."""
    base, inputs = task.timed()
    files = [base, *models]
    result = execute_bench(
        files, inputs=[InputSet(inputs)], threads=threads, seconds=SECONDS_PER_MODEL * len(files)
    )
    ratios = [result.ratio(index) for index in range(1, len(files))]
    return {
        "milliseconds": 1e3 * result.median(0),
        "ratios": [{"median": ratio.median, "interval": list(ratio.interval)} for ratio in ratios],
    }


def main(command: str, name: str, *rest: str) -> dict[str, Any]:
    """The answer to one command line."""
    task = TASKS[name]()
    if command == "make":
        return make(task, rest[0], Path(rest[1]))
    if command == "score":
        return score(task, Path(rest[0]), rest[1:] == (NATIVE,))
    return latency(task, int(rest[0]), [Path(model) for model in rest[1:]])


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
