"""Write `x * Sigmoid(alpha * x)` and Swish as QuickGelu; with alpha 1 that is SiLU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Changes, Reject, Rule, Tape, attribute_float, const, op, rule, scalar, var
from graphopt.passes.ort._contrib import CONTRIB, inverse, is_float32, rewrite_into_contrib
from graphopt.pipeline import RewritePass


@rule(
    op("Mul", var("x"), op("Sigmoid", op("Mul", var("x"), const("factor")))),
    op("Mul", var("x"), op("Sigmoid", op("Div", var("x"), const("divisor")))),
    op("Mul", var("x"), op("Sigmoid", var("x"))),
)
def gated_by_sigmoid(tape: Tape, x: ir.Value, factor: ir.Value | None, divisor: ir.Value | None) -> ir.Value:
    """x * Sigmoid(alpha * x)  ->  QuickGelu(x)."""
    alpha = 1.0
    for value in (factor, divisor):
        if value is None:
            continue
        number = scalar(value)
        if number is None or len(value.shape or ()) > len(x.shape or ()):
            raise Reject("the factor inside the Sigmoid is not one number")
        alpha = float(number) if value is factor else inverse(number)
    return _quick_gelu(tape, x, alpha)


@rule(op("Swish", var("x"), name="node"))
def swish(tape: Tape, x: ir.Value, node: ir.Node) -> ir.Value:
    """Swish(x)  ->  QuickGelu(x)."""
    return _quick_gelu(tape, x, attribute_float(node, "alpha", 1.0))


def _quick_gelu(tape: Tape, x: ir.Value, alpha: float) -> ir.Value:
    if not is_float32(x):
        raise Reject("onnxruntime has QuickGelu for float32 alone")
    return tape.op("QuickGelu", [x], {"alpha": alpha}, domain=CONTRIB)


@dataclass(frozen=True)
class FuseQuickGelu(RewritePass):
    """Write x * Sigmoid(alpha * x) as QuickGelu."""

    name: ClassVar[str] = "fuse-quick-gelu"
    rules: ClassVar[tuple[Rule, ...]] = (gated_by_sigmoid, swish)

    def apply(self, model: ir.Model, changes: Changes) -> None:
        rewrite_into_contrib(model, self.rules, changes)
