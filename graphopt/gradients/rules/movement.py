"""Operators that move elements: gradients move back, and add up where an element went to several places."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from graphopt.gradients.tape import NoGradient, Tape
from graphopt.ir import attribute_int, attribute_ints, attribute_string, rank

Grads = Sequence[ir.Value | None]

_MOVES_INTEGERS = ("Slice", "Gather", "GatherElements", "GatherND", "Tile", "Compress", "Pad")
"""Runtimes let these move int64; others are given float64, which counts as far."""


def _parts(node: ir.Node, gradients: Grads) -> tuple[ir.Value, ir.Value]:
    x, gradient = node.inputs[0], gradients[0]
    assert x is not None and gradient is not None
    return x, gradient


def _view(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    x, gradient = _parts(node, gradients)
    return tape.reshaped(gradient, x)


def _transpose(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    _, gradient = _parts(node, gradients)
    order = attribute_ints(node, "perm")
    if order is None:
        return tape.op("Transpose", gradient)
    return tape.op("Transpose", gradient, perm=[order.index(axis) for axis in range(len(order))])


def _concat(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    """The part of an input."""
    gradient = gradients[0]
    assert gradient is not None
    axis = attribute_int(node, "axis", 0)
    sizes = [_size(tape, value, axis) for value in node.inputs[: index + 1]]
    bounds = [tape.ints(0), sizes[0]]
    for size in sizes[1:]:
        bounds.append(tape.op("Add", bounds[-1], size))
    return tape.op("Slice", gradient, *bounds[-2:], tape.ints(axis))


def _size(tape: Tape, value: ir.Value | None, axis: int) -> ir.Value:
    assert value is not None
    return tape.op("Gather", tape.shape(value), tape.ints(axis))


def _split(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    """Parts that nothing depends on are zeros."""
    x = node.inputs[0]
    assert x is not None
    parts = [
        tape.zeros(tape.shape(value), x) if gradient is None else gradient
        for value, gradient in zip(node.outputs, gradients, strict=True)
    ]
    return tape.op("Concat", *parts, axis=attribute_int(node, "axis", 0))


def _expand(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    x, gradient = _parts(node, gradients)
    return tape.summed_to(gradient, x, node.outputs[0])


def _pad(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    if attribute_string(node, "mode", "constant") != "constant":
        return moves(tape, node, index, gradients)
    x, gradient = _parts(node, gradients)
    axes = rank(x)
    pads = node.inputs[1]
    if index or axes is None or pads is None:
        raise NoGradient("what Pad adds is computed")
    count = tape.op("Div", tape.op("Size", pads), tape.const_int(2))
    before = tape.op("Slice", pads, tape.ints(0), tape.op("Unsqueeze", count, tape.ints(0)))
    along = node.inputs[3] if len(node.inputs) > 3 else None
    sizes = tape.shape(x)
    if along is not None:
        sizes = tape.op("Gather", sizes, along)
    else:
        along = tape.ints(*range(axes))
    # what was cut off in front has no gradient
    cut = tape.op("Max", tape.op("Neg", before), tape.ints(0))
    start = tape.op("Max", before, tape.ints(0))
    end = tape.op("Add", before, sizes)
    kept = tape.op("Slice", gradient, start, end, along)
    have = tape.op("Gather", tape.op("Shape", kept), along)
    behind = tape.op("Sub", tape.op("Sub", sizes, have), cut)
    return tape.op("Pad", kept, tape.op("Concat", cut, behind, axis=0), None, along)


def _resize(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    mode = attribute_string(node, "mode", "nearest")
    if (
        mode != "nearest"
        or attribute_string(node, "coordinate_transformation_mode", "") == "tf_crop_and_resize"
    ):
        raise NoGradient(f"{node.op_type} is {mode}, and only nearest copies elements")
    return moves(tape, node, index, gradients)


def moves(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    """Of any operator whose output holds elements of its first input: the numbers of elements go the same
    way, and say where gradients go back to."""
    if index:
        raise NoGradient(f"what {node.op_type} moves by is computed")
    x, gradient = _parts(node, gradients)
    if len(node.outputs) > 1:
        raise NoGradient(f"nothing is known of the derivative of {node.op_type}")
    numbers = tape.op("Range", tape.const_int(0), tape.count(x), tape.const_int(1))
    placed = tape.reshaped(numbers, x)
    if node.op_type == "Resize":
        placed = tape.op("Cast", placed, to=int(ir.DataType.INT32))
    elif node.op_type not in _MOVES_INTEGERS:
        placed = tape.op("Cast", placed, to=int(ir.DataType.DOUBLE))
    moved = tape.op(node.op_type, placed, *node.inputs[1:], **node.attributes)
    places = tape.op("Cast", moved, to=int(ir.DataType.INT64))
    return tape.scattered(gradient, places, x)


RULES = {
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), _view),
    "Transpose": _transpose,
    "Concat": _concat,
    "Split": _split,
    "Expand": _expand,
    "Pad": _pad,
    **dict.fromkeys(("Resize", "Upsample"), _resize),
}
