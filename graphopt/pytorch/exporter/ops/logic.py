"""Comparisons, logic, bits, choices between elements."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.exporter.unsigned import widening
from graphopt.pytorch.functional import pointwise as functions

_COMPARISONS: dict[str, Callable[..., Any]] = {
    "Equal": operator.eq,
    "Greater": operator.gt,
    "GreaterOrEqual": operator.ge,
    "Less": operator.lt,
    "LessOrEqual": operator.le,
}

_BITS: dict[str, Callable[..., Any]] = {
    "And": operator.and_,
    "BitwiseAnd": operator.and_,
    "BitwiseOr": operator.or_,
    "BitwiseXor": operator.xor,
    "Or": operator.or_,
    "Xor": operator.xor,
}


@translates(*_COMPARISONS)
@widening(ordered=True)
def comparison(site: Site) -> fx.Node:
    return site.call(_COMPARISONS[site.node.op_type], site.tensor(0), site.operand(1))


@translates(*_BITS)
@widening()
def bits(site: Site) -> fx.Node:
    return site.call(_BITS[site.node.op_type], site.tensor(0), site.tensor(1))


@translates("Not")
def negation(site: Site) -> fx.Node:
    return site.call(torch.logical_not, site.tensor(0))


@translates("BitwiseNot")
@widening()
def inversion(site: Site) -> fx.Node:
    return site.call(operator.invert, site.tensor(0))


@translates("BitShift")
def shift(site: Site) -> fx.Node:
    function = functions.shift_left if site.attribute("direction") == "LEFT" else functions.shift_right
    return site.call(function, site.tensor(0), site.tensor(1))


@translates("IsNaN")
def is_nan(site: Site) -> fx.Node:
    return site.call(torch.isnan, _arithmetic_tensor(site))


@translates("IsInf")
def is_inf(site: Site) -> fx.Node:
    x = _arithmetic_tensor(site)
    positive, negative = site.attribute("detect_positive", 1), site.attribute("detect_negative", 1)
    if positive and negative:
        return site.call(torch.isinf, x)
    if not positive and not negative:
        return site.call(torch.zeros_like, x, dtype=torch.bool)
    return site.call(torch.isposinf if positive else torch.isneginf, x)


@translates("Where")
def where(site: Site) -> fx.Node:
    yes, no = site.operand(1), site.operand(2)
    if not isinstance(yes, fx.Node) and not isinstance(no, fx.Node):
        yes = site.tensor(1)
    return site.call(torch.where, site.tensor(0), yes, no)


def _arithmetic_tensor(site: Site) -> fx.Node:
    """Input 0, as float32 if it is of 8 bits, which PyTorch only stores."""
    dtype = site.dtype(0)
    x = site.tensor(0)
    return site.method("to", x, torch.float32) if dtype is not None and dtype.bitwidth == 8 else x
