"""Multiply two constant matrices in a row with each other, where that is cheaper than one after the other.

    (x A) B             ->  x (A B)              Gemm(Gemm(x, A, a), B, b)  ->  Gemm(x, A B, a B + b)
    A (B x)             ->  (A B) x

The product must be no larger than both: then each run multiplies less, and the file is smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, attribute_int, const, op, rest, rule, var
from graphopt.passes.fusion._arrays import dtype_of, exact, rounded
from graphopt.passes.fusion._linear import DENSE, linear, refuse_big_copy
from graphopt.pipeline import RewritePass

GROWS = "the product of both matrices is larger than they are"


@rule(op(DENSE, op(DENSE, rest("_"), name="first"), rest("__"), name="second"))
def product_of_products(tape: Tape, first: ir.Node, second: ir.Node) -> ir.Value:
    """(x A + a) B + b  ->  x (A B) + (a B + b)."""
    if second.inputs[0] is not first.outputs[0]:
        raise Reject("")
    left, right = linear(first), linear(second)
    for view in (left, right):
        view.require_constant_weight()
        view.require_constant_bias()
        if attribute_int(view.node, "transA", 0):
            raise Reject("it transposes its data")
    if left.inputs * right.outputs > left.inputs * left.outputs + right.inputs * right.outputs:
        raise Reject(GROWS)
    for view in (left, right):
        refuse_big_copy(view.weight)
    matrix = tape.const(rounded(left.matrix() @ right.matrix(), right.dtype), right.weight.name or "weight")
    data = first.inputs[0]
    if left.op_type == right.op_type == "MatMul":
        return tape.op("MatMul", [data, matrix])
    bias = right.behind(left).bias if left.bias is not None else right.bias
    inputs = [data, matrix]
    if bias is not None:
        shape = np.broadcast_shapes(bias.shape, (right.outputs,))
        inputs.append(tape.const(rounded(np.broadcast_to(bias, shape), right.dtype), "bias"))
    return tape.op("Gemm", inputs)


@rule(op("MatMul", const("outer"), op("MatMul", const("inner"), var("x"))))
def product_from_the_left(tape: Tape, outer: ir.Value, inner: ir.Value, x: ir.Value) -> ir.Value:
    """A (B x)  ->  (A B) x."""
    left, right = exact(outer), exact(inner)
    if left.ndim != 2 or right.ndim != 2 or x.shape is None or len(x.shape) < 2:
        raise Reject("")
    if left.shape[0] * right.shape[1] > left.size + right.size:
        raise Reject(GROWS)
    refuse_big_copy(outer)
    refuse_big_copy(inner)
    return tape.op("MatMul", [tape.const(rounded(left @ right, dtype_of(outer)), outer.name or "weight"), x])


@dataclass(frozen=True)
class JoinMatmuls(RewritePass):
    """Multiply constant matrices that stand in a row, where the product is smaller."""

    name: ClassVar[str] = "join-matmuls"
    rules: ClassVar[tuple[Rule, ...]] = (product_of_products, product_from_the_left)
