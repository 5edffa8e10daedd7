"""How nodes that join, split, drop or add axes go on where their data is kept in another order.

A Reshape that joins axes in front of a weight lets the weight take up the order. Changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    Reject,
    attribute_int,
    constant_tensor,
    facts,
    ints,
    rank,
)
from graphopt.passes.chains._views import target_of
from graphopt.passes.fusion._linear import refuse_big_copy
from graphopt.passes.layout._layout import OUTPUT, Ask, Draft, Edit, Layout, set_axis
from graphopt.passes.layout._perms import (
    Dim,
    Perm,
    Segment,
    identity,
    reshape_segments,
)
from graphopt.passes.operands import node_ints, normalized_axes

Array = np.ndarray[Any, Any]
Change = tuple[ir.Node, int, Callable[[Array], Array]]
MOST_STEPS = 8
"""Nodes looked through between a product and the Reshape of its result."""


def gather(ask: Ask) -> Layout:
    """Gather along an axis, which its indices' axes replace; data or indices take up the order."""
    axes, wide = ask.rank(), ask.rank(1)
    axis = attribute_int(ask.node, "axis", 0) % axes
    if ask.port == 1 or constant_tensor(ask.data()) is not None:
        return _gather_indices(ask, axis, axes - 1 + wide, wide)
    segments: list[Segment] = []
    for each in range(axes):
        first = each if each <= axis else each + wide - 1
        segments.append(((each,), tuple(range(first, first + (wide if each == axis else 1)))))
    before, after = ask.primary(segments)
    return Layout({0: before}, after, [set_axis(axis, before)])


def _gather_indices(ask: Ask, axis: int, made: int, wide: int) -> Layout:
    """The indices in another order: the same for the axes that they make."""
    front, back = tuple(range(axis)), tuple(range(axis + wide, made))
    if ask.port != OUTPUT:
        return Layout({1: ask.perm}, (*front, *(axis + index for index in ask.perm), *back))
    if ask.perm[:axis] != front or ask.perm[axis + wide :] != back:
        raise Reject("a Gather has a fixed order of the axes that its indices do not make")
    return Layout({1: tuple(index - axis for index in ask.perm[axis : axis + wide])}, ask.perm)


def squeeze(ask: Ask) -> Layout:
    """Squeeze drops the same axes elsewhere."""
    axes, narrow = ask.rank(), rank(ask.node.outputs[0])
    named = node_ints(ask.node, "axes", 1)
    shape = ask.data().shape
    assert shape is not None
    dropped = [axis for axis, dim in enumerate(shape.dims) if dim == 1]
    if named:
        dropped = normalized_axes(named, axes)
    elif narrow != axes - len(dropped):
        raise Reject("the axes that a Squeeze drops are not known")
    left = iter(range(axes))
    segments: list[Segment] = [((axis,), () if axis in dropped else (next(left),)) for axis in range(axes)]
    before, after = ask.primary(segments)
    return Layout(
        {0: before}, after, _named(ask, [before.index(axis) for axis in dropped] if named else None)
    )


def unsqueeze(ask: Ask) -> Layout:
    """Unsqueeze adds the same axes elsewhere."""
    axes = ask.rank()
    named = node_ints(ask.node, "axes", 1)
    if not named:
        raise Reject("the axes of an Unsqueeze are not known")
    added = normalized_axes(named, axes + len(named))
    own = iter(range(axes))
    segments: list[Segment] = [
        (() if axis in added else (next(own),), (axis,)) for axis in range(axes + len(added))
    ]
    before, after = ask.primary(segments)
    return Layout({0: before}, after, _named(ask, [after.index(axis) for axis in added]))


def _named(ask: Ask, axes: list[int] | None) -> list[Edit]:
    if axes is None:
        return []
    places = sorted(axes)
    if "axes" in ask.node.attributes:
        return [lambda draft: draft.set("axes", places)]
    return [lambda draft: draft.set_const(1, np.array(places, dtype=np.int64), tuple(places))]


