"""Permutations of axes, and how they pass nodes that join, split, drop or add axes. Changes nothing.

A permutation p says how a value is kept: axis k as kept is axis p[k] of the value itself, as in Transpose.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import onnx_ir as ir

from graphopt.ir import Reject, same_dim
from graphopt.passes.operands import an

Dim = int | ir.SymbolicDim
Perm = tuple[int, ...]
Segment = tuple[tuple[int, ...], tuple[int, ...]]
"""Axes of the input and axes of the output that hold the same elements in the same order."""


@functools.cache
def identity(rank: int) -> Perm:
    """The permutation that moves nothing."""
    return tuple(range(rank))


@functools.cache
def is_identity(perm: Perm) -> bool:
    """Whether it moves nothing."""
    return all(axis == index for index, axis in enumerate(perm))


@functools.cache
def compose(first: Perm, second: Perm) -> Perm:
    """Transpose by `first`, then by `second`, as one."""
    return tuple(first[axis] for axis in second)


@functools.cache
def inverse(perm: Perm) -> Perm:
    """The permutation that undoes it."""
    return tuple(sorted(range(len(perm)), key=perm.__getitem__))


def between(kept: Perm, wanted: Perm) -> Perm:
    """The Transpose that makes of a value kept in one order the same value in another."""
    return compose(inverse(kept), wanted)


def moves_only_ones(perm: Perm, dims: Sequence[Dim]) -> bool:
    """Whether all axes that it moves, of a value of these dimensions, are of size 1."""
    wide = [axis for axis in perm if dims[axis] != 1]
    return wide == sorted(wide)


def swaps_last_two(perm: Perm) -> bool:
    """Whether it exchanges the last two axes and moves no other."""
    return len(perm) >= 2 and perm == (*range(len(perm) - 2), len(perm) - 1, len(perm) - 2)


def across(segments: Sequence[Segment], perm: Perm, what: str) -> Perm:
    """The order of the outputs of a node whose input is kept in the order `perm`.

    Axes that only the output has keep behind the axis that they follow.

    Raises:
        Reject: Axes that the node joins do not stay together; `what` names it.
    """
    owner = {axis: index for index, (ins, _) in enumerate(segments) for axis in ins}
    if len(owner) != len(perm):
        raise Reject(f"{an(what)} of operands of several ranks")
    order: list[int] = []
    position = 0
    while position < len(perm):
        index = owner[perm[position]]
        ins = segments[index][0]
        if perm[position : position + len(ins)] != ins:
            raise Reject(f"the axes that {an(what)} joins or splits would come apart")
        order.append(index)
        position += len(ins)
    added = [index for index, (ins, _) in enumerate(segments) if not ins]
    for index in added:
        order.insert(0 if index == 0 else order.index(index - 1) + 1, index)
    return tuple(axis for index in order for axis in segments[index][1])


def reverse(segments: Sequence[Segment]) -> list[Segment]:
    """The same seen from the output."""
    return [(outs, ins) for ins, outs in segments]


def reshape_segments(before: Sequence[Dim], after: Sequence[Dim]) -> list[Segment]:
    """Which axes a Reshape from one shape to another joins or splits, each group as small as is certain."""
    found: list[Segment] = []
    i = j = 0
    while i < len(before) or j < len(after):
        left = before[i] if i < len(before) else None
        right = after[j] if j < len(after) else None
        if left is not None and right is not None and same_dim(left, right):
            found.append(((i,), (j,)))
            i, j = i + 1, j + 1
        elif left == 1:
            found.append(((i,), ()))
            i += 1
        elif right == 1:
            found.append(((), (j,)))
            j += 1
        else:
            ends = _joined(before, i, right), _joined(after, j, left)
            end_i, end_j = (ends[0], j + 1) if ends[0] else (i + 1, ends[1]) if ends[1] else (0, 0)
            if not end_i:
                end_i, end_j = _numbers(before, i, after, j)
            found.append((tuple(range(i, end_i)), tuple(range(j, end_j))))
            i, j = end_i, end_j
    return found


def _joined(dims: Sequence[Dim], start: int, whole: Dim | None) -> int:
    """The end of the axes from `start` on whose product is `whole`; 0 if there is none."""
    if whole is None:
        return 0
    product: Dim = 1
    for end in range(start, len(dims)):
        product = dims[end] * product
        if same_dim(product, whole):
            return end + 1
        if isinstance(product, int) and isinstance(whole, int) and product > whole:
            return 0
    return 0


def _numbers(before: Sequence[Dim], i: int, after: Sequence[Dim], j: int) -> tuple[int, int]:
    """The ends of the smallest groups of equal products; of all the rest where a size is not known."""
    left = right = 1
    end_i, end_j = i, j
    while end_i == i or left != right:
        if end_i < len(before) and (end_i == i or left < right):
            dim = before[end_i]
            end_i += 1
            side = 0
        elif end_j < len(after):
            dim = after[end_j]
            end_j += 1
            side = 1
        else:
            return len(before), len(after)
        if not isinstance(dim, int) or dim == 0:
            return len(before), len(after)
        left, right = (left * dim, right) if side == 0 else (left, right * dim)
    return end_i, end_j


def moved_ones(before: Sequence[Dim], after: Sequence[Dim]) -> Perm | None:
    """The permutation that a Reshape between two shapes of one rank is if it only moves axes of size 1."""
    if len(before) != len(after):
        return None
    wide = [axis for axis, dim in enumerate(before) if dim != 1]
    if len(wide) != sum(dim != 1 for dim in after):
        return None
    ones = iter([axis for axis, dim in enumerate(before) if dim == 1])
    others = iter(wide)
    perm = tuple(next(ones) if dim == 1 else next(others) for dim in after)
    if not all(same_dim(before[axis], dim) for axis, dim in zip(perm, after, strict=True)):
        return None
    return perm
