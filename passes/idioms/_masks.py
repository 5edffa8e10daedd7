"""Masks of attention in the form that the standard's Attention takes: one tensor over rows and columns.

onnxruntime's Attention takes the lowest float for "never" and gives a row of nothing else zeros, where a
softmax gives it equal weights; so a lowest float is written as a little more. Decides nothing about scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, Tape, same_dim, scalar
from graphopt.passes.idioms._scores import HEADED, Bias, Choice, Mask
from graphopt.passes.idioms._tape import Array, array_of, rows_of
from graphopt.passes.operands import MASKED

FLOORS = {ir.DataType.FLOAT: -1e38, ir.DataType.DOUBLE: -1e38, ir.DataType.FLOAT16: -6e4}
"""What stands for the lowest float: no score changes it, and it is not the lowest."""
MOST_NODES = 64
"""Nodes of a mask that are written anew."""
_BROADCASTING = frozenset({"Add", "Cast", "Identity", "Max", "Min", "Mul", "Where"})
"""Operators whose operands may come unexpanded, as their result is expanded again."""
_OF_SEVERAL = frozenset({"Add", "Mul", "Min", "Max", "Concat", "Where"})
_OF_ONE = frozenset(
    {"Cast", "Expand", "Identity", "Unsqueeze", "Squeeze", "Reshape", "Slice", "Transpose", "Trilu", "Tile"}
)
"""Operators through which a constant of a mask comes as it is, or next to it."""


class Masks:
    """Builds the mask of one attention.

    Args:
        tape: Where nodes go.
        queries: [..., rows, depth].
        keys: [..., columns, depth].
        guarded: A row of nothing but minus infinity is zero, as the operator has it.
    """

    def __init__(self, tape: Tape, queries: ir.Value, keys: ir.Value, *, guarded: bool) -> None:
        dtype = queries.dtype
        assert dtype is not None
        self._tape = tape
        self._guarded = guarded
        self._ends = (queries, keys)
        self._dtype = dtype
        self._floor = FLOORS[dtype]
        self._written: dict[tuple[ir.Value, bool], ir.Value] = {}

    def laid(self, masks: Sequence[Mask]) -> ir.Value | None:
        """One mask that does what `masks` do one after the other; None where they hide nothing.

        Raises:
            Reject: It has too many dimensions, or its shape is not known.
        """
        result = self._condition(masks)
        if result is None:
            for mask in masks:
                result = self._added(result, mask) if isinstance(mask, Bias) else self._chosen(result, mask)
        return None if result is None or _hides_nothing(result) else self._spread(result)

    def _condition(self, masks: Sequence[Mask]) -> ir.Value | None:
        """The condition of a mask that is nothing but zero where it holds and minus infinity elsewhere."""
        if len(masks) != 1:
            return None
        (mask,) = masks
        if isinstance(mask, Choice):
            if not np.isneginf(mask.fill):
                return None
            condition = _unexpanded(mask.condition)
            return condition if mask.kept else self._tape.op("Not", [condition])
        node = _unexpanded(mask.value).producer()
        if node is None or node.op_type != "Where" or node.domain != "" or not mask.factor > 0:
            return None
        yes, no = scalar(node.inputs[1]), scalar(node.inputs[2])
        if node.inputs[0] is None or yes != 0 or no is None or not np.isneginf(no):
            return None
        return _unexpanded(node.inputs[0])

    def _added(self, so_far: ir.Value | None, mask: Bias) -> ir.Value:
        value = self._write(mask.value, MOST_NODES)
        if mask.factor != 1.0:
            value = self._times(value, mask.factor)
        array = array_of(value)
        if value.dtype != self._dtype and array is not None:
            value = self._tape.const(array.astype(self._dtype.numpy()), "mask")
        elif value.dtype != self._dtype:
            value = self._tape.op("Cast", [value], {"to": int(self._dtype)})
        return value if so_far is None else self._tape.op("Add", [so_far, value])

    def _chosen(self, so_far: ir.Value | None, mask: Choice) -> ir.Value:
        fill = self._number(mask.fill if np.isneginf(mask.fill) else self._floor)
        base = self._number(0.0) if so_far is None else so_far
        return self._where(_unexpanded(mask.condition), *((base, fill) if mask.kept else (fill, base)))

    def _where(self, condition: ir.Value, yes: ir.Value, no: ir.Value) -> ir.Value:
        arrays = [array_of(each) for each in (condition, yes, no)]
        known = [each for each in arrays if each is not None]
        if len(known) == len(arrays) and sum(each.size > 1 for each in known) <= 1:
            return self._tape.const(np.where(*known), "mask")
        return self._tape.op("Where", [condition, yes, no])

    def _times(self, value: ir.Value, factor: float) -> ir.Value:
        array = array_of(value)
        if array is not None:
            return self._tape.const((array * array.dtype.type(factor)).astype(array.dtype), "mask")
        assert value.dtype is not None
        return self._tape.op("Mul", [value, self._tape.const(np.array(factor, value.dtype.numpy()), "scale")])

    def _write(self, value: ir.Value, steps: int, *, keep_shape: bool = False) -> ir.Value:
        """The mask with its lowest floats raised; the value itself where that is so.

        Unless its shape is to be kept, because an operator like Trilu reads it, it is not expanded.
        """
        key = (value, keep_shape)
        if key not in self._written:
            self._written[key] = self._write_anew(value, steps, keep_shape=keep_shape)
        return self._written[key]

    def _write_anew(self, value: ir.Value, steps: int, *, keep_shape: bool) -> ir.Value:
        if not keep_shape:
            value = _unexpanded(value)
        array = array_of(value)
        if value.dtype is None or not value.dtype.is_floating_point():
            return value
        if array is not None:
            return self._raise_array(value, array)
        node = value.producer()
        if node is None:  # an input of the graph may hold anything
            return self._raise_all(value, value.dtype.numpy())
        if node.domain != "" or steps <= 0 or len(node.outputs) != 1:
            return value
        if node.op_type == "ConstantOfShape":
            return self._raise_filled(node)
        if node.op_type not in _OF_SEVERAL and node.op_type not in _OF_ONE:
            return value
        data = node.inputs if node.op_type in _OF_SEVERAL else node.inputs[:1]
        kept = keep_shape or node.op_type not in _BROADCASTING
        written = [each if each is None else self._write(each, steps // 2, keep_shape=kept) for each in data]
        if all(new is old for new, old in zip(written, data, strict=True)):
            return value
        if (
            node.op_type == "Where"
            and not kept
            and len(present := [each for each in written if each is not None]) == 3
        ):
            return self._where(*present)
        return self._tape.op(node.op_type, [*written, *node.inputs[len(data) :]], node.attributes)

    def _raise_all(self, value: ir.Value, dtype: np.dtype[Any]) -> ir.Value:
        floor = self._tape.const(np.array(self._floor, dtype), "floor")
        if not self._guarded:
            return self._tape.op("Max", [value, floor])
        lowest = self._tape.const(np.array(np.finfo(dtype).min, dtype), "lowest")
        return self._tape.op("Where", [self._tape.op("Equal", [value, lowest]), floor, value])

    def _raise_array(self, value: ir.Value, array: Array) -> ir.Value:
        raised = self._raised(array)
        return value if raised is None else self._tape.const(raised, value.name or "mask")

    def _raised(self, array: Array) -> Array | None:
        """Large numbers made smaller, of either sign, for what multiplies with minus one; None for none."""
        large = (np.abs(array.astype(np.float64)) > -self._floor) & np.isfinite(array)
        if not large.any():
            return None
        return np.where(large, np.sign(array) * array.dtype.type(-self._floor), array).astype(array.dtype)

    def _raise_filled(self, node: ir.Node) -> ir.Value:
        attribute = node.attributes.get("value")
        if attribute is None or attribute.is_ref():
            return node.outputs[0]
        raised = self._raised(attribute.as_tensor().numpy())
        if raised is None:
            return node.outputs[0]
        return self._tape.op("ConstantOfShape", node.inputs, {"value": ir.Tensor(raised)})

    def _spread(self, mask: ir.Value) -> ir.Value:
        """The mask over all rows and columns: onnxruntime's Attention broadcasts batch and heads alone."""
        if mask.shape is None or len(mask.shape) > HEADED:
            raise Reject("attention: the shape of the mask is not known, or of too many dimensions")
        sizes = [None if end.shape is None else end.shape.dims[-2] for end in self._ends]
        own = [*([1] * (2 - len(mask.shape))), *mask.shape.dims[-2:]]
        if all(same_dim(one, size) for one, size in zip(own, sizes, strict=True)):
            return mask
        lead = [1] * max(0, len(mask.shape) - 2)
        if isinstance(sizes[0], int) and isinstance(sizes[1], int):
            return self._tape.op("Expand", [mask, self._tape.ints([*lead, sizes[0], sizes[1]], "shape")])
        pieces = [self._tape.ints(lead, "lead")] if lead else []
        pieces += [rows_of(self._tape, end) for end in self._ends]
        return self._tape.op("Expand", [mask, self._tape.op("Concat", pieces, {"axis": 0})])

    def _number(self, number: float) -> ir.Value:
        return self._tape.const(np.array(number, self._dtype.numpy()), "mask")


def is_causal(mask: ir.Value) -> bool:
    """Whether a constant mask lets each row see the columns up to its own, as many as there are rows."""
    array = array_of(mask)
    if array is None or array.ndim < 2 or array.size != array.shape[-1] * array.shape[-2]:
        return False
    if array.shape[-1] != array.shape[-2]:
        return False
    seen = np.tri(array.shape[-1], dtype=np.bool_)
    square = array.reshape(seen.shape)
    if square.dtype == np.bool_:
        return bool(np.array_equal(square, seen))
    return bool(np.all(square[seen] == 0) and np.all(square[~seen] <= MASKED))


def _hides_nothing(mask: ir.Value) -> bool:
    """Whether a constant mask leaves every score as it is."""
    array = array_of(mask)
    if array is None:
        return False
    return bool(array.all() if array.dtype == np.bool_ else not array.any())


def _unexpanded(value: ir.Value) -> ir.Value:
    """A mask before it was expanded; it is expanded again where that is needed."""
    node = value.producer()
    while node is not None and node.op_type == "Expand" and node.domain == "" and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value
