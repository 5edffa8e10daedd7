"""Shapes that broadcast together, and the arithmetic whose outputs have them.

Different names that meet are no certain match: either may be 1. Nothing here looks at elements.
"""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir.dims import Dim, same_shape
from graphopt.ir.inference.context import Context


def broadcast(context: Context, shapes: list[ir.Shape]) -> ir.Shape | None:
    """The shape that all broadcast to; None where they certainly do not."""
    dims: list[Dim] = []
    for place in range(max(map(len, shapes)), 0, -1):
        meeting = [shape.dims[-place] for shape in shapes if len(shape) >= place and shape.dims[-place] != 1]
        numbers = {dim for dim in meeting if isinstance(dim, int)}
        if len(numbers) > 1:
            return None
        if numbers:
            dims.append(numbers.pop())
        elif meeting:
            dims.append(context.meet([dim for dim in meeting if not isinstance(dim, int)]))
        else:
            dims.append(1)
    return ir.Shape(dims)


def correct_broadcast(context: Context, node: ir.Node) -> None:
    """Different names that meet in broadcasting: either may be 1."""
    shapes = [value.shape for value in node.inputs if value is not None]
    if node.outputs[0].shape is not None and all(shape is not None for shape in shapes):
        corrected = broadcast(context, [shape for shape in shapes if shape is not None])
        if corrected is not None:
            node.outputs[0].shape = corrected


def infer_float_arithmetic(context: Context, node: ir.Node) -> bool:
    """Two floats of the same shape, or one beside a single element: nearly every node of a large graph."""
    if len(node.inputs) != 2:
        return False
    left, right = node.inputs
    if left is None or right is None or left.dtype is None or not left.dtype.is_floating_point():
        return False
    if same_shape(left.shape, right.shape) or _is_single(right.shape, left.shape):
        shape = left.shape
    elif _is_single(left.shape, right.shape):
        shape = right.shape
    else:
        return False
    context.set_shape_and_dtype(node.outputs[0], shape, left.dtype)
    return True


def _is_single(shape: ir.Shape | None, other: ir.Shape | None) -> bool:
    """Whether one element broadcasts into `other` without adding a dimension."""
    if shape is None or other is None or len(shape) > len(other):
        return False
    return all(dim == 1 for dim in shape.dims)
