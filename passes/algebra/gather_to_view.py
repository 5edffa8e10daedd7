"""Write a Gather by indices that count 0, 1, 2 ... as the view that it is.

    GatherND(x, [b, l] at place (b, 1, 1, l))   ->  Unsqueeze(x, [1, 2])
    Gather(Flatten(x), b * length + l)          ->  the same
    Gather(x, Range(0, size, 1), axis)          ->  x
    Gather(table, Slice(positions, 0, n))       ->  Slice(Gather(table, positions), 0, n), the Gather folded

The first two are how transformers index a padding mask, the last how they look up position embeddings. Token
types come as an Expand of zeros picked by GatherElements, of which one zero is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    Reject,
    Rule,
    Tape,
    attribute_int,
    const,
    constant,
    constant_tensor,
    op,
    rest,
    rule,
    same_dim,
    same_shape,
    scalar,
    symbolic_value,
    var,
)
from graphopt.passes.operands import keep, keeps_shape, with_axes
from graphopt.pipeline import RewritePass

LONGEST_WALK = 8
FLAT = ("Flatten", "Reshape")


@rule(
    op(
        "Gather",
        op(FLAT, var("x"), rest("_"), shared=True, name="flat"),
        op("Add", var("inner"), op("Mul", var("outer"), var("width"))),
        name="node",
    )
)
def gather_by_flat_places(
    tape: Tape, x: ir.Value, flat: ir.Node, inner: ir.Value, outer: ir.Value, width: ir.Value, node: ir.Node
) -> ir.Value:
    """Gather(Flatten(x), row * width + column)  ->  Unsqueeze(x)."""
    line, result = flat.outputs[0].shape, node.outputs[0].shape
    if x.shape is None or line is None or result is None or len(x.shape) != 2 or len(line) > 2:
        raise Reject("")
    if attribute_int(node, "axis", 0) != 0 or line.dims[1:] not in ((), (1,)):
        raise Reject("")
    if not _is_number(width, x.shape.dims[1]):
        raise Reject("rows are not as long as the indices take them to be")
    places = len(result) - len(line) + 1
    order = []
    for value, dim in ((outer, x.shape.dims[0]), (inner, x.shape.dims[1])):
        axis = _counted_axis(value, dim)
        if axis is None or value.shape is None:
            raise Reject("the indices do not count through all places in order")
        order.append(axis + places - len(value.shape))
    return _placed(tape, x, order, result)


@rule(op("GatherND", var("x"), const("indices"), name="node"))
def gather_by_constant_places(tape: Tape, x: ir.Value, indices: ir.Value, node: ir.Node) -> ir.Value:
    """GatherND(x, constant indices that are the place itself)  ->  Unsqueeze(x)."""
    known, result = constant(indices), node.outputs[0].shape
    if attribute_int(node, "batch_dims", 0) or x.shape is None or known is None or result is None:
        raise Reject("")
    sizes = known.shape[:-1]
    if known.shape[-1] != len(x.shape) or len(result) != len(sizes):
        raise Reject("")
    order: list[int] = []
    for index, dim in enumerate(x.shape.dims):
        counted = [
            axis
            for axis in range(order[-1] + 1 if order else 0, len(sizes))
            if sizes[axis] == dim and (known[..., index] == np.indices(sizes)[axis]).all()
        ]
        if not counted:
            raise Reject("the indices do not count through all places in order")
        order.append(counted[0])
    return _placed(tape, x, order, result)


@rule(op("Expand", op("GatherElements", const("data"), rest("_")), op("Shape", var("like")), name="node"))
def expand_of_equal_elements(tape: Tape, data: ir.Value, like: ir.Value, node: ir.Node) -> ir.Value:
    """Expand(GatherElements(all alike), Shape(y))  ->  Expand(one of them, Shape(y))."""
    elements, shape = constant(data), node.inputs[1]
    if elements is None or elements.size == 0 or not (elements == elements.flat[0]).all() or shape is None:
        raise Reject("")
    if not same_shape(node.outputs[0].shape, like.shape) or _has_range(shape):
        raise Reject("the result is not known to have that shape")
    return tape.op("Expand", [tape.const(elements.flat[0], data.name or "element"), shape])


@rule(op("GatherND", var("x"), op("Concat", name="joined"), name="node"))
def gather_by_places(tape: Tape, x: ir.Value, joined: ir.Node, node: ir.Node) -> ir.Value:
    """GatherND(x, indices that are the place itself)  ->  Unsqueeze(x)."""
    indices = joined.outputs[0]
    if attribute_int(node, "batch_dims", 0) or x.shape is None or indices.shape is None:
        raise Reject("")
    places = len(indices.shape) - 1
    if attribute_int(joined, "axis", 0) not in (-1, places) or len(joined.inputs) != len(x.shape):
        raise Reject("")
    axes = [_counted_axis(value, dim) for value, dim in zip(joined.inputs, x.shape.dims, strict=True)]
    if any(axis is None or axis >= places for axis in axes):
        raise Reject("the indices do not count through all places in order")
    return _placed(tape, x, [axis for axis in axes if axis is not None], ir.Shape(indices.shape.dims[:-1]))


@rule(op("Gather", var("x"), var("indices"), name="node"))
def gather_of_all(tape: Tape, x: ir.Value, indices: ir.Value, node: ir.Node) -> ir.Value:
    """Gather(x, [0, 1, ..., size - 1])  ->  x."""
    if x.shape is None or indices.shape is None or len(indices.shape) != 1:
        raise Reject("")
    axis = attribute_int(node, "axis", 0) % len(x.shape)
    if _counted_axis(indices, x.shape.dims[axis]) != 0:
        raise Reject("")
    return keep(x, keeps_shape(x, node.outputs[0]))


@rule(op("Gather", const("table"), op("Slice", const("positions"), rest("_"), name="slice"), name="node"))
def gather_of_sliced_positions(
    tape: Tape, table: ir.Value, positions: ir.Value, slice: ir.Node, node: ir.Node
) -> ir.Value:
    """Gather(table, Slice(positions))  ->  Slice(table[positions])."""
    rows, places = constant(table), constant(positions)
    if attribute_int(node, "axis", 0) != 0 or rows is None or places is None or rows.ndim == 0:
        raise Reject("")
    axes_input = slice.inputs[3] if len(slice.inputs) > 3 else None
    if axes_input is not None and constant_tensor(axes_input) is None:
        raise Reject("the axes of the Slice are not constant")
    if places.size > rows.shape[0] or len(table.uses()) > 1:
        raise Reject("the table would grow")
    if places.size and not (-rows.shape[0] <= places.min() and places.max() < rows.shape[0]):
        raise Reject("an index is out of range")
    taken = tape.const(rows[places], table.name or "table")
    axes = constant(axes_input)
    if axes is None or (axes >= 0).all():
        return tape.op("Slice", [taken, *slice.inputs[1:]], slice.attributes)
    counted = tape.const(np.where(axes < 0, axes + places.ndim, axes), "axes")
    return tape.op("Slice", [taken, *slice.inputs[1:3], counted, *slice.inputs[4:]], slice.attributes)


def _placed(tape: Tape, x: ir.Value, order: list[int], result: ir.Shape) -> ir.Value:
    """`x` with its axes standing at `order` in a result, and axes of size 1 between."""
    if sorted(set(order)) != order:
        raise Reject("the indices are places in another order")
    new = [axis for axis in range(len(result)) if axis not in order]
    if any(result.dims[axis] != 1 for axis in new):
        raise Reject("the result is broadcast")
    return with_axes(tape, "Unsqueeze", x, new) if new else keep(x, same_shape(x.shape, result))


def _is_number(value: ir.Value, dim: object) -> bool:
    """Whether a value is a single number, the size `dim`."""
    number = scalar(value)
    if number is not None:
        return isinstance(dim, int) and int(number) == dim
    found = symbolic_value(value)
    return found is not None and len(found) == 1 and same_dim(found[0], dim)


def _has_range(shape: ir.Value) -> bool:
    """Whether a Shape lists only some of the dimensions."""
    node = shape.producer()
    return node is not None and (attribute_int(node, "start", 0) != 0 or "end" in node.attributes)


def _counted_axis(value: ir.Value | None, size: object) -> int | None:
    """The axis along which the elements of `value` are 0, 1, ..., size - 1, alike along all others."""
    axis = 0
    steps: list[ir.Node] = []
    node = None if value is None else value.producer()
    while node is not None and not node.domain and len(steps) < LONGEST_WALK:
        if node.op_type not in ("Expand", "Unsqueeze", "Reshape", "Identity", "Cast"):
            break
        steps.append(node)
        value = node.inputs[0]
        node = None if value is None else value.producer()
    if value is None or not _counts(value, size):
        return None
    for step in reversed(steps):
        before, after = step.inputs[0], step.outputs[0]
        if before is None or before.shape is None or after.shape is None:
            return None
        if step.op_type in ("Expand", "Identity", "Cast"):
            axis += len(after.shape) - len(before.shape)
        else:
            longer = [at for at, dim in enumerate(after.shape.dims) if dim != 1]
            if len(longer) > 1 and step.op_type == "Reshape":
                return None
            axis = _moved(axis, before.shape, after.shape, longer)
        if axis < 0 or not same_dim(after.shape.dims[axis], size):
            return None
    return axis


def _moved(axis: int, before: ir.Shape, after: ir.Shape, longer: list[int]) -> int:
    """Where an axis stands after axes of size 1 were added; -1 where that is not certain."""
    if len(longer) == 1 and before.dims[axis] != 1:
        return longer[0]
    kept = [at for at, dim in enumerate(after.dims) if dim != 1]
    old = [at for at, dim in enumerate(before.dims) if dim != 1]
    return kept[old.index(axis)] if axis in old and len(kept) == len(old) else -1


def _counts(value: ir.Value, size: object) -> bool:
    """Whether a vector is 0, 1, ..., size - 1: a constant or a Range."""
    known = constant(value)
    if known is not None:
        return known.ndim == 1 and known.size == size and bool((known == np.arange(known.size)).all())
    node = value.producer()
    if node is None or node.domain or node.op_type != "Range" or value.shape is None:
        return False
    start, step = scalar(node.inputs[0]), scalar(node.inputs[2])
    return start == 0 and step == 1 and same_dim(value.shape.dims[0], size)


@dataclass(frozen=True)
class GatherToView(RewritePass):
    """Write a Gather by indices that count up as the view that it is."""

    name: ClassVar[str] = "gather-to-view"
    rules: ClassVar[tuple[Rule, ...]] = (
        gather_by_places,
        gather_by_flat_places,
        gather_by_constant_places,
        gather_of_all,
        gather_of_sliced_positions,
        expand_of_equal_elements,
    )
