"""Puts ONNX's backend node tests through `to_fx` and compares what the modules compute.

    python benchmarks/fx_nodes.py [--stride N] [--json FILE] [NAME...]

The base are the cases that onnxruntime loads and gets right, unoptimized; to_fx must agree with its numbers.
Prints the failures by operator, with their reasons, and the share that passes. Exits 1 if that is below
`LEAST_SHARE`.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from backend_cases import Case, feed_of, fit_opset, load_cases

from graphopt.errors import ExecutionError, TranslationError
from graphopt.execute import Session, compare
from graphopt.execute.compare import compare_signatures
from graphopt.ir import facts, nodes
from graphopt.ir.opsets import NEWEST_IR_VERSION
from graphopt.pytorch import to_fx
from graphopt.pytorch.exporter.dtypes import to_torch

LEAST_SHARE = 0.97

EQUAL, RANDOM, OUTSIDE = "equal", "random", "outside"
NO_TRANSLATION, REFUSED, WRONG, ERROR = "no translation", "refused", "wrong result", "error"
FAILURES = (NO_TRANSLATION, REFUSED, WRONG, ERROR)


@dataclass(frozen=True)
class Outcome:
    """What became of one case.

    Attributes:
        name: The case.
        operator: The operator it tests, with its domain unless that is ONNX's.
        kind: "equal"; "random" (only shapes and types compared); "outside" (not of the base); or a failure:
            "no translation", "refused", "wrong result", "error".
        reason: Why it failed.
    """

    name: str
    operator: str
    kind: str
    reason: str = ""


def run_case(case: Case) -> Outcome:
    """Translate one case, run it and compare with onnxruntime."""
    model = ir.from_proto(case.model)
    operator = _tested_operator(case.name, model)
    kind, reason = _outcome(case, model)
    return Outcome(case.name, operator, kind, " ".join(reason.split())[:200])


def _outcome(case: Case, model: ir.Model) -> tuple[str, str]:
    if not case.data_sets or not fit_opset(model):
        return OUTSIDE, ""
    model.ir_version = min(model.ir_version, NEWEST_IR_VERSION)
    feed = feed_of(case, model)
    is_random = any(facts(node).random for node in nodes(model))
    try:
        expected = Session(model, fallback=False).run(feed)
    except ExecutionError:
        return OUTSIDE, ""
    given = dict(zip(expected, case.data_sets[0][1], strict=False))
    if not is_random and not all(
        each.equal for each in compare(given, expected, rtol=case.rtol, atol=case.atol)
    ):
        return OUTSIDE, ""
    try:
        actual = run_module(model, feed, expected)
    except TranslationError as error:
        return NO_TRANSLATION if "no translation" in str(error) else REFUSED, str(error)
    except Exception as error:
        return ERROR, f"{type(error).__name__}: {error}"
    differences = (compare_signatures if is_random else compare)(expected, actual)
    wrong = "; ".join(f"{each.name}: {each.reason}" for each in differences if not each.equal)
    return (WRONG, wrong) if wrong else (RANDOM if is_random else EQUAL, "")


def run_module(model: ir.Model, feed: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of a model's module as arrays, in the types expected where PyTorch holds others."""
    module = to_fx(model)
    names = [value.name or "" for value in model.graph.inputs]
    with torch.no_grad():
        outputs = module(*[_to_torch(feed[name]) for name in names if name in feed])
    if len(expected) == 1:
        outputs = (outputs,)
    return {
        name: _to_numpy(output, like) for (name, like), output in zip(expected.items(), outputs, strict=True)
    }


def _to_torch(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        return [_to_torch(item) for item in value]
    return to_torch(ir.tensor(value))


def _to_numpy(value: Any, like: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        items = like if isinstance(like, list) else [None] * len(value)
        return [_to_numpy(item, other) for item, other in zip(value, items, strict=False)]
    dtype = getattr(like, "dtype", None)
    tensor = value.detach().contiguous()
    if dtype is None or dtype.isbuiltin == 1:
        return tensor.numpy() if tensor.dtype != torch.bfloat16 else tensor.float().numpy()
    if dtype.itemsize == tensor.element_size() and torch.is_floating_point(tensor):
        bits = torch.uint8 if dtype.itemsize == 1 else torch.int16
        return tensor.view(bits).numpy().view(dtype)
    return tensor.numpy().astype(dtype)


def _tested_operator(name: str, model: ir.Model) -> str:
    """The operator whose name the case's begins with, otherwise the first node's."""
    found = [f"{node.domain}::{node.op_type}" if node.domain else node.op_type for node in nodes(model)]
    plain = name.removeprefix("test_").replace("_", "")
    named = [each for each in found if plain.startswith(each.split("::")[-1].lower())]
    return max(named, key=len, default=found[0] if found else name)


def run_cases(cases: Sequence[Case]) -> list[Outcome]:
    """Every case's outcome, without the warnings that its numbers provoke on purpose."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return [run_case(case) for case in cases]


def failures_by_operator(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """The failed cases of each operator, most failures first."""
    failed: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.kind in FAILURES:
            failed[outcome.operator].append(outcome)
    return dict(sorted(failed.items(), key=lambda item: (-len(item[1]), item[0])))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases; print a table of failures and the share that passes."""
    parser = argparse.ArgumentParser(description="Put ONNX's backend node tests through to_fx.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases; all by default")
    parser.add_argument("--stride", type=int, default=1, help="take every so many-th case")
    parser.add_argument("--json", metavar="FILE", help="write every outcome to a file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    outcomes = run_cases(load_cases(options.stride, options.names))
    for operator, failed in failures_by_operator(outcomes).items():
        kinds = Counter(outcome.kind for outcome in failed)
        print(f"{operator}: " + ", ".join(f"{count} {kind}" for kind, count in kinds.items()))
        for outcome in failed:
            print(f"    {outcome.name}: {outcome.reason}")
    counts = Counter(outcome.kind for outcome in outcomes)
    base = len(outcomes) - counts[OUTSIDE]
    passed = counts[EQUAL] + counts[RANDOM]
    share = passed / base if base else 1.0
    print(
        f"{passed} of {base} pass ({share:.1%}); "
        + ", ".join(f"{counts[kind]} {kind}" for kind in (EQUAL, RANDOM, *FAILURES))
        + f"; {counts[OUTSIDE]} more cases onnxruntime does not load or get right"
    )
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump([asdict(outcome) for outcome in outcomes], file, indent=1)
    return 0 if share >= LEAST_SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