def flatten(ask: Ask) -> Layout:
    """Flatten joins all axes in front of one, and all behind it."""
    axes = ask.rank()
    axis = attribute_int(ask.node, "axis", 1)
    axis = axis + axes if axis < 0 else axis
    groups = tuple(range(axis)), tuple(range(axis, axes))
    segments: list[Segment] = [(group, (index,)) for index, group in enumerate(groups)]
    shape = ask.data().shape
    assert shape is not None
    return _joined(ask, shape.dims, segments, lambda perms: [])


def reshape(ask: Ask) -> Layout:
    """Reshape that joins and splits axes which stay together."""
    before, after = ask.data().shape, ask.node.outputs[0].shape
    if before is None or after is None:
        raise Reject("the shape of a Reshape is not known")
    segments = reshape_segments(before.dims, after.dims)
    return _joined(ask, before.dims, segments, lambda perms: _target(ask, perms))


def _joined(
    ask: Ask, dims: Sequence[Dim], segments: list[Segment], edits: Callable[[tuple[Perm, Perm]], list[Edit]]
) -> Layout:
    try:
        perms = ask.primary(segments)
        if ask.node.op_type == "Flatten" and perms[1] != (0, 1):
            raise Reject("a Flatten has a fixed order of axes")
        return Layout({0: perms[0]}, perms[1], edits(perms))
    except Reject as rejection:
        try:
            return _absorbed(ask, dims, segments)
        except Reject as closer:
            raise closer if str(closer) else rejection from None


def _target(ask: Ask, perms: tuple[Perm, Perm]) -> list[Edit]:
    """The shape of the outputs in their new order, as it is written where that can be."""
    value, output = ask.data(), ask.node.outputs[0]
    assert value.shape is not None and output.shape is not None
    before, after = perms
    written = ints(ask.node.inputs[1])
    exact = attribute_int(ask.node, "allowzero", 0)
    if written is not None:
        kept = [
            size != 0 or exact or (place < len(before) and before[place] == axis)
            for place, axis in enumerate(after)
            for size in [written[axis]]
        ]
        if all(kept):
            target = [written[axis] for axis in after]
            return [lambda draft: draft.set_const(1, np.array(target, dtype=np.int64), tuple(target))]
    stand_in = ir.Value(shape=ir.Shape([value.shape.dims[axis] for axis in before]))
    inferred = target_of(stand_in, ir.Shape([output.shape.dims[axis] for axis in after]))

    def retarget(draft: Draft) -> None:
        draft.attributes.pop("allowzero", None)
        draft.inputs[1] = draft.builder.const(np.array(inferred, dtype=np.int64), None, tuple(inferred))

    return [retarget]


def _absorbed(ask: Ask, dims: Sequence[Dim], segments: Sequence[Segment]) -> Layout:
    """The weight beside a Reshape that joins axes to its rows, or splits them from its columns.

    Raises:
        Reject: There is none, or other axes move as well.
    """
    if ask.port == OUTPUT:
        if ask.node.op_type == "Flatten":
            raise Reject("")  # it splits nothing, and its rows and columns do not change places
        output = ask.node.outputs[0]
        ins, outs = _last_group(segments)
        if len(ins) != 1:
            raise Reject("")
        assert output.shape is not None
        order = _order_within(outs, ask.perm, output.shape.dims, ask)
        edits = _target(ask, (identity(ask.rank()), ask.perm))
        return Layout({0: identity(ask.rank())}, ask.perm, edits, _columns(ask, order))
    if ask.port != 0:
        raise Reject("")
    ins, outs = _last_group(segments)
    if len(outs) != 1:
        raise Reject("")
    order = _order_within(ins, ask.perm, dims, ask)
    made = sum(len(outs) for _, outs in segments)
    return Layout({0: ask.perm}, identity(made), _rejoined(ask), [_rows(ask, order)])


def _last_group(segments: Sequence[Segment]) -> Segment:
    """The segment of the last axes, with those of size 1 beside it that a Reshape drops or adds."""
    ins, outs = segments[-1]
    index = len(segments) - 1
    while index and (not ins or not outs or not (segments[index - 1][0] and segments[index - 1][1])):
        index -= 1
        ins, outs = segments[index][0] + ins, segments[index][1] + outs
    return ins, outs


