"""What rules of several idioms ask of a tape: arrays of constants just made, sizes read at run time."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import Tape, constant, same_dim

Array = np.ndarray[Any, np.dtype[Any]]


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
