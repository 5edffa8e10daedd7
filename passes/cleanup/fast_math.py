"""Identities that hold for every finite value but not for the sign of zero or at infinity.

x + 0.0 turns -0.0 into 0.0; a Clip without a bound stops at the largest finite number. What holds bit for bit
stands in `simplify-algebra` and `eliminate-identities`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Rule, Tape, const, op, rule, var
from graphopt.passes.cleanup.simplify_algebra import keep_if_neutral
from graphopt.passes.operands import keep
from graphopt.pipeline import RewritePass


@rule(op(("Add", "Sub"), var("x"), const("zero")))
def add_any_zero(tape: Tape, x: ir.Value, zero: ir.Value) -> ir.Value:
    """x + 0, x - 0."""
    return keep_if_neutral(x, zero, 0.0)


@rule(op("Clip", var("x"), name="node"))
def clip_without_bounds(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    """Clip with neither a minimum nor a maximum."""
    return keep(x, not node.attributes)


@dataclass(frozen=True)
class FastMath(RewritePass):
    """Remove what changes at most the sign of a zero, or an infinity."""

    name: ClassVar[str] = "fast-math"
    rules: ClassVar[tuple[Rule, ...]] = (add_any_zero, clip_without_bounds)
