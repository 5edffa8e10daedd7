"""Cosines and sines of rotary position embeddings as the standard's RotaryEmbedding takes them: of one half.

Builds what computes them; decides nothing about what is turned.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, Tape, attribute_int, ints, rank, same_dim, same_shape
from graphopt.passes.chains._views import reshaped
from graphopt.passes.idioms._tape import Array, array_of

MOST_STEPS = 16
"""Nodes between a table of angles and its use that are looked at."""
_UNARY = frozenset(("Cos", "Sin", "Cast", "Identity", "Neg"))
_VIEWS = frozenset(("Unsqueeze", "Squeeze", "Expand", "Transpose"))


@dataclasses.dataclass(frozen=True, slots=True)
class Turn:
    """A rotation of pairs of columns.

    Attributes:
        value: What is turned.
        cosine: Multiplies it; of all columns, or of one half where `halved`.
        sine: Multiplies what it is turned with.
        sign: -1 where the sine turns the other way round.
        halved: Cosines and sines are of one half of the columns.
        flipped: The sine of full columns has the sign of the first half in itself.
        interleaved: Pairs are neighbours, not columns of two halves.
    """

    value: ir.Value
    cosine: ir.Value
    sine: ir.Value
    sign: float = 1.0
    halved: bool = False
    flipped: bool = False
    interleaved: bool = False


def angles(tape: Tape, turn: Turn, cache: ir.Value, sign: float) -> tuple[ir.Value, int]:
    """Cosines or sines as [batch, rows, half], and the axis of heads of the value that is turned.

    Raises:
        Reject: The columns of both halves are not alike, or the shape is not that of positions.
    """
    flipped = turn.flipped and cache is turn.sine
    half = cache if turn.halved else _half(tape, cache, turn, flipped)
    if turn.halved and 2 * (columns_of(cache) or 0) != columns_of(turn.value):
        raise Reject("rotary: cosines and sines are not of half as many columns as the value turned")
    if sign < 0:
        half = _negated(tape, half)
    return _positions(tape, half, turn.value)


def _half(tape: Tape, cache: ir.Value, turn: Turn, flipped: bool) -> ir.Value:
    last = columns_of(turn.value)
    if last is None or last % 2 or columns_of(cache) != last:
        raise Reject("rotary: cosines and sines are not of as many columns as the value turned")
    found = _halved(tape, cache, last // 2, turn.interleaved, flipped, MOST_STEPS)
    if found is None:
        raise Reject("rotary: cosines or sines of both halves are not certainly alike")
    return found


def _halved(
    tape: Tape, value: ir.Value, half: int, interleaved: bool, flipped: bool, steps: int
) -> ir.Value | None:
    """The columns that stand for their pair, of a value in which both of a pair are alike (or opposite)."""
    array = array_of(value)
    if array is not None:
        return _halved_constant(tape, array, interleaved, flipped)
    node = value.producer()
    if node is None or node.domain != "" or not steps:
        return None
    go_on: Callable[[ir.Value], ir.Value | None] = lambda inner: _halved(  # noqa: E731
        tape, inner, half, interleaved, flipped, steps - 1
    )
    source = node.inputs[0] if node.inputs else None
    if source is None:
        return None
    if node.op_type == "Concat" and not flipped and not interleaved:
        one, *others = node.inputs
        paired = len(others) == 1 and others[0] is one and is_last(node, value)
        return one if paired and one is not None and columns_of(one) == half else None
    if node.op_type == "Concat" and flipped and not interleaved and len(node.inputs) == 2:
        behind = node.inputs[1]
        before = source.producer()
        if (
            is_last(node, value)
            and before is not None
            and before.op_type == "Neg"
            and before.inputs[0] is behind
        ):
            return behind
        return None
    if node.op_type in _UNARY or (node.op_type in _VIEWS and _keeps_columns(source, value, node)):
        inner = go_on(source)
        if inner is None or (flipped and node.op_type == "Cos"):
            return None
        inputs = list(node.inputs)
        inputs[0] = inner
        if node.op_type == "Expand":
            return inner  # positions are spread where that is needed
        return tape.op(node.op_type, inputs, node.attributes)
    if node.op_type in ("Mul", "Div", "Add"):
        return _halved_product(tape, node, go_on)
    if node.op_type in ("Gather", "Slice") and _keeps_columns(source, value, node):
        inner = go_on(source)
        return None if inner is None else tape.op(node.op_type, [inner, *node.inputs[1:]], node.attributes)
    if node.op_type == "Reshape" and interleaved and not flipped:
        return _paired(node, half)
    return None


def _halved_product(
    tape: Tape, node: ir.Node, go_on: Callable[[ir.Value], ir.Value | None]
) -> ir.Value | None:
    """Both operands halved, or the one that has columns, where the other is one value a row."""
    operands = []
    for value in node.inputs:
        if value is None:
            return None
        columns = 1 if rank(value) == 0 else columns_of(value)
        if columns is None:
            return None
        found = value if columns == 1 else go_on(value)
        if found is None:
            return None
        operands.append(found)
    return tape.op(node.op_type, operands, node.attributes)


def _halved_constant(tape: Tape, array: Array, interleaved: bool, flipped: bool) -> ir.Value | None:
    half = array.shape[-1] // 2
    first, second = (
        (array[..., ::2], array[..., 1::2]) if interleaved else (array[..., :half], array[..., half:])
    )
    alike = np.array_equal(-first if flipped else first, second)
    return tape.const(np.ascontiguousarray(second), "angles") if alike else None


def _paired(node: ir.Node, half: int) -> ir.Value | None:
    """x of a Reshape that repeats each column of x, spelled Unsqueeze and Expand, Tile or Concat."""
    many = node.inputs[0]
    outer = None if many is None else many.producer()
    if many is None or outer is None or many.shape is None or list(many.shape.dims[-2:]) != [half, 2]:
        return None
    if (outer.op_type == "Concat" and len(set(outer.inputs)) == 1) or outer.op_type in ("Expand", "Tile"):
        single = outer.inputs[0]
    else:
        return None
    inner = None if single is None else single.producer()
    if inner is None or inner.op_type != "Unsqueeze" or single is None or single.shape is None:
        return None
    source = inner.inputs[0]
    if source is None or source.shape is None or node.outputs[0].shape is None:
        return None
    fits = list(single.shape.dims[-2:]) == [half, 1]
    return source if fits and len(source.shape) == len(node.outputs[0].shape) else None


def _negated(tape: Tape, value: ir.Value) -> ir.Value:
    array = array_of(value)
    return tape.const(-array, "angles") if array is not None else tape.op("Neg", [value])


def _positions(tape: Tape, cache: ir.Value, value: ir.Value) -> tuple[ir.Value, int]:
    """A cache as [batch, rows, half], and which axis of the value are its heads: where the cache has one."""
    if cache.shape is None or value.shape is None:
        raise Reject("rotary: the shape of cosines and sines is not known")
    dims: list[Any] = [*([1] * (len(value.shape) - len(cache.shape))), *cache.shape.dims]
    if len(dims) != 4:
        raise Reject("rotary: cosines and sines have more dimensions than the value turned")
    rows = [axis for axis in (2, 1) if same_dim(dims[axis], value.shape.dims[axis]) and dims[3 - axis] == 1]
    if not rows:
        raise Reject("rotary: cosines and sines differ between heads, or are not of as many rows")
    heads = 3 - rows[0]
    array = array_of(cache)
    if array is not None:
        own = np.reshape(array, [1] * (4 - array.ndim) + list(array.shape))
        return tape.const(np.ascontiguousarray(np.squeeze(own, heads)), "angles"), heads
    node = cache.producer()
    source = node.inputs[0] if node is not None and node.op_type == "Unsqueeze" else None
    if node is not None and source is not None and ints(node.inputs[1]) in ([heads], [heads - 4]):
        return source, heads
    target = ir.Shape([dims[0], dims[rows[0]], dims[3]])
    if same_shape(cache.shape, target):
        return cache, heads
    if len(cache.shape) == 4:
        squeezed = tape.op("Squeeze", [cache, tape.ints([heads], "axes")])
        squeezed.shape = target
        return squeezed, heads
    return reshaped(tape, cache, target), heads


def _keeps_columns(source: ir.Value, value: ir.Value, node: ir.Node) -> bool:
    """Whether a view, Gather or Slice leaves the columns of its first input where they are."""
    if (
        source.shape is None
        or value.shape is None
        or not same_dim(source.shape.dims[-1], value.shape.dims[-1])
    ):
        return False
    if node.op_type == "Transpose":
        perm = node.attributes.get("perm")
        return perm is not None and list(perm.as_ints())[-1] == len(source.shape) - 1
    if node.op_type == "Gather":
        return attribute_int(node, "axis", 0) in (0, -2) and len(source.shape) == 2
    if node.op_type == "Slice":
        axes = ints(node.inputs[3]) if len(node.inputs) > 3 else None
        return axes is not None and all(axis not in (-1, len(source.shape) - 1) for axis in axes)
    if node.op_type in ("Unsqueeze", "Squeeze"):
        axes = ints(node.inputs[1]) if len(node.inputs) > 1 else None
        longer = value if node.op_type == "Unsqueeze" else source
        assert longer.shape is not None
        return axes is not None and all(axis not in (-1, len(longer.shape) - 1) for axis in axes)
    return True


def columns_of(value: ir.Value | None) -> int | None:
    if value is None or value.shape is None or not len(value.shape):
        return None
    size = value.shape.dims[-1]
    return size if isinstance(size, int) else None


def is_last(node: ir.Node, value: ir.Value) -> bool:
    axis = attribute_int(node, "axis", 0)
    return axis == -1 or (rank(value) is not None and axis == (rank(value) or 0) - 1)
