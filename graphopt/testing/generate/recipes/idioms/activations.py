"""Activations written out."""

from __future__ import annotations

import math

import numpy as np

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import recipe
from graphopt.testing.generate.recipes.idioms._near import add, mul, number, step


@recipe("Sigmoid", weight=14)
def gated(b: Builder, op_type: str) -> None:
    """x * Sigmoid(x), with a factor inside as QuickGelu has it or without."""
    x = b.pick()
    inner = mul(b, x, number(b, x, b.choices.choose((1.702, 1.0, 2.0)))) if b.choices.chance(0.5) else x
    mul(b, x, b.op(op_type, step(b, inner)))


@recipe("Erf", weight=12)
def gelu(b: Builder, op_type: str) -> None:
    """The half placed first, last or in the middle; now and then a bias in front."""
    x = b.pick()
    if b.choices.chance(0.3):
        x = add(b, x, b.floats(x.shape[-1:], x.dtype))
    root = math.sqrt(2.0)
    inner = b.op("Div", x, number(b, x, root)) if b.choices.chance(0.6) else mul(b, x, number(b, x, 1 / root))
    _halved(b, x, add(b, b.op(op_type, inner), number(b, x, 1.0)))


@recipe("Tanh", weight=8)
def gelu_by_tanh(b: Builder, op_type: str) -> None:
    """0.5 x (1 + Tanh(sqrt(2 / pi) (x + 0.044715 x^3)))."""
    x = b.pick()
    cube = b.op("Pow", x, number(b, x, 3.0)) if b.choices.chance(0.6) else mul(b, mul(b, x, x), x)
    inner = mul(b, add(b, x, mul(b, cube, number(b, x, 0.044715))), number(b, x, math.sqrt(2 / math.pi)))
    _halved(b, x, add(b, b.op(op_type, inner), number(b, x, 1.0)))


@recipe("Gelu", weight=5)
def biased_gelu(b: Builder, op_type: str) -> None:
    """Behind a bias, most often of a product."""
    x = b.pick(where=lambda v: v.rank > 0)
    if b.choices.chance(0.5):
        x = b.op("MatMul", x, b.floats([x.shape[-1], 4], x.dtype))
    b.op(op_type, add(b, x, b.floats(x.shape[-1:], x.dtype)), approximate=b.choices.choose(("none", "tanh")))


@recipe("Clip", weight=12)
def hard(b: Builder, op_type: str) -> None:
    """HardSwish and HardSigmoid by a Clip from 0 to 6."""
    x = b.pick()
    clipped = bounded(b, add(b, x, number(b, x, 3.0)), 0.0, 6.0)
    y = mul(b, x, clipped) if b.choices.chance(0.6) else clipped
    _divided(b, y, 6.0)
    if b.choices.chance(0.2):
        bounded(b, add(b, mul(b, x, number(b, x, 1 / 6)), number(b, x, 0.5)), 0.0, 1.0)


@recipe("HardSigmoid", weight=5)
def hard_swish(b: Builder, op_type: str) -> None:
    """x * HardSigmoid(x), of a sixth or not."""
    x = b.pick()
    mul(
        b, x, b.op(op_type, x, alpha=b.choices.choose((1 / 6, 0.2, None)), beta=b.choices.choose((0.5, None)))
    )


@recipe("Softplus", weight=5)
def mish(b: Builder, op_type: str) -> None:
    """x * Tanh(Softplus(x)), the Softplus written out or not."""
    x = b.pick()
    if b.choices.chance(0.4):
        inner = b.op("Log", add(b, b.op("Exp", x), number(b, x, 1.0)))
    else:
        inner = b.op(op_type, x)
    mul(b, x, b.op("Tanh", inner))


@recipe("Exp", weight=6)
def by_exp(b: Builder, op_type: str) -> None:
    """Sigmoid as one by one plus Exp(-x), Softsign, or Elu below zero."""
    x = b.pick()
    kind = b.choices.choose(("sigmoid", "softsign", "elu"))
    if kind == "sigmoid":
        y = add(b, b.op(op_type, b.op("Neg", x)), number(b, x, 1.0))
        b.op("Div", number(b, x, 1.0), y) if b.choices.chance(0.5) else b.op("Reciprocal", y)
    elif kind == "softsign":
        b.op("Div", x, add(b, b.op("Abs", x), number(b, x, 1.0)))
    else:
        low = b.op("Sub", b.op(op_type, b.op("Min", x, number(b, x, 0.0))), number(b, x, 1.0))
        add(b, b.op("Relu", x), low)


@recipe("Max", "Relu", weight=8)
def rectified(b: Builder, op_type: str) -> None:
    """Leaky and bounded ones: Max(x, 0.1 x), Relu(x) - a Relu(-x), Min of Max, chains of bounds."""
    x = b.pick()
    kind = b.choices.choose(("leaky", "pair", "bounds", "chain"))
    if kind == "leaky":
        b.op("Max", x, mul(b, x, number(b, x, b.choices.choose((0.1, 0.01)))))
    elif kind == "pair":
        negative = b.op("Relu", b.op("Neg", x))
        b.op("Sub", b.op("Relu", x), mul(b, negative, number(b, x, 0.25)))
    elif kind == "bounds":
        b.op("Min", b.op("Max", x, number(b, x, 0.0)), number(b, x, 6.0))
    else:
        y = bounded(b, step(b, x), b.choices.choose((-1.0, 0.0, 2.0)), b.choices.choose((1.0, 6.0, -2.0)))
        b.op("Relu", y) if b.choices.chance(0.4) else bounded(b, y, 0.0, b.choices.choose((3.0, 0.5)))


def bounded(b: Builder, x: Known, low: float, high: float) -> Known:
    """A Clip, its bounds as the opset has them."""
    if b.opset < 11:
        return b.op("Clip", x, min=low, max=high)
    ends = (b.constant(np.array(each, x.array.dtype), fresh=True) for each in (low, high))
    return b.op("Clip", x, *ends)


def _divided(b: Builder, x: Known, divisor: float) -> Known:
    if b.choices.chance(0.6):
        return b.op("Div", x, number(b, x, divisor))
    return mul(b, x, number(b, x, 1.0 / divisor))


def _halved(b: Builder, x: Known, y: Known) -> Known:
    half = number(b, x, 0.5)
    way = b.choices.choose(("last", "first", "inside"))
    if way == "last":
        return mul(b, mul(b, x, y), half)
    return mul(b, mul(b, x, half), y) if way == "first" else mul(b, x, mul(b, y, half))
