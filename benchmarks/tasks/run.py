"""Accuracy, size and speed of quantized models of the zoo, graphopt's beside naive ones.

    python benchmarks/tasks/run.py [--tasks NAME ...] [--schemes NAME,...] [--models DIR [--reuse]] [--native]
    python benchmarks/tasks/run.py --write-calibration DIR [--tasks NAME ...]

Prints tables in Markdown; a full run also writes `results/tasks.json`, `results/tasks.md` and the README's
table. Each step runs in a process of its own with a time limit.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import numpy as np
from readme import write_table

from tasks.catalog import TASKS
from tasks.table import beside, render

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results"
SCHEMES = ("float", "naive", "naive-u8s8", "naive-dynamic", "graphopt")
IN_ENGINE = ", native"
THREADS = (1, 2)
TIMEOUT_SECONDS = 1200.0

Record = dict[str, Any]


def work(*arguments: str) -> Record:
    """What `worker.py` answers, or `{"fails": reason}`."""
    command = [sys.executable, str(HERE / "worker.py"), *arguments]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return {"fails": f"no result within {TIMEOUT_SECONDS:.0f} s"}
    if done.returncode == 0:
        answer: Record = json.loads(done.stdout.splitlines()[-1])
        return answer
    if done.returncode < 0:
        return {"fails": f"killed by signal {-done.returncode}"}
    lines = done.stderr.strip().splitlines()
    return {"fails": lines[-1][:300] if lines else f"exit status {done.returncode}"}


def compare(
    name: str, schemes: Sequence[str], folder: Path, *, reuse: bool, latency: bool, native: bool = False
) -> Record:
    """One task: a record for each scheme, with `fails` where there is no model that runs."""
    task = TASKS[name]
    records: dict[str, Record] = {}
    files = {scheme: folder / f"{name}.{re.sub('[^a-z0-9.-]', '_', scheme)}.onnx" for scheme in schemes}
    for scheme, file in files.items():
        kept = file.with_suffix(".json")
        if not (reuse and kept.exists()):
            kept.write_text(json.dumps(judge(name, scheme, file)), encoding="utf-8")
        records[scheme] = record = json.loads(kept.read_text(encoding="utf-8"))
        print(
            f"{name:12} {scheme:14} {record.get('fails') or record['figures']}", file=sys.stderr, flush=True
        )
    if native:
        quantized = [scheme for scheme in schemes if scheme != "float" and "figures" in records[scheme]]
        for scheme in quantized:
            kept = files[scheme].with_suffix(".native.json")
            if not (reuse and kept.exists()):
                kept.write_text(
                    json.dumps(judge_in_engine(name, files[scheme], records[scheme])), encoding="utf-8"
                )
            records[f"{scheme}{IN_ENGINE}"] = json.loads(kept.read_text(encoding="utf-8"))
    if latency:
        running = {scheme: file for scheme, file in files.items() if "figures" in records[scheme]}
        measure(name, running, records)
    return {"headline": task.headline, "allowance": task.allowance, "floor": task.floor, "schemes": records}


def judge(name: str, scheme: str, file: Path) -> Record:
    """Make one model and score it."""
    record = work("make", name, scheme, str(file))
    if "fails" in record:
        return record
    figures = work("score", name, str(file))
    record["size"] = file.stat().st_size / TASKS[name]().path().stat().st_size
    return record | (figures if "fails" in figures else {"figures": figures})


def judge_in_engine(name: str, file: Path, record: Record) -> Record:
    """The same model in `graphopt.native.Session`."""
    figures = work("score", name, str(file), "native")
    told = {"size": record["size"], **(figures if "fails" in figures else {"figures": figures})}
    print(f"{name:12} {file.stem:30}{IN_ENGINE} {told.get('fails') or figures}", file=sys.stderr, flush=True)
    return told


def measure(name: str, files: dict[str, Path], records: dict[str, Record]) -> None:
    """Add each model's latency over the float model's, by number of threads."""
    for threads in THREADS:
        result = work("latency", name, str(threads), *map(str, files.values()))
        if "fails" in result:
            print(f"warning: {name}: latency not measured: {result['fails']}", file=sys.stderr)
            continue
        for scheme, ratio in zip(files, result["ratios"], strict=True):
            records[scheme].setdefault("latency", {})[str(threads)] = ratio


def write_calibration(name: str, folder: Path) -> None:
    """One .npz a sample, an array an input, in `folder`/NAME: what `--calibration` of graphopt takes."""
    task = TASKS[name]()
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(task.calibration(task.calibration_size)):
        arrays: dict[str, Any] = sample  # to numpy's annotations any keyword may be `allow_pickle`
        np.savez(target / f"{number:04}.npz", **arrays)
    print(f"{target}: {number + 1} samples", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, or write the calibration data."""
    parser = argparse.ArgumentParser(description="Score quantized models of the zoo on labelled data.")
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), metavar="NAME")
    parser.add_argument("--schemes", default=",".join(SCHEMES), help="comma-separated (default: %(default)s)")
    parser.add_argument("--models", type=Path, metavar="DIR", help="keep the models made there")
    parser.add_argument("--reuse", action="store_true", help="make and score only what is not there yet")
    parser.add_argument(
        "--native",
        action="store_true",
        help="score quantized models in graphopt.native.Session too, and write results/tasks_native.md",
    )
    parser.add_argument("--no-latency", action="store_true", help="measure no times")
    parser.add_argument("--write-calibration", type=Path, metavar="DIR", help="only write calibration data")
    options = parser.parse_args(arguments)
    if options.write_calibration:
        for name in options.tasks:
            write_calibration(name, options.write_calibration)
        return 0
    schemes = options.schemes.split(",")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.models or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        results = {
            name: compare(
                name,
                schemes,
                folder,
                reuse=options.reuse,
                latency=not options.no_latency,
                native=options.native,
            )
            for name in options.tasks
        }
    text = render(results)
    print(text)
    if options.native:
        (RESULTS / "tasks_native.md").write_text(text + "\n", encoding="utf-8")
        return 0
    if set(options.tasks) == set(TASKS) and schemes == list(SCHEMES) and not options.no_latency:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "tasks.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (RESULTS / "tasks.md").write_text(text + "\n", encoding="utf-8")
        write_table("tasks", beside(results, "naive-u8s8", "graphopt"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
