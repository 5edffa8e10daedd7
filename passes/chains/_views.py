"""Shapes as targets of a Reshape, with 0 and -1 where dimensions are not known. Changes nothing."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir import Reject, Tape, rank, same_dim

KEEP = 0
INFER = -1


def reshaped(tape: Tape, x: ir.Value, shape: ir.Shape | None) -> ir.Value:
    """Reshape(x) to `shape`, which holds as many elements.

    Raises:
        Reject: No constant target says that shape.
    """
    return tape.op("Reshape", [x, tape.ints(target_of(x, shape), "shape")])


def target_of(x: ir.Value, shape: ir.Shape | None) -> list[int]:
    """The constant that makes a Reshape of `x` give `shape`: sizes, 0 for a dimension kept, one -1.

    Raises:
        Reject: The shape is not known, two dimensions of it are, or it may be empty.
    """
    if shape is None:
        raise Reject("the resulting shape is not known")
    own = rank(x) or 0
    target: list[int] = []
    inferred = 0
    for index, dim in enumerate(shape.dims):
        if isinstance(dim, int):
            target.append(dim)
            if dim == 0:
                raise Reject("it is empty")
        elif x.shape is not None and index < own and same_dim(dim, x.shape.dims[index]):
            target.append(KEEP)
        else:
            target.append(INFER)
            inferred += 1
    if inferred > 1:
        raise Reject(f"{inferred} sizes of the resulting shape are not known")
    if inferred and KEEP in target:
        raise Reject("with a size that is not known a Reshape fails where another, kept, is 0 at run time")
    return target
