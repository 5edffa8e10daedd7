"""Judges what an optimizer wrote, in a process of its own; prints one JSON object.

    python peer_checks.py quality MODEL CANDIDATE      nodes, validity, largest relative error
    python peer_checks.py latency MODEL BASE FILE...   paired latency ratios to BASE

MODEL names an entry of the zoo, whose inputs are used. The oracle is the zoo's own file, run by onnxruntime
with its graph optimizations off. Nothing of graphopt takes part in the verdict but the node count.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from typing import Any

import numpy as np
import zoo
from zoo_inputs import Arrays

# Latency rounds go on until both are reached: enough rounds for a median, enough seconds for a slow machine.
MINIMUM_ROUNDS = 15
BUDGET_SECONDS = 6.0


def open_session(path: str, level: str = "ORT_ENABLE_ALL") -> Any:
    """An onnxruntime session on one CPU thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def relative_error(expected: np.ndarray[Any, Any], found: np.ndarray[Any, Any]) -> float:
    """max |found - expected| / max |expected|; infinity where not-a-numbers differ."""
    expected, found = expected.astype(np.float64), found.astype(np.float64)
    if not np.array_equal(np.isnan(expected), np.isnan(found)):
        return float("inf")
    if expected.size == 0:
        return 0.0
    largest = float(np.nanmax(np.abs(expected)))
    return float(np.nanmax(np.abs(found - expected))) / max(largest, float(np.finfo(np.float32).tiny))


def compare(expected: list[Any], found: list[Any]) -> tuple[float, str]:
    """Largest relative error over the outputs of one run, and what else differs ("" when nothing does)."""
    worst = 0.0
    for one, other in zip(expected, found, strict=True):
        if one.shape != other.shape:
            return float("inf"), f"wrong shape: {list(other.shape)} for {list(one.shape)}"
        if one.dtype != other.dtype:
            return float("inf"), f"wrong type: {other.dtype} for {one.dtype}"
        worst = max(worst, relative_error(one, other))
    return worst, ""


def interface(session: Any) -> list[str]:
    """The names of a session's inputs and outputs, in order."""
    return [value.name for value in (*session.get_inputs(), *session.get_outputs())]


def first_line(error: Exception) -> str:
    """The first line of an error's text, at most 200 characters."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return line.replace(f"{tempfile.gettempdir()}{os.sep}", "")[:200]


def quality(entry: zoo.Entry, candidate: str) -> dict[str, Any]:
    """`nodes`, `invalid` and `fails` and `difference` (reasons, "" for none), `relative_error` or None."""
    import onnx
    import onnx_ir

    from graphopt.ir import count_nodes

    verdict: dict[str, Any] = {"nodes": count_nodes(onnx_ir.load(candidate)), "invalid": "", "fails": ""}
    verdict |= {"difference": "", "relative_error": None}
    try:
        onnx.checker.check_model(candidate, full_check=True)
    except Exception as error:
        verdict["invalid"] = first_line(error)
    try:
        session = open_session(candidate)
        oracle = open_session(str(entry.path()), "ORT_DISABLE_ALL")
        if interface(session) != interface(oracle):
            names = ", ".join(interface(session))
            return {**verdict, "difference": f"wrong interface: {names}"}
        runs: list[Arrays] = entry.inputs()
        results = [compare(oracle.run(None, feed), session.run(None, feed)) for feed in runs]
    except Exception as error:
        verdict["fails"] = first_line(error)
        return verdict
    verdict["difference"] = next((text for _, text in results if text), "")
    worst = max(error for error, _ in results)
    verdict["relative_error"] = worst if np.isfinite(worst) else None
    return verdict


def latency(entry: zoo.Entry, base: str, candidates: list[str]) -> dict[str, Any]:
    """Median milliseconds of `base`, and for each candidate the median of its paired ratios to it.

    Every round runs every model once, in a rotating order, on the entry's first input.
    """
    feed = entry.inputs()[0]
    sessions = [open_session(path) for path in (base, *candidates)]
    for session in sessions:
        session.run(None, feed)
    rounds: list[list[float]] = []
    begin = time.perf_counter()
    while len(rounds) < MINIMUM_ROUNDS or time.perf_counter() - begin < BUDGET_SECONDS:
        taken = [0.0] * len(sessions)
        for step in range(len(sessions)):
            index = (step + len(rounds)) % len(sessions)
            start = time.perf_counter()
            sessions[index].run(None, feed)
            taken[index] = time.perf_counter() - start
        rounds.append(taken)
    ratios = [
        statistics.median(taken[index] / taken[0] for taken in rounds) for index in range(1, len(sessions))
    ]
    return {"base_ms": 1e3 * statistics.median(taken[0] for taken in rounds), "ratios": ratios}


if __name__ == "__main__":
    command, model, *files = sys.argv[1:]
    if command == "quality":
        print(json.dumps(quality(zoo.ZOO[model], *files)))
    else:
        print(json.dumps(latency(zoo.ZOO[model], files[0], files[1:])))
