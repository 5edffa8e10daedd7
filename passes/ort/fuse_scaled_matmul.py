"""Fuse transposes of the last two axes and scalar factors into the MatMul beside them, as FusedMatMul."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import (
    Changes,
    Reject,
    Rule,
    Tape,
    attribute_float,
    attribute_int,
    attribute_ints,
    const,
    op,
    rank,
    rule,
    scalar,
    var,
)
from graphopt.ir.pattern import Op, Pattern
from graphopt.passes.ort._contrib import CONTRIB, inverse, is_float32, rewrite_into_contrib
from graphopt.pipeline import RewritePass

SWITCHES = ("transA", "transB", "transBatchA", "transBatchB")


def _products(a: Pattern, b: Pattern) -> tuple[Op, Op]:
    """A MatMul and a FusedMatMul of two operands."""
    return op("MatMul", a, b, name="product"), op("FusedMatMul", a, b, name="product", domain=CONTRIB)


@rule(
    *_products(op("Transpose", var("a"), name="turned"), var("b")),
    *_products(var("a"), op("Transpose", var("b"), name="turned")),
)
def transposed_operand(tape: Tape, a: ir.Value, b: ir.Value, turned: ir.Node, product: ir.Node) -> ir.Value:
    """MatMul(Transpose(a), b)  ->  FusedMatMul(a, b), the last two axes exchanged."""
    index = 0 if product.inputs[0] is turned.outputs[0] else 1
    side = SWITCHES[index]
    axes = rank(turned.inputs[0])
    perm = attribute_ints(turned, "perm") or list(reversed(range(axes or 0)))
    if len(perm) < 2 or perm != [*range(len(perm) - 2), len(perm) - 1, len(perm) - 2]:
        raise Reject("")
    if any(attribute_int(product, name, 0) for name in SWITCHES[2:]):
        raise Reject("the product transposes its batch axes too")
    return _fused(tape, product, [a, b], {side: 1 - attribute_int(product, side, 0)})


@rule(
    *(op("Mul", product, const("factor")) for product in _products(var("a"), var("b"))),
    *(op("Div", product, const("divisor")) for product in _products(var("a"), var("b"))),
)
def scaled_product(
    tape: Tape,
    a: ir.Value,
    b: ir.Value,
    product: ir.Node,
    factor: ir.Value | None,
    divisor: ir.Value | None,
) -> ir.Value:
    """c * MatMul(a, b)  ->  FusedMatMul(a, b) with alpha."""
    value = divisor if factor is None else factor
    number = scalar(value)
    axes = rank(product.outputs[0])
    assert value is not None
    if number is None or axes is None or len(value.shape or ()) > axes:
        raise Reject("the factor of the product is not one number")
    alpha = float(number) if divisor is None else inverse(number)
    return _fused(tape, product, [a, b], {"alpha": alpha * attribute_float(product, "alpha", 1.0)})


def _fused(tape: Tape, product: ir.Node, operands: list[ir.Value], changed: Mapping[str, float]) -> ir.Value:
    if not all(map(is_float32, operands)):
        raise Reject("onnxruntime has FusedMatMul for float32 alone")
    if any((rank(operand) or 0) < 2 for operand in operands):
        raise Reject("an operand of the product is a vector, or its rank is not known")
    return tape.op("FusedMatMul", operands, {**product.attributes, **changed}, domain=CONTRIB)


@dataclass(frozen=True)
class FuseScaledMatmul(RewritePass):
    """Fuse transposes and scalar factors into the MatMul beside them."""

    name: ClassVar[str] = "fuse-scaled-matmul"
    rules: ClassVar[tuple[Rule, ...]] = (transposed_operand, scaled_product)

    def apply(self, model: ir.Model, changes: Changes) -> None:
        rewrite_into_contrib(model, self.rules, changes)
