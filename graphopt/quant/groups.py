"""Elements that share a scale: views of an array in which scales broadcast, or with a group to a row.

It computes no scale.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from graphopt.quant.scheme import Scheme

Array = npt.NDArray[Any]


def split(array: Array, scheme: Scheme) -> Array:
    """`array` with its axis of blocks cut in two, [blocks, block], padded with zeros; else as it is."""
    if scheme.block is None:
        return array
    axis = scheme.normalized_axis(array.ndim)
    assert axis is not None
    blocks = -(-array.shape[axis] // scheme.block)
    missing = blocks * scheme.block - array.shape[axis]
    if missing:
        array = np.pad(array, [(0, missing if place == axis else 0) for place in range(array.ndim)])
    return array.reshape(*array.shape[:axis], blocks, scheme.block, *array.shape[axis + 1 :])


def join(parts: Array, scheme: Scheme, shape: tuple[int, ...]) -> Array:
    """Undo `split`: the array of `shape`, without the padding."""
    if scheme.block is None:
        return parts
    axis = scheme.normalized_axis(len(shape))
    assert axis is not None
    whole = parts.reshape(*shape[:axis], -1, *shape[axis + 1 :]) if parts.size else parts.reshape(shape)
    return whole[(*[slice(None)] * axis, slice(shape[axis]))]


def spread(parameter: Array, scheme: Scheme, rank: int) -> Array:
    """A scale or zero point so shaped that it broadcasts in `split` of an array of `rank` dimensions."""
    axis = scheme.normalized_axis(rank)
    if axis is None:
        return parameter
    if scheme.block is None:
        return parameter.reshape([-1 if place == axis else 1 for place in range(rank)])
    return np.expand_dims(parameter, axis + 1)


def shared_axes(scheme: Scheme, rank: int) -> tuple[int, ...]:
    """Axes of `split` over which elements share a scale."""
    axis = scheme.normalized_axis(rank)
    if axis is None:
        return tuple(range(rank))
    if scheme.block is None:
        return tuple(place for place in range(rank) if place != axis)
    return (axis + 1,)


def rows(array: Array, scheme: Scheme) -> Array:
    """[groups, elements of a group], contiguous; groups in the order of a flattened scale."""
    shared = shared_axes(scheme, array.ndim)
    parts = split(array, scheme)
    kept = [place for place in range(parts.ndim) if place not in shared]
    count = int(np.prod([parts.shape[place] for place in kept], dtype=np.int64))
    size = int(np.prod([parts.shape[place] for place in shared], dtype=np.int64))
    return np.ascontiguousarray(parts.transpose(*kept, *shared).reshape(count, size))
