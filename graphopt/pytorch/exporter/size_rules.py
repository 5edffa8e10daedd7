"""What each operator makes of sizes: rules by which shapes are computed with numbers instead of tensors."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx_ir as ir

from graphopt.pytorch.exporter.size_arithmetic import (
    COMPARISONS,
    combination,
    compute,
    elementwise,
    is_natural,
    negation,
    rounded,
)
from graphopt.pytorch.exporter.sizes import (
    LONGEST_RANGE,
    SIZE_TYPES,
    Int,
    Operands,
    Sizes,
    is_small,
    sizes_of,
    sizes_of_constant,
)
from graphopt.pytorch.functional import sizes as functions

if TYPE_CHECKING:
    from graphopt.pytorch.exporter.site import Site

Handler: TypeAlias = "Callable[[Site, Operands], Sizes | list[Sizes] | None]"
_HANDLERS: dict[str, Handler] = {}


def size_translation(site: Site) -> Sizes | list[Sizes] | None:
    """What a node computes if it computes sizes from sizes; None if it is to work on tensors."""
    handler = _HANDLERS.get(site.node.op_type) if site.node.domain == "" else None
    if handler is None:
        return None
    inputs = range(1 if site.node.op_type == "CastLike" else len(site.node.inputs))
    operands = [site.numbers(index) for index in inputs]
    if operands and operands[0] is None and site.node.op_type in ("Gather", "Size"):
        return _of_unranked_shape(site, operands)
    if any(each is None and site.has(index) for index, each in enumerate(operands)):
        return None
    computed = any(site.is_size(index) for index in inputs)
    constant = all(each is None or each.dtype == ir.DataType.INT64 for each in operands)
    constant |= site.node.op_type in ("Cast", "CastLike") and site.output_dtype(0) == ir.DataType.INT64
    return handler(site, operands) if computed or constant else None


def _handles(*op_types: str) -> Callable[[Handler], Handler]:
    def enter(handler: Handler) -> Handler:
        _HANDLERS.update(dict.fromkeys(op_types, handler))
        return handler

    return enter


# Structure: which number goes where


@_handles("Identity")
def _identity(site: Site, operands: Operands) -> Sizes | None:
    return operands[0]


@_handles("Shape")
def _shape(site: Site, operands: Operands) -> Sizes | None:
    x = operands[0]
    return None if x is None else Sizes(x.shape[site.attribute("start", 0) : site.attribute("end")])


@_handles("Size")
def _size(site: Site, operands: Operands) -> Sizes | None:
    x = operands[0]
    return None if x is None else Sizes((len(x.items),), ())


@_handles("Reshape")
def _reshape(site: Site, operands: Operands) -> Sizes | None:
    x, shape = operands
    if x is None or shape is None or shape.known is None:
        return None
    keep = not site.attribute("allowzero", 0)
    wanted = [x.shape[i] if n == 0 and keep else n for i, n in enumerate(shape.known)]
    return sizes_of(x.array.reshape(wanted), x.dtype)


@_handles("Flatten")
def _flatten(site: Site, operands: Operands) -> Sizes | None:
    x, axis = operands[0], site.attribute("axis", 1)
    if x is None:
        return None
    return sizes_of(x.array.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:])), x.dtype)


@_handles("Squeeze")
def _squeeze(site: Site, operands: Operands) -> Sizes | None:
    x, axes = operands[0], _axes(site, operands)
    if x is None:
        return None
    return sizes_of(np.squeeze(x.array, None if axes is None else tuple(axes)), x.dtype)


@_handles("Unsqueeze")
def _unsqueeze(site: Site, operands: Operands) -> Sizes | None:
    x, axes = operands[0], _axes(site, operands)
    return None if x is None or axes is None else sizes_of(np.expand_dims(x.array, tuple(axes)), x.dtype)


@_handles("Transpose")
def _transpose(site: Site, operands: Operands) -> Sizes | None:
    x = operands[0]
    return None if x is None else sizes_of(x.array.transpose(site.attribute("perm")), x.dtype)


@_handles("Concat")
def _concat(site: Site, operands: Operands) -> Sizes | None:
    parts = [x for x in operands if x is not None]
    return sizes_of(np.concatenate([x.array for x in parts], site.attribute("axis")), parts[0].dtype)


@_handles("Gather")
def _gather(site: Site, operands: Operands) -> Sizes | None:
    x, indices, axis = *operands, site.attribute("axis", 0)
    if x is None or indices is None or indices.known is None:
        return None
    wanted = np.array(indices.known, dtype=np.int64).reshape(indices.shape)
    if not ((-x.shape[axis] <= wanted) & (wanted < x.shape[axis])).all():
        return None
    return sizes_of(np.asarray(np.take(x.array, wanted, axis), dtype=object), x.dtype)


@_handles("Slice")
def _slice(site: Site, operands: Operands) -> Sizes | None:
    x, starts, ends, axes, steps = [*operands, None, None][:5]
    if x is None or starts is None or ends is None:
        return None
    given = [None if each is None else each.known for each in (starts, ends, axes, steps)]
    if given[0] is None or given[1] is None or (axes and given[2] is None) or (steps and given[3] is None):
        return None
    count = len(given[0])
    index: list[slice] = [slice(None)] * len(x.shape)
    for axis, start, end, step in zip(
        given[2] or range(count), given[0], given[1], given[3] or [1] * count, strict=True
    ):
        before = step < 0 and end < -x.shape[axis]
        index[axis] = slice(start, None if before else end, step)
    return sizes_of(x.array[tuple(index)], x.dtype)


@_handles("Split")
def _split(site: Site, operands: Operands) -> list[Sizes] | None:
    x, axis, count = operands[0], site.attribute("axis", 0), len(site.node.outputs)
    if x is None:
        return None
    given = operands[1].known if len(operands) > 1 and operands[1] is not None else site.attribute("split")
    part = math.ceil(x.shape[axis] / count)
    ends = np.cumsum(given)[:-1] if given else [part * i for i in range(1, count)]
    return [sizes_of(each, x.dtype) for each in np.split(x.array, ends, axis)]


@_handles("Expand")
def _expand(site: Site, operands: Operands) -> Sizes | None:
    x, shape = operands
    if x is None or shape is None or shape.known is None:
        return None
    wanted = np.broadcast_shapes(x.shape, tuple(shape.known))
    return sizes_of(np.broadcast_to(x.array, wanted), x.dtype) if is_small(wanted) else None


@_handles("Tile")
def _tile(site: Site, operands: Operands) -> Sizes | None:
    x, repeats = operands
    if x is None or repeats is None or repeats.known is None:
        return None
    wanted = [n * times for n, times in zip(x.shape, repeats.known, strict=True)]
    return sizes_of(np.tile(x.array, repeats.known), x.dtype) if is_small(wanted) else None


@_handles("ConstantOfShape")
def _constant_of_shape(site: Site, operands: Operands) -> Sizes | None:
    shape = operands[0]
    value = sizes_of_constant(site.attribute("value", ir.tensor([0.0])))
    if shape is None or shape.known is None or value is None or not is_small(shape.known):
        return None
    return sizes_of(np.full(shape.known, value.items[0], dtype=object), value.dtype)


@_handles("Range")
def _range(site: Site, operands: Operands) -> Sizes | None:
    known = [None if x is None or x.dtype == ir.DataType.FLOAT else x.known for x in operands]
    if operands[0] is None or any(bound is None for bound in known):
        return None
    span = range(*[bound[0] for bound in known if bound])
    return Sizes(tuple(span), dtype=operands[0].dtype) if len(span) <= LONGEST_RANGE else None


def _of_unranked_shape(site: Site, operands: Operands) -> Sizes | None:
    """Single sizes of a tensor, or its rank, where the rank is known at run time only."""
    value = site.node.inputs[0]
    shape = None if value is None else value.producer()
    if shape is None or shape.op_type != "Shape" or shape.inputs[0] is None:
        return None
    if shape.attributes.get_int("start", 0) or "end" in shape.attributes:
        return None
    x = site.emitter.tensor(shape.inputs[0])
    if site.node.op_type == "Size":
        return Sizes((site.method("dim", x),), ())
    indices = operands[1]
    if indices is None or indices.known is None:
        return None
    return Sizes(tuple(site.size(x, index) for index in indices.known), indices.shape)


# Arithmetic


@_handles("Cast")
def _cast(site: Site, operands: Operands) -> Sizes | None:
    return _cast_to(site, operands[0], ir.DataType(site.attribute("to")))


@_handles("CastLike")
def _cast_like(site: Site, operands: Operands) -> Sizes | None:
    return _cast_to(site, operands[0], site.dtype(1))


def _cast_to(site: Site, x: Sizes | None, dtype: ir.DataType | None) -> Sizes | None:
    if x is None or dtype not in SIZE_TYPES:
        return None
    items: list[Int] = list(x.items)
    if dtype == ir.DataType.BOOL and x.dtype != dtype:
        items = [compute(site, operator.ne, item, 0) for item in items]
    if dtype != ir.DataType.BOOL and x.dtype == ir.DataType.BOOL:
        items = [compute(site, functions.choose, item, 1, 0) for item in items]
    if dtype in (ir.DataType.INT64, ir.DataType.INT32):
        items = [rounded(site, functions.truncate, item) for item in items]
    return Sizes(tuple(items), x.shape, dtype)


@_handles("Floor", "Ceil", "Round")
def _round(site: Site, operands: Operands) -> Sizes | None:
    x = operands[0]
    function = {"Floor": functions.floor, "Ceil": functions.ceil, "Round": functions.nearest}[
        site.node.op_type
    ]
    if x is None:
        return None
    return Sizes(tuple(rounded(site, function, item) for item in x.items), x.shape, x.dtype)


@_handles("Add", "Sub", "Mul", "Div", "Mod", "Min", "Max", "Sum", "Pow")
def _arithmetic(site: Site, operands: Operands) -> Sizes | None:
    op_type, first = site.node.op_type, operands[0]
    if first is None or (
        op_type == "Mod" and (site.attribute("fmod", 0) or first.dtype == ir.DataType.FLOAT)
    ):
        return None
    if op_type == "Pow" and first.dtype != ir.DataType.FLOAT:
        return None
    combine = combination(site, op_type, first.dtype)
    return elementwise(operands, lambda *row: reduce(combine, row), first.dtype)


@_handles("Sqrt", "Reciprocal", "Neg", "Abs")
def _unary(site: Site, operands: Operands) -> Sizes | None:
    x, op_type = operands[0], site.node.op_type
    if x is None:
        return None
    function: Callable[[Any], Any] = {
        "Sqrt": lambda item: compute(site, functions.root, item),
        "Reciprocal": lambda item: compute(site, functions.ratio, 1, item),
        "Neg": lambda item: compute(site, operator.neg, item),
        "Abs": lambda item: item if is_natural(item) else compute(site, operator.abs, item),
    }[op_type]
    return Sizes(tuple(function(item) for item in x.items), x.shape, x.dtype)


@_handles("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")
def _comparison(site: Site, operands: Operands) -> Sizes | None:
    def compare(a: Int, b: Int) -> Int:
        return compute(site, COMPARISONS[site.node.op_type], a, b)

    return elementwise(operands, compare, ir.DataType.BOOL)


@_handles("And", "Or", "Xor")
def _logic(site: Site, operands: Operands) -> Sizes | None:
    function = {"And": operator.and_, "Or": operator.or_, "Xor": operator.ne}[site.node.op_type]
    return elementwise(operands, lambda a, b: compute(site, function, a, b), ir.DataType.BOOL)


@_handles("Not")
def _not(site: Site, operands: Operands) -> Sizes | None:
    x = operands[0]
    if x is None:
        return None
    return Sizes(tuple(negation(site, item) for item in x.items), x.shape, x.dtype)


@_handles("Where")
def _where(site: Site, operands: Operands) -> Sizes | None:
    _, yes, no = operands
    if yes is None or no is None:
        return None
    return elementwise(operands, lambda *row: compute(site, functions.choose, *row), yes.dtype)


@_handles("ReduceProd", "ReduceSum", "ReduceMax", "ReduceMin")
def _reduce(site: Site, operands: Operands) -> Sizes | None:
    x, axes = operands[0], _axes(site, operands)
    if x is None or not x.items:
        return None
    if not axes and site.attribute("noop_with_empty_axes", 0):
        return x
    reduced = sorted(axis % len(x.shape) for axis in axes) if axes else list(range(len(x.shape)))
    kept = [axis for axis in range(len(x.shape)) if axis not in reduced]
    rows = x.array.transpose(reduced + kept).reshape(-1, math.prod(x.shape[axis] for axis in kept))
    op_type = {"Prod": "Mul", "Sum": "Add", "Max": "Max", "Min": "Min"}[site.node.op_type[6:]]
    items = tuple(reduce(combination(site, op_type, x.dtype), column) for column in rows.T)
    if site.attribute("keepdims", 1):
        shape = tuple(1 if axis in reduced else n for axis, n in enumerate(x.shape))
    else:
        shape = tuple(x.shape[axis] for axis in kept)
    return Sizes(items, shape, x.dtype)


def _axes(site: Site, operands: Operands) -> list[int] | None:
    given = operands[1] if len(operands) > 1 else None
    axes: list[int] | None = site.attribute("axes") if given is None else given.known
    return axes
