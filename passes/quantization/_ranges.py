"""What a calibration run says of a value: its range and its size, kept in the value's `metadata_props`.

Only written and read here; how ranges are found stands in `calibrate`.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from graphopt.ir import static_shape

RANGE_KEY = "graphopt.range"
"""Lowest and highest value to represent, as the `repr` of two floats with a space between."""
SIZE_KEY = "graphopt.size"
"""Elements of the value, averaged over the samples."""


def range_of(value: ir.Value) -> tuple[float, float] | None:
    """The range that was observed, or None."""
    text = value.metadata_props.get(RANGE_KEY)
    if text is None:
        return None
    low, high = map(float, text.split())
    return low, high


def size_of(value: ir.Value) -> float:
    """How many elements the value has: as observed, else as far as its shape says."""
    text = value.metadata_props.get(SIZE_KEY)
    if text is not None:
        return float(text)
    if (shape := static_shape(value)) is not None:
        return float(math.prod(shape))
    dims = () if value.shape is None else value.shape.dims
    return float(math.prod(dim for dim in dims if isinstance(dim, int)))


def note(value: ir.Value, low: float, high: float, size: float) -> bool:
    """Write what was observed; whether it is news."""
    new = {RANGE_KEY: f"{low!r} {high!r}", SIZE_KEY: repr(size)}
    is_news = any(value.metadata_props.get(key) != text for key, text in new.items())
    value.metadata_props.update(new)
    return is_news


def note_size(value: ir.Value, size: float) -> None:
    """Write the size alone down."""
    value.metadata_props[SIZE_KEY] = repr(size)


def forget(value: ir.Value) -> bool:
    """Drop what was observed; whether there was anything."""
    found = [value.metadata_props.pop(key, None) for key in (RANGE_KEY, SIZE_KEY)]
    return any(text is not None for text in found)
