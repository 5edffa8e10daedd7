"""Arithmetic of sizes: now where the numbers are known, at run time otherwise, not at all where it is plain.

Nothing here knows of operators' shapes, attributes or axes.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import torch

from graphopt.pytorch.exporter.sizes import Int, Operands, Sizes, is_small, plain
from graphopt.pytorch.functional import sizes as functions

if TYPE_CHECKING:
    from graphopt.pytorch.exporter.site import Site


def elementwise(operands: Operands, function: Callable[..., Any], dtype: ir.DataType) -> Sizes | None:
    """A function of operands that broadcast, element by element; None where there are too many."""
    given = [x for x in operands if x is not None]
    shape = np.broadcast_shapes(*[x.shape for x in given])
    if not is_small(shape):
        return None
    columns = [np.broadcast_to(x.array, shape).reshape(-1) for x in given]
    return Sizes(tuple(function(*row) for row in zip(*columns, strict=True)), shape, dtype)


def combination(site: Site, op_type: str, dtype: ir.DataType) -> Callable[[Int, Int], Int]:
    """What an operator makes of two numbers of one type; whole numbers stay whole in a float tensor."""

    def combine(a: Int, b: Int) -> Int:
        is_fraction = dtype == ir.DataType.FLOAT and not (_is_whole(a) and _is_whole(b))
        is_fraction |= dtype == ir.DataType.FLOAT and op_type in ("Div", "Pow")
        return compute(site, (_FRACTIONS if is_fraction else _INTEGERS)[op_type], a, b)

    return combine


def rounded(site: Site, function: Callable[..., Any], item: Int) -> Int:
    """A whole number as it is, another by the function."""
    return item if _is_whole(item) else compute(site, function, item)


def negation(site: Site, item: Any) -> Int:
    """The opposite of a truth; of a comparison, the opposite comparison."""
    if isinstance(item, torch.fx.Node) and item.target in _OPPOSITES:
        return compute(site, _OPPOSITES[item.target], *item.args)
    return compute(site, operator.not_, item)


def compute(site: Site, function: Callable[..., Any], *operands: Any) -> Any:
    """A number from numbers, without a call where the result is plain."""
    known = _simplified(function, *operands)
    return plain(site.compute(function, *operands) if known is None else known)


def _simplified(function: Callable[..., Any], a: Any, b: Any = None, c: Any = None) -> Any:
    """The result of a call if it is one of its operands or a truth about sizes; None otherwise."""
    if function is functions.choose:
        return b if b is c or a is True else c if a is False else None
    neutral = _NEUTRAL.get(function)
    if neutral is not None and _is_number(b, neutral):
        return a
    if function in _COMMUTATIVE and neutral is not None and _is_number(a, neutral):
        return b
    if a is b and function in _OF_SAME:
        truth = _OF_SAME[function]
        return a if truth is None else truth
    if is_natural(a) and isinstance(b, int) and b < 0:
        return a if function is functions.larger else _OF_NATURAL_AND_NEGATIVE.get(function)
    return None


def _is_number(item: Any, number: int) -> bool:
    return not isinstance(item, (torch.fx.Node, bool)) and item == number


def is_natural(item: Any) -> bool:
    """Whether a node is a size or made of sizes in a way that cannot become negative."""
    if not isinstance(item, torch.fx.Node):
        return isinstance(item, int) and item >= 0
    if item.op == "call_method":
        return item.target in ("size", "numel", "dim")
    return item.target in _NATURAL and all(is_natural(each) for each in item.args)


def _is_whole(item: Any) -> bool:
    """Whether a number is an integer, whatever tensor it stands in."""
    if not isinstance(item, torch.fx.Node):
        return isinstance(item, int)
    return (
        item.op != "placeholder" and item.target not in _FRACTIONS.values() and item.target != functions.root
    )


_INTEGERS: dict[str, Callable[..., Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": functions.divide,
    "Mod": operator.mod,
    "Min": functions.smaller,
    "Max": functions.larger,
    "Sum": operator.add,
}
_FRACTIONS: dict[str, Callable[..., Any]] = {
    "Add": functions.plus,
    "Sub": functions.minus,
    "Mul": functions.times,
    "Div": functions.ratio,
    "Min": functions.smaller,
    "Max": functions.larger,
    "Sum": functions.plus,
    "Pow": functions.power,
}
COMPARISONS: dict[str, Callable[..., Any]] = {
    "Equal": operator.eq,
    "Less": operator.lt,
    "LessOrEqual": operator.le,
    "Greater": operator.gt,
    "GreaterOrEqual": operator.ge,
}
_OPPOSITES: dict[Any, Callable[..., Any]] = {
    operator.eq: operator.ne,
    operator.ne: operator.eq,
    operator.lt: operator.ge,
    operator.le: operator.gt,
    operator.gt: operator.le,
    operator.ge: operator.lt,
}
_NEUTRAL: dict[Callable[..., Any], int] = {
    operator.add: 0,
    operator.sub: 0,
    operator.mul: 1,
    functions.divide: 1,
    functions.plus: 0,
    functions.minus: 0,
    functions.times: 1,
    functions.ratio: 1,
    functions.power: 1,
}
_COMMUTATIVE = {operator.add, operator.mul, functions.plus, functions.times}
_OF_SAME: dict[Callable[..., Any], Any] = {
    operator.sub: 0,
    operator.eq: True,
    operator.le: True,
    operator.ge: True,
    operator.lt: False,
    operator.gt: False,
    functions.smaller: None,
    functions.larger: None,
}
_OF_NATURAL_AND_NEGATIVE: dict[Callable[..., Any], bool] = {
    operator.eq: False,
    operator.lt: False,
    operator.le: False,
    operator.gt: True,
    operator.ge: True,
}
_NATURAL = {
    operator.add,
    operator.mul,
    operator.floordiv,
    functions.divide,
    functions.smaller,
    functions.larger,
}
