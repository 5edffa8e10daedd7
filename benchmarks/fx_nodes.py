"""Puts ONNX's backend node tests through `to_fx` and compares what the modules compute.

    python benchmarks/fx_nodes.py [--stride N] [--beyond] [--json FILE] [NAME...]

The base are the cases that onnxruntime loads and gets right, unoptimized; to_fx must agree with its numbers.
Beyond it, the numbers are those that ONNX gives with the case. Prints the failures by operator, with their
reasons, and the share that passes. Exits 1 if that is below `LEAST_SHARE`.
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
from backend_cases import Case, Feed, feed_of, fit_opset, given_outputs, load_cases

from graphopt.errors import ExecutionError, TranslationError
from graphopt.execute import Session, compare
from graphopt.execute.compare import compare_signatures
from graphopt.ir import facts, nodes
from graphopt.ir.opsets import NEWEST_IR_VERSION
from graphopt.pytorch import to_fx
from graphopt.pytorch.exporter.dtypes import to_torch

LEAST_SHARE = 0.97

EQUAL, RANDOM = "equal", "random"
NO_TRANSLATION, REFUSED, WRONG, ERROR = "no translation", "refused", "wrong result", "error"
FAILURES = (NO_TRANSLATION, REFUSED, WRONG, ERROR)


@dataclass(frozen=True)
class Outcome:
    """What became of one case.

    Attributes:
        name: The case.
        operator: The operator it tests, with its domain unless that is ONNX's.
        in_base: Whether onnxruntime gets it right.
        kind: "equal", "random" (only shapes and types compared), or a failure: "no translation", "refused",
            "wrong result", "error".
        reason: Why it failed.
    """

    name: str
    operator: str
    in_base: bool
    kind: str
    reason: str = ""


def run_case(case: Case) -> Outcome | None:
    """Translate one case, run it and compare; None for opsets out of range, and models without data."""
    model = ir.from_proto(case.model)
    operator = _tested_operator(case.name, model)
    if not case.data_sets or not fit_opset(model):
        return None
    model.ir_version = min(model.ir_version, NEWEST_IR_VERSION)
    feed, given = feed_of(case, model), given_outputs(case, model)
    is_random = any(facts(node).random for node in nodes(model))
    expected = _expected(case, model, feed, given, is_random)
    kind, reason = _outcome(model, feed, expected or given, is_random)
    return Outcome(case.name, operator, expected is not None, kind, " ".join(reason.split())[:200])


def _expected(
    case: Case, model: ir.Model, feed: Feed, given: Mapping[str, Any], is_random: bool
) -> Mapping[str, Any] | None:
    """What onnxruntime computes; None if it cannot, or is wrong."""
    try:
        found = Session(model, fallback=False).run(feed)
    except ExecutionError:
        return None
    if is_random or all(each.equal for each in compare(given, found, rtol=case.rtol, atol=case.atol)):
        return found
    return None


def _outcome(model: ir.Model, feed: Feed, expected: Mapping[str, Any], is_random: bool) -> tuple[str, str]:
    try:
        actual = run_module(model, feed, expected)
    except TranslationError as error:
        return NO_TRANSLATION if "no translation" in str(error) else REFUSED, str(error)
    except Exception as error:
        return ERROR, f"{type(error).__name__}: {error}"
    differences = (compare_signatures if is_random else compare)(expected, actual)
    wrong = "; ".join(f"{each.name}: {each.reason}" for each in differences if not each.equal)
    return (WRONG, wrong) if wrong else (RANDOM if is_random else EQUAL, "")


def run_module(model: ir.Model, feed: Feed, expected: Mapping[str, Any]) -> dict[str, Any]:
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
        found = [run_case(case) for case in cases]
    return [outcome for outcome in found if outcome is not None]


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
    parser.add_argument("--beyond", action="store_true", help="list failures outside the base as well")
    parser.add_argument("--json", metavar="FILE", help="write every outcome to a file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    outcomes = run_cases(load_cases(options.stride, options.names))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump([asdict(outcome) for outcome in outcomes], file, indent=1)
    beyond = [outcome for outcome in outcomes if not outcome.in_base]
    if options.beyond:
        _print_failures(beyond)
        print(f"beyond the base: {_summary(beyond)}\n")
    base = [outcome for outcome in outcomes if outcome.in_base]
    _print_failures(base)
    print(_summary(base))
    return 0 if _share(base) >= LEAST_SHARE else 1


def _print_failures(outcomes: Sequence[Outcome]) -> None:
    for operator, failed in failures_by_operator(outcomes).items():
        kinds = Counter(outcome.kind for outcome in failed)
        print(f"{operator}: " + ", ".join(f"{count} {kind}" for kind, count in kinds.items()))
        for outcome in failed:
            print(f"    {outcome.name}: {outcome.reason}")


def _share(outcomes: Sequence[Outcome]) -> float:
    return sum(outcome.kind not in FAILURES for outcome in outcomes) / max(len(outcomes), 1)


def _summary(outcomes: Sequence[Outcome]) -> str:
    counts = Counter(outcome.kind for outcome in outcomes)
    shown = ", ".join(f"{counts[kind]} {kind}" for kind in (EQUAL, RANDOM, *FAILURES))
    passed = sum(outcome.kind not in FAILURES for outcome in outcomes)
    return f"{passed} of {len(outcomes)} pass ({_share(outcomes):.1%}): {shown}"


if __name__ == "__main__":
    sys.exit(main())
