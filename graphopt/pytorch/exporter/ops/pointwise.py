"""Arithmetic, rounding, exponentials and trigonometry: each element from the elements in its place."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import onnx_ir as ir
import torch
from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.exporter.unsigned import UNSIGNED, widening
from graphopt.pytorch.functional import pointwise as functions
from graphopt.pytorch.functional import unsigned

# Operators of one input and no attributes that PyTorch has under the same meaning.
_UNARY: dict[str, Callable[..., Any]] = {
    "Abs": torch.abs,
    "Acos": torch.acos,
    "Acosh": torch.acosh,
    "Asin": torch.asin,
    "Asinh": torch.asinh,
    "Atan": torch.atan,
    "Atanh": torch.atanh,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "Log": torch.log,
    "Neg": operator.neg,
    "Reciprocal": torch.reciprocal,
    "Round": torch.round,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sinh": torch.sinh,
    "Sqrt": torch.sqrt,
    "Tan": torch.tan,
}

_ARITHMETIC: dict[str, Callable[..., Any]] = {"Add": operator.add, "Sub": operator.sub, "Mul": operator.mul}

_EXTREMES: dict[str, tuple[Callable[..., Any], str]] = {
    "Max": (torch.maximum, "min"),
    "Min": (torch.minimum, "max"),
}
"""The function of two tensors, and what a constant operand is to `torch.clamp`."""


@translates("Identity")
def identity(site: Site) -> fx.Node:
    return site.tensor(0)


@translates(*_UNARY)
@widening()
def unary(site: Site) -> fx.Node:
    if site.node.op_type == "Abs" and site.dtype(0) in UNSIGNED:
        return site.tensor(0)
    return site.call(_UNARY[site.node.op_type], site.tensor(0))


@translates(*_ARITHMETIC)
@widening()
def arithmetic(site: Site) -> fx.Node:
    return site.call(_ARITHMETIC[site.node.op_type], site.operand(0), site.operand(1))


@translates("Div")
@widening()
def div(site: Site) -> fx.Node:
    dtype = site.dtype(0) or site.dtype(1)
    if dtype is None:
        return site.call(functions.divide, site.tensor(0), site.tensor(1))
    if dtype == ir.DataType.UINT64:
        return site.call(unsigned.divide, site.tensor(0), site.tensor(1))
    if dtype.is_integer():
        return site.call(torch.div, site.tensor(0), site.operand(1), rounding_mode="trunc")
    return site.call(operator.truediv, site.operand(0), site.operand(1))


@translates("Mod")
@widening()
def mod(site: Site) -> fx.Node:
    """The remainder takes the divisor's sign, or with `fmod` the dividend's."""
    if site.dtype(0) == ir.DataType.UINT64:
        return site.call(unsigned.remainder, site.tensor(0), site.tensor(1))
    function = torch.fmod if site.attribute("fmod", 0) else torch.remainder
    return site.call(function, site.tensor(0), site.operand(1))


@translates("Pow")
@widening()
def power(site: Site) -> fx.Node:
    """The result has the base's type."""
    base, exponent = site.dtype(0), site.operand(1)
    is_float = base is not None and base.is_floating_point()
    if isinstance(exponent, (int, float)) and is_float:
        return site.call(operator.pow, site.tensor(0), exponent)
    if is_float and site.dtype(1) == base:
        return site.call(operator.pow, site.operand(0), site.tensor(1))
    return site.call(functions.power, site.tensor(0), site.tensor(1))


@translates("Max", "Min")
@widening(ordered=True)
def extreme(site: Site) -> fx.Node:
    function, bound = _EXTREMES[site.node.op_type]
    count = len(site.node.inputs)
    if count == 2:
        for tensor, other in ((0, 1), (1, 0)):
            number = site.operand(other)
            if isinstance(number, (int, float)):
                return site.call(torch.clamp, site.tensor(tensor), **{bound: number})
    return reduce(lambda a, b: site.call(function, a, b), [site.tensor(index) for index in range(count)])


@translates("Sum")
@widening()
def total(site: Site) -> fx.Node:
    return _total(site)


@translates("Mean")
def mean(site: Site) -> fx.Node:
    count = len(site.node.inputs)
    return _total(site) if count == 1 else site.call(operator.truediv, _total(site), count)


def _total(site: Site) -> fx.Node:
    tensors = [site.tensor(index) for index in range(len(site.node.inputs))]
    return reduce(lambda a, b: site.call(operator.add, a, b), tensors)


@translates("Clip")
@widening(ordered=True)
def clip(site: Site) -> fx.Node:
    """Where the lower bound is above the upper, the upper holds, as `torch.clamp` has it."""
    bounds = {"min": _bound(site, 1, "min"), "max": _bound(site, 2, "max")}
    if any(isinstance(bound, fx.Node) for bound in bounds.values()):
        bounds = {"min": site.optional(1), "max": site.optional(2)}
    if all(bound is None for bound in bounds.values()):
        return site.tensor(0)
    return site.call(torch.clamp, site.tensor(0), **bounds)


def _bound(site: Site, index: int, attribute: str) -> Any:
    if not site.has(index):
        return site.attribute(attribute)
    array = site.constant(index)
    if array is None or array.size != 1 or site.dtype(0) == ir.DataType.UINT64:
        return site.tensor(index)
    return array.item()
