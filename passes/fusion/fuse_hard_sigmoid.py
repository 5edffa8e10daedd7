"""Write a shifted, clipped and rescaled value as HardSigmoid.

Exporters without the operator spell it Add, Clip, Div, often with a Mul between (then it is HardSwish):

    Clip(x + 3, 0, 6) / 6        ->  HardSigmoid(x, alpha = 1/6, beta = 1/2)
    y * Clip(x + 3, 0, 6) / 6    ->  y * HardSigmoid(x, alpha = 1/6, beta = 1/2)

Runs before affines are merged and absorbed, which would take the division away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, const, op, rank, rule, scalar, var
from graphopt.pipeline import RewritePass

CLIP = op("Clip", op("Add", var("x"), const("shift")), const("low"), const("high"))


@rule(op("Div", CLIP, const("divisor")))
def fuse_clip_into_hard_sigmoid(
    tape: Tape, x: ir.Value, shift: ir.Value, low: ir.Value, high: ir.Value, divisor: ir.Value
) -> ir.Value:
    """Clip(x + b, 0, h) / h  ->  HardSigmoid(x, 1/h, b/h)."""
    return _hard_sigmoid(tape, x, shift, low, high, divisor)


@rule(op("Div", op("Mul", var("y"), CLIP), const("divisor")))
def fuse_gate_into_hard_sigmoid(
    tape: Tape, y: ir.Value, x: ir.Value, shift: ir.Value, low: ir.Value, high: ir.Value, divisor: ir.Value
) -> ir.Value:
    """y * Clip(x + b, 0, h) / h  ->  y * HardSigmoid(x, 1/h, b/h)."""
    return tape.op("Mul", [y, _hard_sigmoid(tape, x, shift, low, high, divisor)])


def _hard_sigmoid(
    tape: Tape, x: ir.Value, shift: ir.Value, low: ir.Value, high: ir.Value, divisor: ir.Value
) -> ir.Value:
    if x.dtype != ir.DataType.FLOAT:
        raise Reject("onnxruntime has HardSigmoid for float32 alone")
    if any(scalar(value) is None for value in (shift, low, high, divisor)):
        raise Reject("a constant is not one value")
    ranks = [rank(value) for value in (shift, divisor)]
    if x.shape is None or any(known is None or known > len(x.shape) for known in ranks):
        raise Reject("a constant may give the result more dimensions")
    top = float(scalar(high))
    if float(scalar(low)) != 0.0 or not top > 0.0 or float(scalar(divisor)) != top:
        raise Reject("the bounds are not 0 and the divisor")
    return tape.op("HardSigmoid", [x], {"alpha": 1.0 / top, "beta": float(scalar(shift)) / top})


@dataclass(frozen=True)
class FuseHardSigmoid(RewritePass):
    """Write a shifted, clipped and rescaled value as HardSigmoid."""

    name: ClassVar[str] = "fuse-hard-sigmoid"
    rules: ClassVar[tuple[Rule, ...]] = (fuse_clip_into_hard_sigmoid, fuse_gate_into_hard_sigmoid)
