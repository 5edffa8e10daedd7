"""Merge Gather after Gather on one axis where both indices are constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, attribute_int, const, op, rule, var
from graphopt.passes.operands import constant_or_reject, known_rank
from graphopt.pipeline import RewritePass

INNER = op("Gather", var("x"), const("first"), shared=True, name="inner")


@rule(op("Gather", INNER, const("second"), name="outer"))
def gather_of_gather(
    tape: Tape, x: ir.Value, inner: ir.Node, outer: ir.Node, first: ir.Value, second: ir.Value
) -> ir.Value:
    """Gather(Gather(x, i), j)  ->  Gather(x, i[j])."""
    indices, positions = constant_or_reject(first, "indices"), constant_or_reject(second, "indices")
    axes = known_rank(x)
    axis = attribute_int(inner, "axis", 0) % axes
    if indices.ndim != 1 or attribute_int(outer, "axis", 0) % axes != axis:
        raise Reject("they gather along different axes")
    if positions.size and not (-len(indices) <= positions.min() and positions.max() < len(indices)):
        raise Reject("an index lies outside")
    merged = np.asarray(indices[positions], dtype=indices.dtype)
    return tape.op("Gather", [x, tape.const(merged, "indices")], {"axis": axis})


@dataclass(frozen=True)
class MergeGathers(RewritePass):
    """Merge Gather after Gather on one axis."""

    name: ClassVar[str] = "merge-gathers"
    exact: ClassVar[bool] = True
    rules: ClassVar[tuple[Rule, ...]] = (gather_of_gather,)
