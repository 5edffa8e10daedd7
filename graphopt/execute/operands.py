"""Values for inputs that are parameters of an operator rather than data: shapes, axes, counts, scales.

One table: operator and input position to a value that the operator accepts. It looks at declared shapes and
never runs anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

Array = np.ndarray[Any, Any]
ShapeOf = Callable[[ir.Value | None], tuple[int, ...] | None]
"""Shape of a value under the sizes chosen for the dynamic dimensions, or None."""

Maker = Callable[[ir.Node, int, ShapeOf], Any]
"""(node, number of elements wanted, shapes) -> value, or None when there is no idea."""


def operand_value(node: ir.Node, position: int, count: int, shape_of: ShapeOf) -> Array | None:
    """A value for one parameter input of a node.

    Args:
        node: The operator.
        position: Which of its inputs.
        count: Elements the input has (1 for a scalar).
        shape_of: Shapes under the chosen sizes.

    Returns:
        An array of `count` elements, or None.
    """
    maker = _TABLE.get((node.op_type, position))
    if maker is None and node.op_type.startswith("Reduce") and position == 1:
        maker = _axes
    if maker is None:
        return None
    value = maker(node, count, shape_of)
    if value is None:
        return None
    array = np.asarray(value).ravel()
    if array.size == 1 and count != 1:
        array = np.repeat(array, count)
    return array[:count] if array.size >= count else None


def _input(node: ir.Node, index: int, shape_of: ShapeOf) -> tuple[int, ...] | None:
    return shape_of(node.inputs[index]) if index < len(node.inputs) else None


def _output(node: ir.Node, shape_of: ShapeOf) -> tuple[int, ...] | None:
    return shape_of(node.outputs[0]) if node.outputs else None


def _output_shape(node: ir.Node, count: int, shape_of: ShapeOf) -> Any:
    shape = _output(node, shape_of)
    if shape is not None and len(shape) == count:
        return shape
    return [-1, *[1] * (count - 1)] if node.op_type == "Reshape" else [2] * count


def _expand(node: ir.Node, count: int, shape_of: ShapeOf) -> Any:
    shape = _output(node, shape_of)
    return shape if shape is not None and len(shape) == count else [1] * count


def _axes(node: ir.Node, count: int, shape_of: ShapeOf) -> Any:
    shape = _input(node, 0, shape_of)
    if node.op_type == "Squeeze" and shape is not None:
        return [axis for axis, size in enumerate(shape) if size == 1] or None
    if node.op_type == "Unsqueeze":
        before, after = shape, _output(node, shape_of)
        if before is not None and after is not None:
            return _inserted(before, after)
    if node.op_type.startswith("Reduce"):
        after = _output(node, shape_of)
        if shape is not None and after is not None and len(shape) == len(after):
            changed = [axis for axis, (a, b) in enumerate(zip(shape, after, strict=True)) if a != b]
            return changed if len(changed) == count else list(range(count))
    return list(range(count))


def _inserted(before: tuple[int, ...], after: tuple[int, ...]) -> list[int]:
    rest = list(before)
    axes = []
    for axis, size in enumerate(after):
        if rest and rest[0] == size:
            rest.pop(0)
        else:
            axes.append(axis)
    return axes


def _slice_ends(node: ir.Node, count: int, shape_of: ShapeOf) -> Any:
    shape = _output(node, shape_of)
    return shape[:count] if shape is not None and len(shape) >= count else [2] * count


def _pads(node: ir.Node, count: int, shape_of: ShapeOf) -> Any:
    before, after = _input(node, 0, shape_of), _output(node, shape_of)
    if before is None or after is None or len(before) != len(after) or 2 * len(before) != count:
        return [0] * count
    grown = [b - a for a, b in zip(before, after, strict=True)]
    return [*[g // 2 for g in grown], *[g - g // 2 for g in grown]]


def _repeats(node: ir.Node, count: int, shape_of: ShapeOf) -> Any:
    before, after = _input(node, 0, shape_of), _output(node, shape_of)
    if before is None or after is None or len(before) != len(after) or 0 in before:
        return [2] * count
    return [b // a for a, b in zip(before, after, strict=True)]


def _scales(node: ir.Node, count: int, shape_of: ShapeOf) -> Any:
    before, after = _input(node, 0, shape_of), _output(node, shape_of)
    if before is None or after is None or len(before) != len(after) or len(before) != count:
        return [*[1.0] * max(0, count - 2), *[2.0] * min(2, count)]
    return [b / a if a else 1.0 for a, b in zip(before, after, strict=True)]


def _sizes(node: ir.Node, count: int, shape_of: ShapeOf) -> Any:
    shape = _output(node, shape_of) or _input(node, 0, shape_of)
    return shape[-count:] if shape is not None and len(shape) >= count else None


def _top_k(node: ir.Node, count: int, shape_of: ShapeOf) -> Any:
    shape = _output(node, shape_of)
    axis = node.attributes.get_int("axis", -1)
    return shape[axis] if shape and axis is not None and -len(shape) <= axis < len(shape) else 1


def _split(node: ir.Node, count: int, shape_of: ShapeOf) -> Any:
    if node.op_type == "SplitToSequence":
        shape, axis = _input(node, 0, shape_of), node.attributes.get_int("axis", 0) or 0
        return [*[1] * (count - 1), shape[axis] - count + 1] if shape and count > 1 else 1
    parts = [shape_of(value) for value in node.outputs]
    axis = node.attributes.get_int("axis", 0) or 0
    known = [part[axis] for part in parts if part]
    if len(known) == count:
        return known
    shape = _input(node, 0, shape_of)
    return [shape[axis] // count] * count if shape and count else None


def _sequence_lengths(node: ir.Node, count: int, shape_of: ShapeOf) -> Any:
    shape = _input(node, 0, shape_of)
    if not shape:
        return 1
    axis = node.attributes.get_int("time_axis", 0) if node.op_type == "ReverseSequence" else 0
    return [shape[axis or 0]] * count


def _depth(node: ir.Node, count: int, shape_of: ShapeOf) -> Any:
    shape = _output(node, shape_of)
    axis = node.attributes.get_int("axis", -1)
    return shape[axis] if shape and axis is not None else 5


def _last_size(node: ir.Node, count: int, shape_of: ShapeOf) -> Any:
    shape = _input(node, 0, shape_of)
    return shape[-2] if shape and len(shape) > 1 else None


def _value(number: Any) -> Maker:
    return lambda node, count, shape_of: number


_TABLE: Mapping[tuple[str, int], Maker] = {
    ("Reshape", 1): _output_shape,
    ("ConstantOfShape", 0): _output_shape,
    ("CenterCropPad", 1): _sizes,
    ("AffineGrid", 1): _sizes,
    ("Expand", 1): _expand,
    ("Col2Im", 1): _sizes,
    ("Squeeze", 1): _axes,
    ("Unsqueeze", 1): _axes,
    ("CumSum", 1): _value(0),
    ("CumProd", 1): _value(0),
    ("Slice", 1): _value(0),
    ("Slice", 2): _slice_ends,
    ("Slice", 3): _axes,
    ("Slice", 4): _value(1),
    ("Pad", 1): _pads,
    ("Pad", 3): _axes,
    ("Tile", 1): _repeats,
    ("Resize", 2): _scales,
    ("Upsample", 1): _scales,
    ("Resize", 3): _sizes,
    ("TopK", 1): _top_k,
    ("OneHot", 1): _depth,
    ("Split", 1): _split,
    ("SplitToSequence", 1): _split,
    ("Loop", 0): _value(3),
    ("Loop", 1): _value(True),
    ("Range", 0): _value(0),
    ("Range", 1): _value(5),
    ("Range", 2): _value(1),
    ("Trilu", 1): _value(1),
    ("HannWindow", 0): _value(10),
    ("HammingWindow", 0): _value(10),
    ("BlackmanWindow", 0): _value(10),
    ("Dropout", 1): _value(0.5),
    ("Dropout", 2): _value(False),
    ("LSTM", 4): _sequence_lengths,
    ("GRU", 4): _sequence_lengths,
    ("RNN", 4): _sequence_lengths,
    ("ReverseSequence", 1): _sequence_lengths,
    ("NonMaxSuppression", 2): _value(3),
    ("NonMaxSuppression", 3): _value(0.5),
    ("NonMaxSuppression", 4): _value(0.0),
    ("DFT", 1): _last_size,
    ("DFT", 2): _value(-2),
    ("STFT", 1): _value(8),
    ("STFT", 3): _value(16),
    ("MelWeightMatrix", 0): _value(8),
    ("MelWeightMatrix", 1): _value(64),
    ("MelWeightMatrix", 2): _value(8192),
    ("MelWeightMatrix", 3): _value(0),
    ("MelWeightMatrix", 4): _value(4096),
    ("Bernoulli", 0): _value(0.5),
    ("BitShift", 1): _value(1),
    ("QuantizeLinear", 1): _value(0.05),
    ("DequantizeLinear", 1): _value(0.05),
    ("QuantizeLinear", 2): _value(0),
    ("Clip", 1): _value(-1),
    ("Clip", 2): _value(1),
}

SLOTS: Mapping[str, frozenset[int]] = {
    kind: frozenset(position for name, position in _TABLE if name == kind) for kind, _ in _TABLE
}
"""Input positions this table has values for, by operator."""
