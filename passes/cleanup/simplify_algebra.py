"""Remove arithmetic and logic that computes nothing: neutral elements, double negation, repeated rounding.

A Sum of two becomes an Add, since runtimes look for Add alone: to fuse it, and to compute it on codes.
Bit for bit, so NaN, infinities and both zeros included: x + 0.0 turns -0.0 into 0.0 and is left to
`fast-math`, x * 0 is never folded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, const, op, rule, var
from graphopt.passes.operands import broadcasts_into, is_filled_with, keep
from graphopt.pipeline import RewritePass

BROADCASTS = "the constant may broadcast the other operand"


def keep_if_neutral(x: ir.Value, constant: ir.Value, neutral: float, *, sign: bool = False) -> ir.Value:
    """`x`, where an operand of nothing but `neutral` elements leaves its shape alone."""
    if not is_filled_with(constant, neutral, sign=sign):
        raise Reject("")
    assert constant.shape is not None
    return keep(x, broadcasts_into(constant.shape.numpy(), x), BROADCASTS)


@rule(op("Add", var("x"), const("zero")))
def add_zero(tape: Tape, x: ir.Value, zero: ir.Value) -> ir.Value:
    """x + (-0.0), or + 0 of integers: the sums that change no bit."""
    return keep_if_neutral(x, zero, -0.0, sign=True)


@rule(op("Sub", var("x"), const("zero")))
def subtract_zero(tape: Tape, x: ir.Value, zero: ir.Value) -> ir.Value:
    """x - 0."""
    return keep_if_neutral(x, zero, 0.0, sign=True)


@rule(op("Mul", var("x"), const("one")), op(("Div", "Pow"), var("x"), const("one")))
def multiply_by_one(tape: Tape, x: ir.Value, one: ir.Value) -> ir.Value:
    """x * 1, x / 1 and x ** 1."""
    return keep_if_neutral(x, one, 1)


@rule(op("And", var("x"), const("truth")))
def and_true(tape: Tape, x: ir.Value, truth: ir.Value) -> ir.Value:
    """x and True."""
    return keep_if_neutral(x, truth, True)


@rule(op(("Or", "Xor"), var("x"), const("falsehood")))
def or_false(tape: Tape, x: ir.Value, falsehood: ir.Value) -> ir.Value:
    """x or False, x xor False."""
    return keep_if_neutral(x, falsehood, False)


@rule(op(("And", "Or", "Max", "Min"), var("x"), var("x")))
def with_itself(tape: Tape, x: ir.Value) -> ir.Value:
    """x and x, x or x, max(x, x), min(x, x)."""
    return x


@rule(
    op("Not", op("Not", var("x"), shared=True)),
    op("Neg", op("Neg", var("x"), shared=True)),
    op("BitwiseNot", op("BitwiseNot", var("x"), shared=True)),
)
def twice_negated(tape: Tape, x: ir.Value) -> ir.Value:
    """Not of Not, Neg of Neg."""
    return x


@rule(
    op(("Ceil", "Floor", "Round"), op(("Ceil", "Floor", "Round"), var("x"), shared=True, name="inner")),
    op("Relu", op("Relu", var("x"), shared=True, name="inner")),
    op("Abs", op("Abs", var("x"), shared=True, name="inner")),
    op("Sign", op("Sign", var("x"), shared=True, name="inner")),
)
def already_done(tape: Tape, inner: ir.Node) -> ir.Value:
    """A rounding of something rounded; Relu, Abs or Sign twice."""
    return inner.outputs[0]


NON_NEGATIVE = ("Abs", "Exp", "HardSigmoid", "Sigmoid", "Softmax", "Softplus")


@rule(op("Relu", op(NON_NEGATIVE, var("x"), shared=True, name="inner")))
def relu_of_non_negative(tape: Tape, inner: ir.Node) -> ir.Value:
    """Relu of a value that is never negative (NaN passes through Relu too)."""
    return inner.outputs[0]


NORMS = ("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization")


@rule(op("Sum", var("a"), var("b"), name="node"))
def sum_of_two(tape: Tape, node: ir.Node, a: ir.Value, b: ir.Value) -> ir.Value:
    """Sum(a, b)  ->  a + b."""
    if any(use.node.op_type in NORMS for use in node.outputs[0].uses()):
        raise Reject("a normalization behind an Add is fused with it to what is slower")
    if any(_multiplies_codes(value.producer()) for value in (a, b)):
        raise Reject("a product behind which an Add stands is computed in float")
    return tape.op("Add", [a, b])


def _multiplies_codes(node: ir.Node | None) -> bool:
    """Whether a node is a product of what codes stand for: with an Add it becomes a Gemm of floats."""
    if node is None or node.op_type != "MatMul":
        return False
    makers = [value.producer() for value in node.inputs if value is not None]
    return any(maker is not None and maker.op_type == "DequantizeLinear" for maker in makers)


@dataclass(frozen=True)
class SimplifyAlgebra(RewritePass):
    """Remove arithmetic and logic that changes no bit."""

    name: ClassVar[str] = "simplify-algebra"
    exact: ClassVar[bool] = True
    rules: ClassVar[tuple[Rule, ...]] = (
        add_zero,
        subtract_zero,
        multiply_by_one,
        and_true,
        or_false,
        with_itself,
        twice_negated,
        already_done,
        relu_of_non_negative,
        sum_of_two,
    )
