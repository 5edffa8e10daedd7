"""What picks, places, sorts or makes elements by indices."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import Unfit, recipe
from graphopt.testing.generate.recipes._parts import an_axis, has_attribute
from graphopt.testing.generate.recipes.views import ANY

COUNTS: tuple[tuple[int, ...], ...] = ((2,), (), (1,), (2, 2), (0,))
"""Shapes of indices."""


@recipe("Gather", weight=15)
def gather(b: Builder, op_type: str) -> None:
    """Along any axis, by constants, also negative ones, or by what the model computes."""
    x = b.pick(_kinds(b), where=lambda v: v.rank > 0)
    axis = an_axis(b, x.rank)
    b.op(op_type, x, _indices(b, x.shape[axis], b.choices.choose(COUNTS)), axis=axis)


@recipe("GatherElements", "GatherND", weight=5)
def gather_parts(b: Builder, op_type: str) -> None:
    """Single elements, or parts of the last dimensions."""
    x = b.pick(_kinds(b), where=lambda v: v.rank > 0)
    if op_type == "GatherElements":
        axis = an_axis(b, x.rank)
        b.op(op_type, x, _indices(b, x.shape[axis], x.shape), axis=axis)
        return
    depth = b.choices.integer(1, x.rank)
    batch = b.opset >= 12 and depth < x.rank and b.choices.chance(0.2)
    count = [x.shape[0], 2] if batch else [2]
    columns = [_indices(b, size, count).array for size in x.shape[int(batch) : depth + int(batch)]]
    b.op(op_type, x, b.constant(np.stack(columns, axis=-1)), batch_dims=1 if batch else None)


@recipe("ScatterElements", "ScatterND", weight=6)
def scatter(b: Builder, op_type: str) -> None:
    """Of each element once, or with a reduction."""
    x = b.pick("fi", where=lambda v: v.rank > 0)
    axis = an_axis(b, x.rank) if op_type == "ScatterElements" else 0
    count = b.choices.integer(0, x.shape[axis])
    order = np.array(b.choices.permutation(x.shape[axis])[:count], np.int64)
    shape = list(x.shape)
    shape[axis] = count
    reduced = has_attribute(b, op_type, "reduction") and b.choices.chance(0.2)
    how = b.choices.choose(("add", "mul")) if reduced else None
    if op_type == "ScatterND":
        b.op(op_type, x, b.constant(order[:, None]), b.floats(shape, x.dtype), reduction=how)
        return
    along = [1] * x.rank
    along[axis] = count
    indices = b.constant(np.broadcast_to(order.reshape(along), shape).copy())
    b.op(op_type, x, indices, b.floats(shape, x.dtype), axis=axis, reduction=how)


@recipe("Compress", weight=4)
def compress(b: Builder, op_type: str) -> None:
    """Along an axis, or of all elements in a row; the condition may be shorter."""
    x = b.pick(_kinds(b), where=lambda v: v.rank > 0)
    axis = None if b.choices.chance(0.3) else an_axis(b, x.rank)
    length = x.array.size if axis is None else x.shape[axis]
    kept = b.choices.numbers().random(b.choices.choose((length, max(length - 1, 0)))) < 0.5
    b.op(op_type, x, b.constant(kept), axis=axis)


@recipe("OneHot", weight=5)
def one_hot(b: Builder, op_type: str) -> None:
    """Of indices there are, or new ones; off and on of any type."""
    depth = b.choices.choose((3, 5, 1))
    indices = b.pick("i") if b.choices.chance(0.3) else _indices(b, depth, b.choices.choose(COUNTS))
    dtype = b.choices.choose((ir.DataType.FLOAT, ir.DataType.INT64, ir.DataType.INT32))
    values = b.constant(np.array(b.choices.choose(([0, 1], [1, 0], [2, 5])), dtype.numpy()))
    length = b.ints([depth] if b.choices.chance(0.5) else depth)
    b.op(op_type, indices, length, values, axis=b.choices.choose((-1, 0)))


@recipe("TopK", weight=5)
def top_k(b: Builder, op_type: str) -> None:
    """The largest or the smallest along an axis, with their places."""
    x = b.pick(where=lambda v: v.rank > 0)
    axis = an_axis(b, x.rank)
    count = b.choices.integer(1, max(x.shape[axis], 1))
    largest = 0 if has_attribute(b, op_type, "largest") and b.choices.chance(0.3) else None
    if not b.specials:  # equal elements may come in either order, and rounding decides which are equal
        raise Unfit("places jump")
    if has_attribute(b, op_type, "k"):
        b.op(op_type, x, k=count, outputs=2, axis=axis)
    else:
        b.op(op_type, x, b.ints([count]), outputs=2, axis=axis, largest=largest)


@recipe("NonZero", "Unique", weight=4)
def of_data(b: Builder, op_type: str) -> None:
    """Outputs whose sizes depend on the numbers."""
    x = b.pick("ib" if op_type == "NonZero" else "i")
    if op_type == "NonZero":
        b.op(op_type, x)
        return
    axis = an_axis(b, x.rank) if x.rank and b.choices.chance(0.3) else None
    b.op(op_type, x, outputs=b.choices.choose((1, 2, 4)), axis=axis, sorted=b.choices.choose((1, 0)))


@recipe("Range", "ConstantOfShape", "EyeLike", weight=8)
def made(b: Builder, op_type: str) -> None:
    """Tensors made of a few numbers."""
    if op_type == "Range":
        dtype = b.choices.choose((ir.DataType.INT64, ir.DataType.FLOAT, ir.DataType.INT32))
        start, limit, delta = b.choices.choose(((0, 4, 1), (1, 8, 3), (3, -3, -2), (0, 0, 1)))
        b.op(op_type, *(b.ints(each, dtype) for each in (start, limit, delta)))
    elif op_type == "ConstantOfShape":
        dtype = b.dtype("fib")
        value = ir.to_proto(ir.tensor(np.array([b.choices.choose((0, 1, 2))], dtype.numpy())))
        shape = b.op("Shape", b.pick(ANY)) if b.choices.chance(0.4) else b.ints(b.shape())
        b.op(op_type, shape, value=None if b.choices.chance(0.3) else value)
    else:
        told = int(b.dtype("fi")) if b.choices.chance(0.5) else None
        b.op(op_type, b.pick("fi", 2), k=b.choices.choose((0, 1, -1)), dtype=told)


def _indices(b: Builder, size: int, shape: tuple[int, ...] | list[int]) -> Known:
    """Indices of an axis of that size, of int32 or int64, as a constant or now and then a graph input."""
    if not size and 0 not in shape:
        raise Unfit("no elements to point at")
    low = -size if b.opset >= 11 and b.choices.chance(0.3) else 0
    made = b.choices.numbers().integers(low, max(size, 1), tuple(shape))
    dtype = b.choices.weighted((np.int64, np.int32), (5, 1))
    if b.outer is None and b.choices.chance(0.15):
        return b.input(np.asarray(made, dtype))
    return b.constant(np.asarray(made, dtype))


def _kinds(b: Builder) -> str:
    return ANY if b.choices.chance(0.2) else "f"