def _order_within(group: tuple[int, ...], perm: Perm, dims: Sequence[Dim], ask: Ask) -> Array:
    """Of the elements along the joined axis, which stands where once those axes are in the order `perm`."""
    front = len(perm) - len(group)
    if group != tuple(range(front, len(perm))) or perm[:front] != tuple(range(front)):
        raise Reject("")
    sizes = [dim for dim in dims[front:] if isinstance(dim, int)]
    if len(sizes) != len(group):
        raise Reject(f"sizes that a {ask.node.op_type} joins are not known")
    numbers = np.arange(math.prod(sizes)).reshape(sizes)
    return numbers.transpose([axis - front for axis in perm[front:]]).reshape(-1)


def _rejoined(ask: Ask) -> list[Edit]:
    """The joined shape does not change, but zeros in it would copy sizes of axes that have moved."""
    if ask.node.op_type == "Flatten":
        return []
    output = ask.node.outputs[0]
    assert output.shape is not None
    return _target(ask, (ask.perm, identity(len(output.shape))))


def _rows(ask: Ask, order: Array) -> Change:
    """The rows of the weight that reads the joined axis."""
    output = ask.node.outputs[0]
    uses = output.uses()
    if output.is_graph_output() or len(uses) != 1:
        raise Reject(f"what a {ask.node.op_type} joins is no operand of one weight alone")
    reader, index = next(iter(uses))
    if reader.domain or reader.op_type not in ("MatMul", "Gemm") or index != 0:
        raise Reject(f"a {reader.op_type} reads what a {ask.node.op_type} joins")
    weight = reader.inputs[1]
    if weight is None or constant_tensor(weight) is None or rank(weight) != 2:
        raise Reject(f"the weight of the {reader.op_type} is not constant")
    if attribute_int(reader, "transA", 0) or reader.graph is not ask.node.graph:
        raise Reject("a Gemm that transposes what it reads")
    refuse_big_copy(weight)
    axis = attribute_int(reader, "transB", 0)
    return reader, 1, lambda array: array.take(order, axis=axis)


def _columns(ask: Ask, order: Array) -> list[Change]:
    """The columns of the weight that makes the axis to be split, and of the constants in between."""
    changes: list[Change] = []
    value = ask.data()
    for _ in range(MOST_STEPS):
        node = value.producer()
        if node is None or node.domain or node.graph is not ask.node.graph:
            break
        if value.is_graph_output() or len(value.uses()) != 1:
            raise Reject(f"the result of the {node.op_type} is also used elsewhere")
        if node.op_type in ("MatMul", "Gemm"):
            return [*changes, *_weight_columns(node, order)]
        if not facts(node).elementwise or "axis" in node.attributes:
            break
        moving = [each for each in node.inputs if each is not None and constant_tensor(each) is None]
        if len(moving) != 1 or rank(moving[0]) != rank(value):
            break
        changes += [
            change
            for index, operand in enumerate(node.inputs)
            if operand is not None and operand is not moving[0]
            for change in _operand_columns(node, index, order)
        ]
        value = moving[0]
    raise Reject(f"what a {ask.node.op_type} splits is not the result of a weight")


def _weight_columns(node: ir.Node, order: Array) -> list[Change]:
    weight = node.inputs[1]
    if weight is None or constant_tensor(weight) is None or rank(weight) != 2:
        raise Reject(f"the weight of the {node.op_type} is not constant")
    refuse_big_copy(weight)
    axis = 1 - attribute_int(node, "transB", 0)
    changes: list[Change] = [(node, 1, lambda array: array.take(order, axis=axis))]
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        changes += _operand_columns(node, 2, order)
    return changes


def _operand_columns(node: ir.Node, index: int, order: Array) -> list[Change]:
    tensor = constant_tensor(node.inputs[index])
    if tensor is None:
        raise Reject(f"an operand of a {node.op_type} is not constant")
    if not tensor.shape or tuple(tensor.shape)[-1] == 1:
        return []
    if tuple(tensor.shape)[-1] != len(order):
        raise Reject(f"an operand of a {node.op_type} that broadcasts")
    return [(node, index, lambda array: array.take(order, axis=-1))]
