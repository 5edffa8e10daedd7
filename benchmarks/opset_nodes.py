"""Raises ONNX's backend node tests to newer opsets and compares: the numbers must stay.

    python benchmarks/opset_nodes.py [--stride N] [NAME...]

Most cases stand at the opset that defined their operator last, so each is also taken at every older opset
where the schemas give its nodes the same meaning. The expected numbers are those of the model that is raised,
in onnxruntime. Exits 1 on any failure.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx.defs
import onnx_ir as ir
from backend_cases import NEWEST_OPSET, OLDEST_OPSET, Case, expected_outputs, feed_of, load_cases

from graphopt.errors import ExecutionError
from graphopt.execute import Session, compare, runs_node
from graphopt.ir import infer_shapes, nodes, verify
from graphopt.ir.opsets import OpsetError, raise_opset
from graphopt.ir.opsets.steps import difference, steps

TARGETS = (14, 17, 20, 22, 24, NEWEST_OPSET)
NEWEST_IR_VERSION = 13
LAST_BIT = 1e-6
"""onnxruntime averages pools by another kernel from opset 19 on."""


@dataclass(frozen=True)
class Outcome:
    """What became of one case raised from one opset to another.

    Attributes:
        kind: "equal", "refused", or "failed".
        reason: Why it was refused or failed.
    """

    kind: str
    reason: str = ""


def run_case(case: Case) -> Iterator[tuple[int, int, Outcome]]:
    """Opset before, opset after and outcome, for each pair at which onnxruntime runs the case before."""
    model = ir.from_proto(case.model)
    if model.functions:
        return
    feed = feed_of(case, model)
    for version in _older(model):
        before = model.clone()
        before.opset_imports[""] = version
        before.ir_version = min(before.ir_version, NEWEST_IR_VERSION)
        infer_shapes(before)
        expected = expected_outputs(before, feed)
        for target in TARGETS:
            if expected is not None and version < target:
                yield version, target, _raised(before.clone(), target, feed, expected)


def _raised(model: ir.Model, target: int, feed: Any, expected: Any) -> Outcome:
    try:
        raise_opset(model, target, runs_node)
    except OpsetError as error:
        return Outcome("refused", error.message)
    try:
        verify(model)
        actual = Session(model, fallback=False).run(feed)
    except ExecutionError as error:
        return Outcome("failed", error.message)
    pools = any(node.op_type == "AveragePool" for node in nodes(model))
    wrong = [
        str(each)
        for each in compare(expected, actual, rtol=LAST_BIT if pools else None)
        if not each.equal or not (each.exact or pools)
    ]
    return Outcome("failed", "; ".join(wrong)) if wrong else Outcome("equal")


def _older(model: ir.Model) -> list[int]:
    """The model's opset, and older ones at which its nodes are the same by schema, one a definition."""
    own = model.opset_imports.get("", NEWEST_OPSET)
    found: dict[tuple[int, ...], int] = {}
    for version in range(OLDEST_OPSET, min(own, NEWEST_OPSET) + 1):
        if all(node.domain or _same(node, version, own) for node in nodes(model)):
            defined = tuple(_schema(node, version).since_version for node in nodes(model) if not node.domain)
            found.setdefault(defined, version)
    return list(found.values())


def _same(node: ir.Node, old: int, own: int) -> bool:
    between = steps(node.op_type, old, own)
    if between is None or any(difference(node.op_type, step) for step in between):
        return False
    schema = _schema(node, old)
    named = all(name in schema.attributes for name in node.attributes)
    return named and len(node.inputs) <= schema.max_input and len(node.outputs) <= schema.max_output


def _schema(node: ir.Node, version: int) -> Any:
    return onnx.defs.get_schema(node.op_type, version, "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases; print each failure, each reason of refusal, and counts."""
    parser = argparse.ArgumentParser(description="Raise ONNX's backend node tests to newer opsets.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases; all by default")
    parser.add_argument("--stride", type=int, default=1, help="take every so many-th case")
    options = parser.parse_args(arguments)
    counts: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    np.seterr(all="ignore")
    for case in load_cases(options.stride, options.names):
        for version, target, outcome in run_case(case):
            counts[outcome.kind] += 1
            if outcome.kind == "failed":
                print(f"  {case.name} from {version} to {target}: {outcome.reason}", flush=True)
            elif outcome.kind == "refused":
                refusals[outcome.reason.rpartition(": ")[2] + f" ({case.name})"] += 1
    for reason, count in refusals.items():
        print(f"  refused {count} times: {reason}")
    print(", ".join(f"{counts[kind]} {kind}" for kind in ("equal", "refused", "failed")))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
