"""What an array that broadcasts against a value comes to when the value is reshaped, or a part of it taken.

Pure shape arithmetic on nodes; nothing here changes a graph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, attribute_int, constant, rank, same_dim
from graphopt.ir.dims import Dim
from graphopt.passes.chains._ranges import END, ranges
from graphopt.passes.fusion._arrays import Array, aligned
from graphopt.passes.operands import static_dim

PARTS = ("Gather", "Slice", "Split")
"""Operators that may take one range of one axis."""


def viewed(array: Array, before: ir.Shape | None, after: ir.Shape | None) -> Array:
    """An array of one value, or of values per channel, on the other side of a Reshape.

    Axes are matched from both ends: equal dimensions, and runs of numbers of equal product. The array may
    vary along matched axes alone.

    Raises:
        Reject: It varies along others, or a shape is not known.
    """
    if array.size == 1:
        return array.reshape(())
    if before is None or after is None:
        raise Reject("the shape of a reshaped value is not known")
    wide = array.reshape(aligned(array.shape, len(before)))
    shape: list[int] = []
    spread = list(wide.shape)
    for old, new in _groups(before.dims, after.dims):
        if all(wide.shape[axis] == 1 for axis in old):
            shape += [1] * len(new)
            continue
        sizes = [before.dims[axis] for axis in old]
        if not new or not all(isinstance(size, int) for size in sizes):
            raise Reject("more than one value per channel does not pass a Reshape")
        for axis, size in zip(old, sizes, strict=True):
            spread[axis] = int(size)  # type: ignore[arg-type]
        shape += [int(after.dims[axis]) for axis in new]  # type: ignore[arg-type]
    return np.broadcast_to(wide, spread).reshape(shape)


Group = tuple[list[int], list[int]]


def _groups(before: Sequence[Dim], after: Sequence[Dim]) -> list[Group]:
    """Axes of both shapes that hold the same elements, in order; what cannot be told apart is one group.

    The group in the middle that is not matched has no axes on its new side, if any on its old one.
    """
    front = _prefix(before, after)
    start_old, start_new = sum(len(old) for old, _ in front), sum(len(new) for _, new in front)
    back = _prefix(before[start_old:][::-1], after[start_new:][::-1])
    last_old, last_new = len(before) - 1, len(after) - 1
    behind = [
        ([last_old - axis for axis in reversed(old)], [last_new - axis for axis in reversed(new)])
        for old, new in reversed(back)
    ]
    left_old = range(start_old, len(before) - sum(len(old) for old, _ in back))
    left_new = range(start_new, len(after) - sum(len(new) for _, new in back))
    middle: list[Group] = [([axis], []) for axis in left_old]
    return [*front, *middle, *[([], [axis]) for axis in left_new], *behind]


def _prefix(before: Sequence[Dim], after: Sequence[Dim]) -> list[Group]:
    """Groups from the front on, as far as they are certain."""
    groups: list[Group] = []
    i = j = 0
    while i < len(before) and j < len(after):
        if same_dim(before[i], after[j]):
            groups.append(([i], [j]))
            i, j = i + 1, j + 1
            continue
        found = _run(before[i:], after[j:])
        if found is None:
            break
        olds, news = found
        groups.append((list(range(i, i + olds)), list(range(j, j + news))))
        i, j = i + olds, j + news
    return groups


def _run(before: Sequence[Dim], after: Sequence[Dim]) -> tuple[int, int] | None:
    """Lengths of the shortest runs of numbers with equal product."""
    olds = news = 1
    while olds <= len(before) and news <= len(after):
        left, right = before[:olds], after[:news]
        if not all(isinstance(dim, int) for dim in (*left, *right)):
            return None
        products = [math.prod(dim for dim in dims if isinstance(dim, int)) for dims in (left, right)]
        if products[0] == products[1]:
            return olds, news
        if products[0] < products[1]:
            olds += 1
        else:
            news += 1
    return None


@dataclass(frozen=True)
class Part:
    """One range along one axis of a value.

    Attributes:
        axis: Counted from the front.
        start: First place.
        stop: Behind the last place.
        size: Size of the axis.
        dims: Rank of the value.
        drops: The axis is gone from the part.
    """

    axis: int
    start: int
    stop: int
    size: int
    dims: int
    drops: bool

    def is_apart(self, other: Part) -> bool:
        """Whether two parts of one value have no element in common."""
        return self.axis == other.axis and (self.stop <= other.start or other.stop <= self.start)

    def taken(self, array: Array) -> Array:
        """What belongs to the part, of an array that belongs to the value."""
        wide = array.reshape(aligned(array.shape, self.dims))
        if wide.shape[self.axis] != 1:
            wide = wide.take(np.arange(self.start, self.stop), axis=self.axis)
        return wide.squeeze(self.axis) if self.drops else wide

    def widened(self, array: Array, neutral: float) -> Array:
        """What belongs to the value, of an array that belongs to the part: `neutral` everywhere else."""
        own = array.reshape(aligned(array.shape, self.dims - self.drops))
        if self.drops:
            own = np.expand_dims(own, self.axis)
        shape = list(own.shape)
        shape[self.axis] = self.size
        made = np.full(shape, neutral)
        at = [slice(None)] * self.dims
        at[self.axis] = slice(self.start, self.stop)
        made[tuple(at)] = own
        return made


def part(value: ir.Value, reader: ir.Node, output: int = 0) -> Part:
    """The range of `value` that a Gather, a Slice or an output of a Split takes.

    Raises:
        Reject: It is not one range with step 1, or not known.
    """
    dims = rank(value)
    if dims is None or dims == 0 or value.shape is None or reader.domain:
        raise Reject("the rank of a value that is taken apart is not known")
    if reader.op_type == "Gather":
        axis, index = attribute_int(reader, "axis", 0) % dims, constant(reader.inputs[1])
        size = _size(value, axis)
        if index is None or index.size != 1 or index.ndim > 1:
            raise Reject("the indices of a Gather are not one constant")
        place = int(index.reshape(())) % size
        return Part(axis, place, place + 1, size, dims, index.ndim == 0)
    if reader.op_type == "Split":
        axis = attribute_int(reader, "axis", 0) % dims
        sizes = [_size(each, axis) for each in reader.outputs]
        start = sum(sizes[:output])
        return Part(axis, start, start + sizes[output], sum(sizes), dims, False)
    if reader.op_type == "Slice":
        return _sliced(value, reader, dims)
    raise Reject(f"a {reader.op_type} takes no part")


def _sliced(value: ir.Value, reader: ir.Node, dims: int) -> Part:
    """The one axis along which a Slice does not take everything."""
    assert value.shape is not None
    taken = {axis: each.normalized(static_dim(value, axis)) for axis, each in ranges(reader).items()}
    taken = {
        axis: each
        for axis, each in taken.items()
        if (each.start, each.step) != (0, 1) or each.end not in (END, static_dim(value, axis))
    }
    if len(taken) != 1:
        raise Reject("a Slice does not take a range of one axis")
    ((axis, found),) = taken.items()
    size = _size(value, axis)
    if found.step != 1 or found.end <= found.start:
        raise Reject("a Slice takes every other element, or none")
    return Part(axis, found.start, found.end, size, dims, False)


def _size(value: ir.Value, axis: int) -> int:
    dim = None if value.shape is None else value.shape.dims[axis]
    if not isinstance(dim, int) or dim == 0:
        raise Reject("the size of an axis that is taken apart is not known")
    return dim
