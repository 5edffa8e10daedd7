"""Reads values as the pixels of another one, block by block; changes nothing.

In blocks of b x b pixels, channel k of the value holds pixel (row, column) of each block of channel c.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir import Reject, attribute_int, attribute_ints, attribute_string, rank, same_dim
from graphopt.passes.chains._ranges import SURELY_THE_END, Range, ranges
from graphopt.passes.operands import static_dim

HEIGHT, WIDTH = 2, 3
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Blocks:
    """A value [N, K, H / size, W / size] that holds pixels of `source`, [N, C, H, W].

    Attributes:
        source: Where the pixels come from.
        size: Height and width of a block.
        places: For each channel: row and column in the block, channel of the source; [K, 3].
        nodes: What makes the value of the source, last first.
    """

    source: ir.Value
    size: int
    places: Places
    nodes: tuple[ir.Node, ...]


def blocks(value: ir.Value) -> Blocks:
    """Read the output of SpaceToDepth, of Slices and a Concat, or of Reshape, Transpose, Reshape.

    Raises:
        Reject: It is something else; without a text where that is not worth telling.
    """
    node = value.producer()
    if node is None or node.domain:
        raise Reject("")
    match node.op_type:
        case "SpaceToDepth":
            return _space_to_depth(node)
        case "Concat":
            return _slices(node)
        case "Reshape":
            return _views(node)
    raise Reject("")


def _space_to_depth(node: ir.Node) -> Blocks:
    source, size = node.inputs[0], attribute_int(node, "blocksize", 0)
    assert source is not None
    channels = static_dim(source, 1)
    if channels is None or attribute_string(node, "mode", "DCR") != "DCR":
        raise Reject("the number of channels is not known")
    places = [(row, column, c) for row in range(size) for column in range(size) for c in range(channels)]
    return Blocks(source, size, np.array(places), (node,))


def _slices(node: ir.Node) -> Blocks:
    pieces = [_piece(value) for value in node.inputs]
    source, step = pieces[0].source, pieces[0].step
    if attribute_int(node, "axis", 0) not in (1, -3) or rank(source) != 4:
        raise Reject("")
    channels = static_dim(source, 1)
    if any(piece.source is not source or piece.step != step for piece in pieces):
        raise Reject("the Slices take other steps, or from other values")
    if channels is None:
        raise Reject("the number of channels is not known")
    starts = np.array([piece.starts for piece in pieces])
    # Where both the first and the last row of a block are taken, equal sizes mean whole blocks.
    if not all({0, step - 1} <= set(starts[:, axis].tolist()) for axis in (0, 1)):
        raise Reject("the last block may not be whole")
    places = [(*piece.starts, c) for piece in pieces for c in range(channels)]
    nodes = dict.fromkeys(each for piece in pieces for each in piece.nodes)
    return Blocks(source, step, np.array(places), (node, *nodes))


@dataclass(frozen=True)
class _Piece:
    source: ir.Value
    step: int
    starts: tuple[int, int]
    nodes: tuple[ir.Node, ...]


def _piece(value: ir.Value | None) -> _Piece:
    """Every so many pixels of another value, along both axes, by one Slice or two."""
    taken: dict[int, Range] = {}
    nodes: list[ir.Node] = []
    while value is not None and len(nodes) < 2:
        node = value.producer()
        if node is None or node.op_type != "Slice" or node.domain:
            break
        found = ranges(node)
        if taken.keys() & found.keys():
            break
        taken.update(found)
        nodes.append(node)
        value = node.inputs[0]
        if taken.keys() >= {HEIGHT, WIDTH}:
            break
    if value is None or taken.keys() != {HEIGHT, WIDTH}:
        raise Reject("")
    steps = {each.step for each in taken.values()}
    starts = (taken[HEIGHT].start, taken[WIDTH].start)
    (step, *others) = steps
    if others or step < 2 or not all(0 <= start < step for start in starts):
        raise Reject("the steps of the Slices differ along the axes")
    for axis, each in taken.items():
        size = static_dim(value, axis)
        if each.end < SURELY_THE_END and (size is None or each.end < size):
            raise Reject("a Slice does not reach the end")
    return _Piece(value, step, starts, tuple(nodes))


def _views(node: ir.Node) -> Blocks:
    """[N, C, H, W] -> [N, C, H/b, b, W/b, b] -> [N, ., ., ., H/b, W/b] -> [N, K, H/b, W/b]."""
    transpose = _producer(node.inputs[0], "Transpose")
    reshape = _producer(transpose.inputs[0], "Reshape")
    source, split = reshape.inputs[0], reshape.outputs[0].shape
    perm = attribute_ints(transpose, "perm") or []
    if source is None or split is None or len(split) != 6 or rank(source) != 4:
        raise Reject("")
    if len(perm) != 6 or (perm[0], *perm[4:]) != (0, 2, 4):
        raise Reject("")
    assert source.shape is not None
    channels, rows, columns = (split.dims[axis] for axis in (1, 3, 5))
    if not isinstance(channels, int) or not isinstance(rows, int) or rows != columns or rows < 2:
        raise Reject("the blocks are not square, or of a size that is not known")
    if not same_dim(source.shape.dims[1], channels) or not same_dim(source.shape.dims[0], split.dims[0]):
        raise Reject("the channels are split")
    _require_merged(node.outputs[0], split.dims, channels * rows * rows)
    by_axis = np.indices((channels, rows, rows))  # c, row, column
    order = [(1, 3, 5).index(axis) for axis in perm[1:4]]
    moved = [each.transpose(order).reshape(-1) for each in by_axis]
    return Blocks(source, rows, np.stack([moved[1], moved[2], moved[0]], axis=1), (node, transpose, reshape))


def _require_merged(value: ir.Value, split: Sequence[object], channels: int) -> None:
    """Reject unless `value` has `channels` and the number of blocks as height and width."""
    if value.shape is None or len(value.shape) != 4 or value.shape.dims[1] != channels:
        raise Reject("")
    # One side suffices: the number of elements then tells the other.
    if not (same_dim(value.shape.dims[2], split[2]) or same_dim(value.shape.dims[3], split[4])):
        raise Reject("the height and width of the result are not known")


def _producer(value: ir.Value | None, op_type: str) -> ir.Node:
    node = None if value is None else value.producer()
    if node is None or node.op_type != op_type or node.domain:
        raise Reject("")
    return node
