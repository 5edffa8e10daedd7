"""Which elements a Slice takes along one axis. The one place that knows how the standard clamps bounds."""

from __future__ import annotations


def slice_range(start: int, end: int, step: int, size: int) -> range:
    """The indices that a Slice takes of `size` elements.

    Like Python's slices, except that a backward one which starts before the first element starts with it
    (ONNX standard, operator Slice: starts are clamped to [0, size - 1] for negative steps).
    """
    first, last, stride = slice(start, end, step).indices(size)
    if step < 0 and first < 0 < size:
        first = 0
    return range(first, last, stride)
