"""Keeps the rules of onnx-shape-inference from making lists as long as a model says, element by element.

A vector of a million numbers is data and no shape.
"""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir.graphs import attribute_int
from graphopt.ir.inference.context import MAX_ELEMENTS, Context

MOST_DIMENSIONS = 64
"""Arrays have no more."""

# Operator -> the input whose length is the rank of what it makes.
_SHAPE_INPUTS = {"ConstantOfShape": 0, "Expand": 1, "Reshape": 1, "Tile": 1}


def is_boundless(node: ir.Node) -> bool:
    """Whether a rule would make a list of a length that no array and no node has."""
    if node.op_type == "Split":
        return attribute_int(node, "num_outputs", 0) > len(node.outputs)
    index = _SHAPE_INPUTS.get(node.op_type)
    length = None if index is None or index >= len(node.inputs) else _length(node.inputs[index])
    return isinstance(length, int) and length > MOST_DIMENSIONS


def infer_long_concat(context: Context, node: ir.Node) -> bool:
    """Concat of vectors too long for their elements to be followed."""
    lengths = [_length(value) for value in node.inputs]
    if sum(length for length in lengths if isinstance(length, int)) <= MAX_ELEMENTS:
        return False
    total: int | ir.SymbolicDim = 0
    for length in lengths:
        if length is None:
            return False
        total = total + length
    first = node.inputs[0]
    assert first is not None
    context.set_shape_and_dtype(node.outputs[0], ir.Shape([total]), first.dtype)
    return True


def _length(value: ir.Value | None) -> int | ir.SymbolicDim | None:
    """The length of a vector; None where it is not known to be one."""
    if value is None or value.shape is None or len(value.shape) != 1:
        return None
    return value.shape[0]
