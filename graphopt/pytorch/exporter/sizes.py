"""Integers known as integers: what Shape gives and what is computed from it.

ONNX computes shapes with tensors; PyTorch, and torch.export above all, wants them as Python integers. A value
made of sizes is a list of `int`s and of graph nodes that are integers at run time, and becomes a tensor only
where an operator asks for one.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx_ir as ir

from graphopt.pytorch.functional import sizes as functions

if TYPE_CHECKING:
    import torch.fx

    from graphopt.pytorch.exporter.site import Site

Int: TypeAlias = "int | torch.fx.Node"
"""An integer known now, or a node that is one at run time."""

MOST_ITEMS = 64
"""Longer integer tensors are data."""


@dataclass(frozen=True)
class Sizes:
    """An int64 tensor of rank 0 or 1 as integers.

    Attributes:
        items: Its elements; one if it is a scalar.
        is_scalar: Whether the rank is 0.
        is_bool: Whether it stands for a bool tensor (a comparison of sizes).
    """

    items: tuple[Int, ...]
    is_scalar: bool = False
    is_bool: bool = False

    @property
    def known(self) -> list[int] | None:
        """The integers, if all are known now."""
        return [i for i in self.items if isinstance(i, int)] if all_known(self.items) else None


def all_known(items: Sequence[Int]) -> bool:
    """Whether none of the integers waits for run time."""
    return all(isinstance(item, int) for item in items)


def size_translation(site: Site) -> Sizes | list[Sizes] | None:
    """What a node computes if it computes sizes from sizes; None if it is to work on tensors."""
    handler = _HANDLERS.get(site.node.op_type) if site.node.domain == "" else None
    operands = [site.sizes(index) for index in range(len(site.node.inputs))]
    if handler is None or not any(site.is_size(index) for index in range(len(operands))):
        return None
    if any(
        each is None and value is not None for each, value in zip(operands, site.node.inputs, strict=True)
    ):
        return None
    return handler(site, operands)


Handler: TypeAlias = "Callable[[Site, list[Sizes | None]], Sizes | list[Sizes] | None]"
_HANDLERS: dict[str, Handler] = {}


def _handles(*op_types: str) -> Callable[[Handler], Handler]:
    def enter(handler: Handler) -> Handler:
        _HANDLERS.update(dict.fromkeys(op_types, handler))
        return handler

    return enter


@_handles("Identity")
def _identity(site: Site, operands: list[Sizes | None]) -> Sizes | None:
    return operands[0]


@_handles("Cast")
def _cast(site: Site, operands: list[Sizes | None]) -> Sizes | None:
    x = operands[0]
    if x is None or x.is_bool or site.attribute("to") not in (ir.DataType.INT64, ir.DataType.INT32):
        return None
    return x


@_handles("Squeeze", "Unsqueeze", "Reshape")
def _view(site: Site, operands: list[Sizes | None]) -> Sizes | None:
    x, rank = operands[0], site.output_rank(0)
    if x is None or rank not in (0, 1) or (rank == 0 and len(x.items) != 1):
        return None
    return Sizes(x.items, rank == 0, x.is_bool)


@_handles("Concat")
def _concat(site: Site, operands: list[Sizes | None]) -> Sizes | None:
    parts = [x for x in operands if x is not None and not x.is_bool]
    return Sizes(tuple(i for x in parts for i in x.items)) if len(parts) == len(operands) else None


@_handles("Gather")
def _gather(site: Site, operands: list[Sizes | None]) -> Sizes | None:
    data, indices = operands
    if data is None or indices is None or data.is_scalar or indices.known is None:
        return None
    if any(not -len(data.items) <= i < len(data.items) for i in indices.known):
        return None
    return Sizes(tuple(data.items[i] for i in indices.known), indices.is_scalar, data.is_bool)


@_handles("Slice")
def _slice(site: Site, operands: list[Sizes | None]) -> Sizes | None:
    data = operands[0]
    bounds = [None if x is None else x.known for x in operands[1:]]
    given = [x for x, each in zip(bounds, operands[1:], strict=True) if each is not None]
    if data is None or any(x is None or len(x) != 1 for x in given):
        return None
    start, end, _, step = [x[0] if x else None for x in (*bounds, None, None)][:4]
    step = 1 if step is None else step
    if step < 0 and end is not None and end < -len(data.items):
        end = None
    return Sizes(data.items[start:end:step], is_bool=data.is_bool)


@_handles("Split")
def _split(site: Site, operands: list[Sizes | None]) -> list[Sizes] | None:
    data = operands[0]
    count = len(site.node.outputs)
    if data is None:
        return None
    given = operands[1].known if len(operands) > 1 and operands[1] is not None else None
    if given is None:
        part = math.ceil(len(data.items) / count)
        given = [part] * (count - 1) + [len(data.items) - part * (count - 1)]
    ends = np.cumsum(given).tolist()
    return [
        Sizes(data.items[end - size : end], is_bool=data.is_bool)
        for end, size in zip(ends, given, strict=True)
    ]


@_handles("Add", "Sub", "Mul", "Div", "Mod", "Min", "Max", "Sum")
def _arithmetic(site: Site, operands: list[Sizes | None]) -> Sizes | None:
    if site.node.op_type == "Mod" and site.attribute("fmod", 0):
        return None
    return _elementwise(site, operands, _ARITHMETIC[site.node.op_type])


@_handles("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")
def _comparison(site: Site, operands: list[Sizes | None]) -> Sizes | None:
    return _elementwise(site, operands, _COMPARISONS[site.node.op_type], is_bool=True)


@_handles("Neg", "Abs")
def _unary(site: Site, operands: list[Sizes | None]) -> Sizes | None:
    x = operands[0]
    function = operator.neg if site.node.op_type == "Neg" else operator.abs
    return None if x is None else Sizes(tuple(site.compute(function, i) for i in x.items), x.is_scalar)


@_handles("Not")
def _not(site: Site, operands: list[Sizes | None]) -> Sizes | None:
    x = operands[0]
    if x is None:
        return None
    return Sizes(tuple(site.compute(operator.not_, i) for i in x.items), x.is_scalar, is_bool=True)


@_handles("And", "Or")
def _logic(site: Site, operands: list[Sizes | None]) -> Sizes | None:
    function = {"And": operator.and_, "Or": operator.or_}[site.node.op_type]
    return _elementwise(site, operands, function, is_bool=True)


@_handles("Where")
def _where(site: Site, operands: list[Sizes | None]) -> Sizes | None:
    condition, yes, no = operands
    if condition is None or yes is None or no is None:
        return None
    return _elementwise(site, [condition, yes, no], functions.choose, is_bool=yes.is_bool)


@_handles("ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin")
def _reduce(site: Site, operands: list[Sizes | None]) -> Sizes | None:
    x = operands[0]
    if x is None or x.is_scalar or not x.items:
        return None
    function = _ARITHMETIC[{"Prod": "Mul", "Sum": "Add", "Max": "Max", "Min": "Min"}[site.node.op_type[6:]]]
    total = x.items[0]
    for item in x.items[1:]:
        total = site.compute(function, total, item)
    return Sizes((total,), is_scalar=not site.attribute("keepdims", 1))


@_handles("Expand")
def _expand(site: Site, operands: list[Sizes | None]) -> Sizes | None:
    x, shape = operands
    if x is None or shape is None or shape.known is None or len(shape.known) > 1:
        return None
    count = max([*shape.known, len(x.items)])
    if len(x.items) not in (1, count) or count > MOST_ITEMS:
        return None
    items = x.items * count if len(x.items) == 1 else x.items
    return Sizes(items, x.is_scalar and not shape.known, x.is_bool)


@_handles("ConstantOfShape")
def _constant_of_shape(site: Site, operands: list[Sizes | None]) -> Sizes | None:
    shape = operands[0]
    tensor = site.attribute("value")
    if shape is None or shape.known is None or len(shape.known) > 1 or tensor is None:
        return None
    if tensor.dtype != ir.DataType.INT64 or math.prod(shape.known) > MOST_ITEMS:
        return None
    return Sizes((int(tensor.numpy().item()),) * math.prod(shape.known), is_scalar=not shape.known)


def _elementwise(
    site: Site, operands: Sequence[Sizes | None], function: Callable[..., Any], is_bool: bool = False
) -> Sizes | None:
    given = [x for x in operands if x is not None]
    count = max(len(x.items) for x in given) if all(x.items for x in given) else 0
    if any(len(x.items) not in (1, count) for x in given):
        return None
    columns = [x.items * count if len(x.items) == 1 else x.items for x in given]
    items = []
    for row in zip(*columns, strict=True):
        if len(row) == 1:
            items.append(row[0])
            continue
        total = row[0]
        if function is functions.choose:
            total = site.compute(function, *row)
        else:
            for other in row[1:]:
                total = site.compute(function, total, other)
        items.append(total)
    return Sizes(tuple(items), all(x.is_scalar for x in given), is_bool)


_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": functions.divide,
    "Mod": operator.mod,
    "Min": functions.smaller,
    "Max": functions.larger,
    "Sum": operator.add,
}
_COMPARISONS: dict[str, Callable[..., Any]] = {
    "Equal": operator.eq,
    "Less": operator.lt,
    "LessOrEqual": operator.le,
    "Greater": operator.gt,
    "GreaterOrEqual": operator.ge,
}
