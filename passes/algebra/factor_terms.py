"""Take a common factor out of a sum.

x * a + x * b  ->  x * (a + b)
x + x * h      ->  x * (1 + h)              where h is smaller than x: one pass over x less
x + x * HardSigmoid(Conv(z))                ->  x * Clip(Conv'(z), 1, 2), the residual gate of
                                                PP-OCR's feature pyramid
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, attribute_float, constant_tensor, op, rule, static_shape, var
from graphopt.passes.algebra._constants import require_float
from graphopt.passes.cleanup.merge_clips import FIRST_OPSET_WITH_INPUTS
from graphopt.passes.fusion._linear import LINEAR, linear
from graphopt.passes.operands import broadcasts_into
from graphopt.pipeline import RewritePass


@rule(op(("Add", "Sub"), op("Mul", var("x"), var("a")), op("Mul", var("x"), var("b")), name="node"))
def common_factor(tape: Tape, node: ir.Node, x: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
    """x * a + x * b  ->  x * (a + b)."""
    require_float(x)
    if x is a or x is b:
        raise Reject("")  # a polynomial: x * x + x * b reads well as it is
    return tape.op("Mul", [x, tape.op(node.op_type, [a, b])])


@rule(op("Add", var("x"), op("Mul", var("x"), op("HardSigmoid", var("z"), name="gate"))))
def residual_gate(tape: Tape, x: ir.Value, z: ir.Value, gate: ir.Node) -> ir.Value:
    """x + x * HardSigmoid(Conv(z))  ->  x * Clip(Conv'(z), 1, 2)."""
    _require_smaller(gate.outputs[0], x)
    producer = z.producer()
    if producer is None or producer.op_type not in LINEAR or producer.op_type == "MatMul":
        raise Reject("")
    if len(z.uses()) > 1 or z.is_graph_output() or tape.opset < FIRST_OPSET_WITH_INPUTS:
        raise Reject("")
    alpha, beta = attribute_float(gate, "alpha", 0.2), attribute_float(gate, "beta", 0.5)
    moved = linear(producer).then(np.array(alpha), np.array(beta + 1.0)).emit(tape)
    one, two = (tape.const(np.array(bound, dtype=np.float32), "bound") for bound in (1.0, 2.0))
    return tape.op("Mul", [x, tape.op("Clip", [moved, one, two])])


@rule(op(("Add", "Sub"), var("x"), op("Mul", var("x"), var("h")), name="node"))
def factor_and_one(tape: Tape, node: ir.Node, x: ir.Value, h: ir.Value) -> ir.Value:
    """x + x * h  ->  x * (1 + h); x - x * h  ->  x * (1 - h)."""
    _require_smaller(h, x)
    assert x.dtype is not None
    one = tape.const(np.array(1, dtype=x.dtype.numpy()), "one")
    return tape.op("Mul", [x, tape.op(node.op_type, [one, h])])


@rule(op("Sub", op("Mul", var("x"), var("h")), var("x")))
def factor_less_one(tape: Tape, x: ir.Value, h: ir.Value) -> ir.Value:
    """x * h - x  ->  x * (h - 1)."""
    _require_smaller(h, x)
    assert x.dtype is not None
    one = tape.const(np.array(1, dtype=x.dtype.numpy()), "one")
    return tape.op("Mul", [x, tape.op("Sub", [h, one])])


def _require_smaller(factor: ir.Value, x: ir.Value) -> None:
    """Reject a factor that is not certainly broadcast into a larger `x`."""
    require_float(x)
    if factor is x or factor.shape is None or x.shape is None:
        raise Reject("")
    if constant_tensor(factor) is not None and broadcasts_into(static_shape(factor) or (), x):
        return
    own, dims = factor.shape.dims, x.shape.dims
    if len(own) > len(dims):
        raise Reject("the factor may broadcast the other operand")
    pairs = list(zip(own, dims[len(dims) - len(own) :], strict=True))
    if not any(size == 1 and dim != 1 for size, dim in pairs) and len(own) == len(dims):
        raise Reject("the factor is as large as the other operand")
    if any(size != 1 and size != dim for size, dim in pairs):
        raise Reject("the factor may broadcast the other operand")


@dataclass(frozen=True)
class FactorTerms(RewritePass):
    """Take a common factor out of a sum."""

    name: ClassVar[str] = "factor-terms"
    rules: ClassVar[tuple[Rule, ...]] = (common_factor, residual_gate, factor_and_one, factor_less_one)
