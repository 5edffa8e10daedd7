"""Puts ONNX's backend node tests through every level and target, with all, some or no inputs constant.

    python benchmarks/backend_nodes.py [--stride N] [--offset N] [--level L] [--target T] [--form F] [NAME...]

Passes must be right by themselves: the optimizer's own check is off, and a pass left out counts as a failure.
The expected numbers are those of the unoptimized model in onnxruntime, and where these agree with the case's
own outputs, those too; what onnxruntime cannot run, the ONNX reference evaluator does. Random outputs are
compared by type and shape. Cases that nothing here runs must still come through valid. Exits 1 on failure.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from backend_cases import FORMS, Case, Variant, agrees, load_cases, readable, variants

from graphopt.compile import optimize
from graphopt.compile.levels import LEVELS, pipeline_for
from graphopt.errors import ExecutionError
from graphopt.execute.compare import OutputDifference, compare, compare_signatures
from graphopt.execute.session import Session
from graphopt.io import to_proto
from graphopt.ir import facts, infer_shapes, nodes
from graphopt.pipeline import Pipeline
from graphopt.targets import known_targets
from graphopt.testing.levels import assert_as_valid

EQUAL, REFERENCE, RANDOM, NOT_COMPARED, FAILED = (
    "equal",
    "by the reference",
    "random",
    "not compared",
    "failed",
)
KINDS = (EQUAL, REFERENCE, RANDOM, NOT_COMPARED, FAILED)
RTOL = 1e-5
"""Of float32 results at level 2; lower levels must keep every bit."""


@dataclass(frozen=True)
class Plan:
    """A level for the targets that it means the same for.

    Attributes:
        level: The level.
        targets: Targets, the first of which is run.
    """

    level: int
    targets: tuple[str, ...]

    def __str__(self) -> str:
        return f"-O{self.level} for {', '.join(self.targets)}"


@dataclass(frozen=True)
class Outcome:
    """What became of one case under one plan in one form.

    Attributes:
        kind: One of `KINDS`.
        reason: Why it failed or was not compared.
    """

    kind: str
    reason: str = ""


def plans(levels: Sequence[int] = (), targets: Sequence[str] = ()) -> list[Plan]:
    """Every level for every target, those together whose pipelines are the same."""
    found: dict[tuple[int, str], list[str]] = {}
    for level in levels or LEVELS:
        for target in targets or sorted(known_targets(), key=lambda name: (name != "portable", name)):
            pipeline: Pipeline = pipeline_for(level, None, (), target)
            found.setdefault((level, str(pipeline)), []).append(target)
    return [Plan(level, tuple(same)) for (level, _), same in found.items()]


def run_case(
    case: Case, chosen: Sequence[Plan], forms: Sequence[str] = FORMS
) -> Iterator[tuple[Plan, Variant, Outcome]]:
    """Optimize every variant of a case by each plan and compare; nothing for opsets out of range."""
    model = readable(case)
    if model is None:
        return
    for variant in variants(case, model, forms):
        tried = _Tried(case, variant)
        for plan in chosen:
            yield plan, variant, tried.outcome(plan)


class _Tried:
    """One variant: what is expected of it, found out once, and what was emitted for it so far."""

    def __init__(self, case: Case, variant: Variant) -> None:
        self._case = case
        self._variant = variant
        self._proto = ir.to_proto(variant.model)
        self._is_random = any(facts(node).random for node in nodes(variant.model))
        self._holds_halves = _holds_halves(variant.model)
        self._runs: dict[bytes, dict[str, Any]] = {}
        self._reason = ""
        self._in_runtime = True
        self._expected: dict[str, Any] | None = None
        try:
            self._expected = Session(variant.model, fallback=False).run(variant.feed)
        except ExecutionError as error:
            self._in_runtime = False
            try:
                self._expected = _evaluate(self._proto, variant.feed)
            except Exception as second:
                self._reason = f"{error.message}; reference: {type(second).__name__}: {second}"
        self._is_as_given = self._expected is not None and agrees(case, variant.model, self._expected)

    def outcome(self, plan: Plan) -> Outcome:
        try:
            result = optimize(
                self._proto, level=plan.level, target=plan.targets[0], check=False, measure=False
            )
            emitted = to_proto(result.model)
            assert_as_valid(self._proto, emitted)
            if result.report.left_out:
                return Outcome(FAILED, f"left out: {result.report.left_out}")
            if self._expected is None:
                return Outcome(NOT_COMPARED, self._reason)
            actual = self._run(emitted)
        except Exception as error:
            return Outcome(FAILED, f"{type(error).__name__}: {error}")
        wrong = self._wrong(plan.level, self._expected, actual)
        if wrong:
            return Outcome(FAILED, "; ".join(wrong))
        if self._is_random:
            return Outcome(RANDOM)
        return Outcome(EQUAL if self._in_runtime else REFERENCE)

    def _run(self, emitted: onnx.ModelProto) -> dict[str, Any]:
        key = emitted.SerializeToString(deterministic=True)
        if key not in self._runs:
            self._runs[key] = self._run_anew(emitted)
        return self._runs[key]

    def _run_anew(self, emitted: onnx.ModelProto) -> dict[str, Any]:
        model = ir.from_proto(emitted)
        if self._in_runtime:
            return Session(model, fallback=False).run(self._variant.feed)
        try:
            return _evaluate(emitted, self._variant.feed)
        except Exception:  # what it now holds may be what onnxruntime alone can run
            return Session(model, fallback=False).run(self._variant.feed)

    def _wrong(self, level: int, expected: Mapping[str, Any], actual: Mapping[str, Any]) -> list[str]:
        if self._is_random:
            return _unequal(compare_signatures(expected, actual))
        # onnxruntime computes half floats in float32 and rounds between nodes: with fewer nodes, less often.
        # Of two runtimes, each has its own last bit.
        exact = level <= 1 and self._in_runtime and not self._holds_halves
        rtol = RTOL if level > 1 and self._in_runtime and _is_single(expected) else None
        differences = compare(expected, actual, rtol=rtol)
        found = [str(each) for each in differences if not each.equal or (exact and not each.exact)]
        if not found and self._is_as_given and not agrees(self._case, self._variant.model, actual):
            found = ["not what comes with the case, as it was before"]
        return found


def _evaluate(proto: onnx.ModelProto, feed: Mapping[str, Any]) -> dict[str, Any]:
    """What the ONNX reference evaluator computes."""
    from onnx.reference import ReferenceEvaluator

    names = [value.name for value in proto.graph.output]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        outputs = ReferenceEvaluator(proto).run(None, dict(feed))
    return dict(zip(names, outputs, strict=True))


def _holds_halves(model: ir.Model) -> bool:
    typed = model.clone()
    infer_shapes(typed)
    values = [*typed.graph.inputs, *typed.graph.initializers.values()]
    values += [value for node in nodes(typed) for value in node.outputs]
    return any(value.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16) for value in values)


def _unequal(differences: Sequence[OutputDifference]) -> list[str]:
    return [str(each) for each in differences if not each.equal]


def _is_single(outputs: Mapping[str, Any]) -> bool:
    return all(getattr(array, "dtype", None) == np.float32 for array in outputs.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases; print each failure, why cases were not compared, and a table of counts."""
    parser = argparse.ArgumentParser(description="Put ONNX's backend node tests through the optimizer.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases; all by default")
    parser.add_argument("--stride", type=int, default=1, help="take every so many-th case")
    parser.add_argument("--offset", type=int, default=0, help="beginning with this one")
    parser.add_argument("--level", type=int, choices=LEVELS, action="append", help="all by default")
    parser.add_argument("--target", choices=known_targets(), action="append", help="all by default")
    parser.add_argument("--form", choices=FORMS, action="append", help="all by default")
    options = parser.parse_args(arguments)
    begin = time.perf_counter()
    cases = load_cases(options.stride, options.names, offset=options.offset)
    chosen = plans(options.level or (), options.target or ())
    counts: Counter[tuple[Plan, str, str]] = Counter()
    uncompared: dict[str, str] = {}
    unread = []
    for case in cases:
        found = False
        for plan, variant, outcome in run_case(case, chosen, options.form or FORMS):
            found = True
            counts[plan, variant.form, outcome.kind] += 1
            if outcome.kind == NOT_COMPARED:
                uncompared[case.name] = outcome.reason
            elif outcome.kind == FAILED:
                constants = ", ".join(variant.constants) or "none"
                print(f"  {case.name}, {plan}, constant: {constants}: {outcome.reason}", flush=True)
        if not found:
            unread.append(case.name)
    print(f"\n{len(cases)} cases in {time.perf_counter() - begin:.0f} s")
    print(f"{len(unread)} at opsets that onnxruntime does not load: {' '.join(unread)}")
    print(f"{len(uncompared)} that nothing here runs:")
    for name, reason in uncompared.items():
        print(f"  {name}: {reason[:150]}")
    print(f"\n{'':32}{'form':10}" + "".join(f"{kind:>18}" for kind in KINDS))
    for plan in chosen:
        for form in options.form or FORMS:
            row = "".join(f"{counts[plan, form, kind]:18}" for kind in KINDS)
            print(f"{plan!s:32}{form:10}{row}")
    return int(any(count for (_, _, kind), count in counts.items() if kind == FAILED))


if __name__ == "__main__":
    sys.exit(main())
