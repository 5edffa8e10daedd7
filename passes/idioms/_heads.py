"""How heads of attention are split, merged and repeated. Reads shapes; builds views alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    Reject,
    Tape,
    attribute_int,
    attribute_ints,
    constant,
    rank,
    same_dim,
    same_shape,
    scalar,
)
from graphopt.passes.chains._views import reshaped

HEADS_LAST = [0, 2, 1, 3]
"""Order that swaps heads and rows: [batch, rows, heads, depth] and [batch, heads, rows, depth]."""
ROWS_FIRST = [2, 0, 1, 3]
"""Order in which heads come back as [rows, batch, heads, depth]."""
HEADS_AXIS = 1
MOST_SPLIT = 1
"""Operands whose heads are split only to be merged, which costs less than splitting the other two."""


def merged_rows(tape: Tape, operands: Sequence[ir.Value | None]) -> list[ir.Value]:
    """Queries, keys and values [batch, heads, rows, depth] as [batch, rows, heads * depth].

    Raises:
        Reject: More than one of them does not come from that form.
    """
    packed: dict[ir.Value, tuple[ir.Value, ...]] = {}
    rows: list[ir.Value] = []
    split = 0
    for value in operands:
        assert value is not None
        turned = _rows_first(tape, value)
        if turned is not None:
            rows.append(turned)
            continue
        found = _unsplit(value)
        if found is None:
            found = _unpacked(tape, value, packed)
        if found is None:
            split += 1
            found = tape.op("Transpose", [value], {"perm": HEADS_LAST})
        rows.append(_joined(tape, found))
    if split > MOST_SPLIT:
        raise Reject("")
    return rows


def repeated_heads(value: ir.Value) -> tuple[ir.Value, int] | None:
    """The value [batch, groups, rows, depth] whose heads `value` repeats, each so many times in a row."""
    node = value.producer()
    if node is None or node.domain != "":
        return None
    if node.op_type == "Gather":
        return _gathered_heads(node)
    if node.op_type != "Reshape" or node.inputs[0] is None:
        return None
    many = node.inputs[0]
    single = _single(many)
    if single is None:
        return None
    base = single.producer()
    source = None if base is None or base.op_type not in ("Unsqueeze", "Reshape") else base.inputs[0]
    if source is None or any(each is None or each.shape is None for each in (source, single, many, value)):
        return None
    assert source.shape is not None and single.shape is not None
    assert many.shape is not None and value.shape is not None
    batch, groups, one, rows, depth = single.shape.dims
    times = many.shape.dims[2]
    if one != 1 or not isinstance(groups, int) or not isinstance(times, int):
        return None
    fits = (
        (many, (batch, groups, times, rows, depth)),
        (value, (batch, groups * times, rows, depth)),
        (source, (batch, groups, rows, depth)),
    )
    for each, dims in fits:
        own = () if each.shape is None else each.shape.dims
        if len(own) != len(dims) or not all(same_dim(a, b) for a, b in zip(own, dims, strict=True)):
            return None
    return source, times


def _single(many: ir.Value) -> ir.Value | None:
    """What [batch, groups, times, rows, depth] repeats along its third axis: of size 1 there."""
    node = many.producer()
    if node is None or node.domain != "" or rank(many) != 5:
        return None
    if node.op_type in ("Expand", "Tile") or (
        node.op_type == "Concat" and attribute_int(node, "axis", 0) in (2, -3) and len(set(node.inputs)) == 1
    ):
        found = node.inputs[0]
    else:
        return None
    return found if rank(found) == 5 else None


def _gathered_heads(node: ir.Node) -> tuple[ir.Value, int] | None:
    source, indices = node.inputs
    index = constant(indices)
    if source is None or source.shape is None or index is None or index.ndim != 1 or len(source.shape) != 4:
        return None
    groups = source.shape.dims[HEADS_AXIS]
    if attribute_int(node, "axis", 0) not in (HEADS_AXIS, HEADS_AXIS - 4) or not isinstance(groups, int):
        return None
    times = index.size // groups
    if not np.array_equal(index, np.repeat(np.arange(groups), times)):
        return None
    return source, times


def _unsplit(value: ir.Value) -> ir.Value | None:
    """[batch, rows, heads, depth] of a Transpose that puts the heads in front."""
    node = value.producer()
    if node is None or node.domain != "" or node.op_type != "Transpose":
        return None
    return node.inputs[0] if attribute_ints(node, "perm") == HEADS_LAST else None


def _rows_first(tape: Tape, value: ir.Value) -> ir.Value | None:
    """[batch, rows, heads * depth] of heads that were split with the rows in front of the batch.

    That is, from [rows, batch, heads, depth], or from [rows, batch * heads, depth] with a view behind.
    """
    node = value.producer()
    turn = node
    if node is not None and node.op_type == "Reshape" and node.inputs[0] is not None:
        turn = node.inputs[0].producer()
    if turn is None or turn.domain != "" or turn.op_type != "Transpose" or turn.inputs[0] is None:
        return None
    split, perm = turn.inputs[0], attribute_ints(turn, "perm")
    if value.shape is None or split.shape is None or perm != ([1, 2, 0, 3] if turn is node else [1, 0, 2]):
        return None
    batch, heads, count, depth = value.shape.dims
    if not isinstance(heads, int) or not isinstance(depth, int):
        return None
    if not same_dim(count, split.shape.dims[0]) or split.shape.dims[-1] != depth:
        return None
    wide = ir.Shape([count, batch, heads * depth])
    made = split.producer()
    source = made.inputs[0] if made is not None and made.op_type == "Reshape" and made.domain == "" else None
    rows = source if source is not None and same_shape(source.shape, wide) else reshaped(tape, split, wide)
    return tape.op("Transpose", [rows], {"perm": [1, 0, 2]})


def _unpacked(tape: Tape, value: ir.Value, packed: dict[ir.Value, tuple[ir.Value, ...]]) -> ir.Value | None:
    """[batch, rows, heads, depth] of a Gather from queries, keys and values stacked by one Transpose."""
    node = value.producer()
    if (
        node is None
        or node.domain != ""
        or node.op_type != "Gather"
        or attribute_int(node, "axis", 0) not in (0, -5)
    ):
        return None
    index = scalar(node.inputs[1])
    source = None if node.inputs[0] is None else node.inputs[0].producer()
    if index is None or rank(node.inputs[1]) != 0 or source is None or source.op_type != "Transpose":
        return None
    perm, whole = attribute_ints(source, "perm"), source.inputs[0]
    if perm is None or len(perm) != 5 or whole is None or whole.shape is None:
        return None
    axis = perm[0]
    left = [each for each in range(5) if each != axis]
    if [left.index(each) for each in perm[1:]] != HEADS_LAST:
        return None
    parts = whole.shape.dims[axis]
    if not isinstance(parts, int):
        return None
    if axis != 2:
        return tape.op("Gather", [whole, node.inputs[1]], {"axis": axis})
    if whole not in packed:
        batch, rows, _, heads, depth = whole.shape.dims
        if not isinstance(heads, int) or not isinstance(depth, int):
            return None
        wide = reshaped(tape, whole, ir.Shape([batch, rows, parts * heads * depth]))
        pieces = tape.ops("Split", [wide], {"axis": 2, "num_outputs": parts}, outputs=parts)
        packed[whole] = tuple(
            reshaped(tape, piece, ir.Shape([batch, rows, heads, depth])) for piece in pieces
        )
    return packed[whole][int(index) % parts]


def _joined(tape: Tape, value: ir.Value) -> ir.Value:
    """[batch, rows, heads, depth] as [batch, rows, heads * depth]; what a Reshape split, if it was that."""
    if value.shape is None:
        raise Reject("attention: the shape of queries, keys or values is not known")
    batch, rows, heads, depth = value.shape.dims
    if not isinstance(heads, int) or not isinstance(depth, int):
        raise Reject("attention: the number of heads, or their depth, is not known")
    wide = ir.Shape([batch, rows, heads * depth])
    node = value.producer()
    source = node.inputs[0] if node is not None and node.op_type == "Reshape" and node.domain == "" else None
    if source is not None and same_shape(source.shape, wide):
        return source
    return reshaped(tape, value, wide)
