"""What rules of several idioms ask of a tape: arrays of constants just made, sizes read at run time."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import Tape, attribute_int, constant, same_dim

Array = np.ndarray[Any, np.dtype[Any]]

MOST_VIEWS = 8
"""Views between a value and where it was joined that are looked through."""


def array_of(value: ir.Value) -> Array | None:
    """The array of a constant of the graph, or of one that a tape has made and not yet placed."""
    if value.producer() is None and value.graph is None and value.const_value is not None:
        return value.const_value.numpy()
    return constant(value)


def size_of(tape: Tape, value: ir.Value, axis: int) -> ir.Value:
    """The size of a dimension as a vector of one, at run time where it is not known.

    It is read from an input of the graph that has the same one, so that all layers ask alike.
    """
    assert value.shape is not None
    dim = value.shape.dims[axis]
    if isinstance(dim, int):
        return tape.ints([dim], "size")
    if tape.root.graph is tape.model.graph:
        for given in tape.model.graph.inputs:
            for index, each in enumerate(() if given.shape is None else given.shape.dims):
                if same_dim(each, dim):
                    return tape.op("Shape", [given], {"start": index, "end": index + 1})
    return tape.op("Shape", [value], {"start": axis, "end": axis + 1})


def rows_of(tape: Tape, value: ir.Value) -> ir.Value:
    """The size of the last but one dimension as a vector of one.

    That of values joined along it is the sum of theirs, so that nothing but them is asked.
    """
    for _ in range(MOST_VIEWS):
        assert value.shape is not None
        node = value.producer()
        inner = node.inputs[0] if node is not None and node.domain == "" and node.inputs else None
        if node is None or inner is None or inner.shape is None:
            break
        axis = len(value.shape) - 2
        if node.op_type == "Concat" and attribute_int(node, "axis", 0) in (-2, axis):
            sizes = [size_of(tape, each, axis) for each in node.inputs if each is not None and each.shape]
            return functools.reduce(lambda sum_, size: tape.op("Add", [sum_, size]), sizes)
        if node.op_type not in ("Reshape", "Expand", "Unsqueeze") or len(inner.shape) < 2:
            break
        if not same_dim(inner.shape.dims[-2], value.shape.dims[-2]):
            break
        value = inner
    return size_of(tape, value, len(value.shape or ()) - 2)
