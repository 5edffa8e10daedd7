"""What rules of algebra ask of constant operands; changes nothing."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir import Reject, constant_tensor
from graphopt.passes.fusion._arrays import FLOATS
from graphopt.passes.operands import broadcasts_into


def filling(constant: ir.Value, x: ir.Value) -> float:
    """The one number that a constant consists of, where it leaves the shape of `x` alone.

    Raises:
        Reject: It holds several numbers (not worth telling), or may broadcast `x` to another shape.
    """
    tensor = constant_tensor(constant)
    if tensor is None or tensor.size == 0 or tensor.dtype == ir.DataType.STRING:
        raise Reject("")
    elements = tensor.numpy().reshape(-1)
    if not (elements == elements[0]).all():
        raise Reject("")
    if not broadcasts_into(tensor.shape.numpy(), x):
        raise Reject("the constant may broadcast the other operand")
    return float(elements[0])


def require_float(x: ir.Value) -> None:
    """Reject integers, whose quotients and powers are rounded, without a text: nobody would expect it."""
    if x.dtype not in FLOATS:
        raise Reject("")
