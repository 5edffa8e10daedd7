"""Puts ONNX's backend node tests through levels 1 and 2, with inputs given and with inputs made constant.

    python benchmarks/backend_nodes.py [--stride N] [--level L] [--form given|constant] [NAME...]

Passes must be right by themselves: the optimizer's own check is off, and a pass left out counts as a failure.
The expected numbers are those of the unoptimized model in onnxruntime; cases that it cannot run must still
come through without a crash, and valid. Exits 1 on any failure.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from backend_cases import Case, expected_outputs, feed_of, fit_opset, load_cases, make_constant

from graphopt.compile import optimize
from graphopt.execute.compare import compare
from graphopt.execute.session import Session
from graphopt.io import to_proto
from graphopt.testing.levels import assert_as_valid

LEVELS = (1, 2)
FORMS = ("given", "constant")
RTOL = 1e-5
"""Of float32 results at level 2; level 1 must keep every bit."""


@dataclass(frozen=True)
class Outcome:
    """What became of one case at one level in one form.

    Attributes:
        kind: "equal", "not compared" (random, or onnxruntime cannot run the original) or "failed".
        reason: Why it failed.
    """

    kind: str
    reason: str = ""


def run_case(case: Case, level: int, form: str) -> Outcome | None:
    """Optimize one case and compare; None for opsets out of range, or constant inputs that are no tensors."""
    model = ir.from_proto(case.model)
    if not fit_opset(model):
        return None
    feed = feed_of(case, model)
    if form == "constant":
        if not all(isinstance(array, np.ndarray) for array in feed.values()):
            return None
        make_constant(model, feed)
        feed = {}
    proto = ir.to_proto(model)
    expected = expected_outputs(model, feed)
    try:
        result = optimize(proto, level=level, check=False, measure=False)
        emitted = to_proto(result.model)
        assert_as_valid(proto, emitted)
        if result.report.left_out:
            return Outcome("failed", f"left out: {result.report.left_out}")
        if expected is None:
            return Outcome("not compared")
        actual = Session(ir.from_proto(emitted), fallback=False).run(feed)
    except Exception as error:
        return Outcome("failed", f"{type(error).__name__}: {error}")
    differences = compare(expected, actual, rtol=RTOL if level > 1 and _is_single(expected) else None)
    # onnxruntime computes half floats in float32 and rounds between nodes: with fewer nodes, less often.
    exact = level == 1 and "fp16" not in case.name
    wrong = [str(each) for each in differences if not each.equal or (exact and not each.exact)]
    return Outcome("failed", "; ".join(wrong)) if wrong else Outcome("equal")


def _is_single(outputs: Mapping[str, Any]) -> bool:
    return all(getattr(array, "dtype", None) == np.float32 for array in outputs.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases; print each failure and a table of counts."""
    parser = argparse.ArgumentParser(description="Put ONNX's backend node tests through the optimizer.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases; all by default")
    parser.add_argument("--stride", type=int, default=1, help="take every so many-th case")
    parser.add_argument("--level", type=int, choices=LEVELS, action="append", help="both by default")
    parser.add_argument("--form", choices=FORMS, action="append", help="both by default")
    options = parser.parse_args(arguments)
    cases = load_cases(options.stride, options.names)
    failures = 0
    print(f"{len(cases)} cases")
    for level in options.level or LEVELS:
        for form in options.form or FORMS:
            counts: Counter[str] = Counter()
            for case in cases:
                outcome = run_case(case, level, form)
                if outcome is None:
                    continue
                counts[outcome.kind] += 1
                if outcome.kind == "failed":
                    print(f"  {case.name}: {outcome.reason}", flush=True)
            failures += counts["failed"]
            shown = ", ".join(f"{counts[kind]} {kind}" for kind in ("equal", "not compared", "failed"))
            print(f"level {level}, inputs {form}: {shown}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
