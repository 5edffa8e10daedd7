"""Puts the zoo through graphopt and its peers and writes the README's table and `results/peers.json`.

    python benchmarks/peers.py [--model NAME ...] [--tool NAME ...]

Every tool and every judgement runs in a process of its own with a time limit: no crash stops the rest.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zoo
from peer_tools import TOOLS
from readme import write_table

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "peers.json"

TIMEOUT_SECONDS = 300.0
TOLERANCE = 1e-4
ORIGINAL = "original"
PACKAGES = ("graphopt", "onnx", "onnxruntime", "onnxsim", "onnxslim", "onnxoptimizer", "onnxscript")

Record = dict[str, Any]


def run(script: str, *arguments: str) -> tuple[float, subprocess.CompletedProcess[str] | None]:
    """Run a script beside this one: wall-clock seconds of the process, and how it ended (None: timed out)."""
    # One thread for every tool: the machine's other cores are not part of the comparison.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(HERE / script), *arguments]
    begin = time.perf_counter()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return time.perf_counter() - begin, None
    return time.perf_counter() - begin, done


def failure(done: subprocess.CompletedProcess[str] | None) -> str:
    """Why a process failed, in one line; "" when it did not."""
    if done is None:
        return f"no result within {TIMEOUT_SECONDS:.0f} s"
    if done.returncode == 0:
        return ""
    if done.returncode < 0:
        return f"killed by signal {-done.returncode}"
    lines = done.stderr.strip().splitlines()
    return lines[-1][:200] if lines else f"exit status {done.returncode}"


def judge(model: str, candidate: Path) -> Record:
    """What `peer_checks.py quality` says of a file, or why it could not say anything."""
    _, done = run("peer_checks.py", "quality", model, str(candidate))
    if done is None or failure(done):
        return {"fails": failure(done)}
    verdict: Record = json.loads(done.stdout.splitlines()[-1])
    return verdict


def try_tool(tool: str, model: str, source: Path, target: Path) -> Record:
    """One tool on one model: seconds and verdict, or `fails` with the reason."""
    seconds, done = run("peer_tools.py", tool, str(source), str(target))
    reason = failure(done)
    if not reason and not target.exists():
        reason = "wrote no file"
    if reason:
        return {"fails": reason}
    return {"seconds": seconds, **judge(model, target)}


def measure(entry: zoo.Entry, files: dict[str, Path], records: dict[str, Record]) -> float | None:
    """Add `latency_ratio` to the records whose file runs; return the base's milliseconds."""
    names = [name for name in files if not (records[name]["fails"] or records[name]["difference"])]
    base = zoo.BASELINES.get(entry.name, entry).path()
    _, done = run("peer_checks.py", "latency", entry.name, str(base), *(str(files[name]) for name in names))
    if done is None or failure(done):
        print(f"warning: {entry.name}: latency not measured: {failure(done)}", file=sys.stderr)
        return None
    result = json.loads(done.stdout.splitlines()[-1])
    for name, ratio in zip(names, result["ratios"], strict=True):
        records[name]["latency_ratio"] = ratio
    milliseconds: float = result["base_ms"]
    return milliseconds


def compete(entry: zoo.Entry, tools: Sequence[str]) -> Record:
    """All tools on one model: `{"base_ms": ..., "tools": {name: record}}`, the original among them."""
    source = entry.path()
    with tempfile.TemporaryDirectory() as folder:
        files = {ORIGINAL: source}
        records = {ORIGINAL: judge(entry.name, source)}
        for number, tool in enumerate(tools):
            target = Path(folder) / f"{number}.onnx"
            records[tool] = try_tool(tool, entry.name, source, target)
            files[tool] = target
            print(f"{entry.name:14} {tool:14} {summary(records[tool])}", file=sys.stderr, flush=True)
        return {"base_ms": measure(entry, files, records), "tools": records}


def flaw(record: Record) -> str:
    """The one word the table adds to a result that cannot be used as it is; "" for a good one."""
    if record.get("invalid"):
        return "invalid"
    if record["fails"]:
        return "does not run"
    if record["difference"]:
        return str(record["difference"]).partition(":")[0]
    error = record["relative_error"]
    return "wrong" if error is None or error > TOLERANCE else ""


def summary(record: Record) -> str:
    """One cell of the node table."""
    if "nodes" not in record:
        return "fails"
    return f"{record['nodes']}, {flaw(record)}" if flaw(record) else str(record["nodes"])


def table(results: dict[str, Record], columns: Sequence[str], cell: Any) -> list[str]:
    """A Markdown table: a row for each model, a column for each tool."""
    lines = ["| model | " + " | ".join(columns) + " |", "|---" + "|--:" * len(columns) + "|"]
    for model, result in results.items():
        cells = [cell(result["tools"][column]) if column in result["tools"] else "" for column in columns]
        lines.append(f"| {model} | " + " | ".join(cells) + " |")
    return lines


def figure(key: str, digits: int) -> Any:
    """A cell that shows one number of a record, or a dash where there is none."""
    return lambda record: f"{record[key]:.{digits}f}" if record.get(key) is not None else "–"


def render(results: dict[str, Record], versions: dict[str, str]) -> str:
    """The Markdown between the README's markers."""
    tools = [name for name in TOOLS if any(name in result["tools"] for result in results.values())]
    bases = [
        f"The base of {model} is its `optimize=True` export." for model in zoo.BASELINES if model in results
    ]
    stated = ", ".join(f"{name} {version}" for name, version in versions.items())
    parts = [
        "Nodes (Constant not counted, subgraphs counted); *invalid*: refused by `onnx.checker` with full",
        f"check; *wrong*: more than {TOLERANCE:g} relative from the original on realistic inputs:",
        "",
        *table(results, [ORIGINAL, *tools], summary),
        "",
        "Latency in stock onnxruntime, one thread, as a ratio to the original (below 1 is faster;",
        "the first column is the original against itself, which shows the noise):",
        "",
        *table(results, [ORIGINAL, *tools], figure("latency_ratio", 2)),
        "",
        *(base + "\n" for base in bases),
        "Seconds for the whole process:",
        "",
        *table(results, tools, figure("seconds", 1)),
        "",
        f"Measured with {stated} by `python benchmarks/peers.py`.",
    ]
    return "\n".join(parts)


def installed_versions() -> dict[str, str]:
    """The versions of the compared packages that are installed."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison and write both files; a part of it (--model, --tool) is only printed."""
    parser = argparse.ArgumentParser(description="Compare graphopt with its peers on the zoo.")
    parser.add_argument("--model", action="append", choices=[entry.name for entry in zoo.REAL])
    parser.add_argument("--tool", action="append", choices=list(TOOLS))
    options = parser.parse_args(arguments)
    versions = installed_versions()
    entries = [entry for entry in zoo.REAL if options.model is None or entry.name in options.model]
    results = {entry.name: compete(entry, options.tool or list(TOOLS)) for entry in entries}
    text = render(results, versions)
    print(text)
    if options.model or options.tool:
        return 0
    RESULTS.parent.mkdir(exist_ok=True)
    everything = {"versions": versions, "machine": platform.machine(), "models": results}
    RESULTS.write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    write_table("peers", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
