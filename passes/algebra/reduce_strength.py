"""Write powers, quotients and negations with cheaper operators.

    x ** 2        ->  x * x                  x / 3          ->  x * (1/3)
    x ** 0.5      ->  Sqrt(x)                1 / x          ->  Reciprocal(x)
    x ** -0.5     ->  Reciprocal(Sqrt(x))    a * (1 / b)    ->  a / b
    x ** -1       ->  Reciprocal(x)          a / (1 / b)    ->  a * b
    x ** 4        ->  (x * x) * (x * x)      a + (-b)       ->  a - b

Time of the new form over the old in onnxruntime, one thread, 262,144 floats: x^2 0.41, x^4 0.09, x^0.5 0.09,
x^-0.5 0.09, x^-1 0.05, x / c 0.64, a * (1/b) 0.55. x^3 stays: Pow has a loop of its own for it, and two Mul
gain nothing once the values leave the cache. At -0.0 and -inf a power of 0.5 differs from Sqrt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, const, op, rule, same_shape, var
from graphopt.passes.algebra._constants import filling, require_float
from graphopt.passes.fusion._arrays import dtype_of, exact, inverse, rounded
from graphopt.passes.fusion._linear import refuse_big_copy
from graphopt.pipeline import RewritePass


def _square(tape: Tape, x: ir.Value) -> ir.Value:
    return tape.op("Mul", [x, x])


POWERS: dict[float, Callable[[Tape, ir.Value], ir.Value]] = {
    2.0: _square,
    4.0: lambda tape, x: _square(tape, _square(tape, x)),
    0.5: lambda tape, x: tape.op("Sqrt", [x]),
    -0.5: lambda tape, x: tape.op("Reciprocal", [tape.op("Sqrt", [x])]),
    1.5: lambda tape, x: tape.op("Mul", [x, tape.op("Sqrt", [x])]),
    -1.0: lambda tape, x: tape.op("Reciprocal", [x]),
    -2.0: lambda tape, x: tape.op("Reciprocal", [_square(tape, x)]),
}


@rule(op("Pow", var("x"), const("exponent")))
def power(tape: Tape, x: ir.Value, exponent: ir.Value) -> ir.Value:
    """x ** 2  ->  x * x, and the like for 4, 0.5, 1.5, -0.5, -1 and -2."""
    require_float(x)
    build = POWERS.get(filling(exponent, x))
    if build is None:
        raise Reject("no cheaper form of this power")
    return build(tape, x)


@rule(op("Div", const("one"), var("x")))
def divided_one(tape: Tape, one: ir.Value, x: ir.Value) -> ir.Value:
    """1 / x  ->  Reciprocal(x)."""
    require_float(x)
    if filling(one, x) != 1:
        raise Reject("")
    return tape.op("Reciprocal", [x])


@rule(op("Div", var("x"), const("divisor")))
def constant_divisor(tape: Tape, x: ir.Value, divisor: ir.Value) -> ir.Value:
    """x / c  ->  x * (1 / c)."""
    require_float(x)
    refuse_big_copy(divisor)
    factor = rounded(inverse(exact(divisor)), dtype_of(divisor))
    return tape.op("Mul", [x, tape.const(factor, divisor.name or "factor")])


@rule(op("Mul", var("a"), op("Reciprocal", var("b")), name="node"))
def multiplied_reciprocal(tape: Tape, a: ir.Value, b: ir.Value) -> ir.Value:
    """a * (1 / b)  ->  a / b, where b is as large as a: else a Div in each place costs more than a Mul."""
    if not same_shape(a.shape, b.shape):
        raise Reject("the reciprocal is broadcast, so that it saves divisions")
    return tape.op("Div", [a, b])


@rule(op("Div", var("a"), op("Reciprocal", var("b"))))
def divided_by_reciprocal(tape: Tape, a: ir.Value, b: ir.Value) -> ir.Value:
    """a / (1 / b)  ->  a * b."""
    return tape.op("Mul", [a, b])


@rule(op("Reciprocal", op("Div", var("a"), var("b"))))
def reciprocal_of_quotient(tape: Tape, a: ir.Value, b: ir.Value) -> ir.Value:
    """1 / (a / b)  ->  b / a."""
    return tape.op("Div", [b, a])


@rule(op("Reciprocal", op("Reciprocal", var("x"), shared=True)))
def twice_inverted(tape: Tape, x: ir.Value) -> ir.Value:
    """1 / (1 / x)  ->  x."""
    return x


@rule(op("Sqrt", op("Mul", var("x"), var("x"))))
def root_of_square(tape: Tape, x: ir.Value) -> ir.Value:
    """Sqrt(x * x)  ->  Abs(x)."""
    return tape.op("Abs", [x])


@rule(op("Mul", op("Abs", var("x")), op("Abs", var("x"))))
def square_of_magnitude(tape: Tape, x: ir.Value) -> ir.Value:
    """|x| * |x|  ->  x * x."""
    return _square(tape, x)


@rule(op("Add", var("a"), op("Neg", var("b"))))
def added_negative(tape: Tape, a: ir.Value, b: ir.Value) -> ir.Value:
    """a + (-b)  ->  a - b."""
    return tape.op("Sub", [a, b])


@rule(op("Sub", var("a"), op("Neg", var("b"))))
def subtracted_negative(tape: Tape, a: ir.Value, b: ir.Value) -> ir.Value:
    """a - (-b)  ->  a + b."""
    return tape.op("Add", [a, b])


@rule(op(("Mul", "Div"), op("Neg", var("a")), op("Neg", var("b")), name="node"))
def both_negative(tape: Tape, node: ir.Node, a: ir.Value, b: ir.Value) -> ir.Value:
    """(-a) * (-b)  ->  a * b, and so for the quotient."""
    require_float(a)
    return tape.op(node.op_type, [a, b])


@rule(op("Neg", op("Sub", var("a"), var("b"))))
def negative_difference(tape: Tape, a: ir.Value, b: ir.Value) -> ir.Value:
    """-(a - b)  ->  b - a."""
    return tape.op("Sub", [b, a])


@dataclass(frozen=True)
class ReduceStrength(RewritePass):
    """Write powers, quotients and negations with cheaper operators."""

    name: ClassVar[str] = "reduce-strength"
    rules: ClassVar[tuple[Rule, ...]] = (
        power,
        divided_one,
        constant_divisor,
        multiplied_reciprocal,
        divided_by_reciprocal,
        reciprocal_of_quotient,
        twice_inverted,
        root_of_square,
        square_of_magnitude,
        added_negative,
        subtracted_negative,
        both_negative,
        negative_difference,
    )
