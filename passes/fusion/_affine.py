"""Reads nodes as y = scale * x + shift with constant scale and shift; never changes a graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, attribute_float, attribute_int, constant_tensor
from graphopt.passes.fusion._arrays import ONE, ZERO, Array, aligned, batch_norm, exact, inverse

BINARY = ("Mul", "Div", "Add", "Sub")
AFFINE = (*BINARY, "Neg")
FIRST_INFERENCE_ONLY_OPSET = 7
TRAINING_MODE_OPSET = 14


@dataclass(frozen=True, eq=False)
class Affine:
    """y = scale * data + shift.

    Attributes:
        data: The operand that is not constant.
        scale: Broadcasts against `data`.
        shift: The same.
        shape: What the constant has as shape; it may broadcast `data` to more.
    """

    data: ir.Value
    scale: Array
    shift: Array
    shape: tuple[int, ...] = ()

    @property
    def keeps_shape(self) -> bool:
        """Whether the constant certainly leaves the shape of `data` as it is."""
        if not self.shape:
            return True
        if self.data.shape is None or len(self.data.shape) < len(self.shape):
            return False
        dims = zip(aligned(self.shape, len(self.data.shape)), self.data.shape.dims, strict=True)
        return all(dim in (1, size) for dim, size in dims)


def constant_operand(node: ir.Node) -> int | None:
    """Index of the only constant operand of a binary operator, or None."""
    known = [index for index, value in enumerate(node.inputs) if constant_tensor(value) is not None]
    return known[0] if len(node.inputs) == 2 and len(known) == 1 else None


def affine(node: ir.Node) -> Affine:
    """Read Mul, Div, Add, Sub with one constant operand, or Neg.

    Raises:
        Reject: It is something else; without a text where that is not worth telling.
    """
    if node.domain or node.op_type not in AFFINE:
        raise Reject("")
    if node.op_type == "Neg":
        return Affine(_value(node, 0), -ONE, ZERO)
    index = constant_operand(node)
    if index is None:
        raise Reject("")
    data, number = _value(node, 1 - index), exact(_value(node, index))
    match node.op_type, index:
        case "Mul", _:
            scale, shift = number, ZERO
        case "Add", _:
            scale, shift = ONE, number
        case "Sub", 1:
            scale, shift = ONE, -number
        case "Sub", _:
            scale, shift = -ONE, number
        case "Div", 1:
            scale, shift = inverse(number), ZERO
        case _:
            raise Reject("")
    return Affine(data, scale, shift, number.shape)


def norm_affine(node: ir.Node, version: int) -> tuple[Array, Array]:
    """Scale and shift, one per channel (axis 1), of a BatchNormalization in inference.

    Args:
        node: The node.
        version: Opset; from 14 on the mode is an attribute, before it shows in the number of outputs.

    Raises:
        Reject: It is in training mode, not per channel, or its parameters are not constant.
    """
    if version < FIRST_INFERENCE_ONLY_OPSET:
        raise Reject(f"a BatchNormalization of opset {version}")
    if attribute_int(node, "training_mode", 0):
        raise Reject("a BatchNormalization in training mode")
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        raise Reject("a further output of the BatchNormalization is in use")
    if version < TRAINING_MODE_OPSET and len(node.outputs) > 1:
        raise Reject("a BatchNormalization in training mode")
    if attribute_int(node, "spatial", 1) != 1:
        raise Reject("a BatchNormalization with spatial=0 is not per channel")
    scale, bias, mean, variance = (exact(_value(node, index)) for index in range(1, 5))
    return batch_norm(scale, bias, mean, variance, attribute_float(node, "epsilon", 1e-5))


def _value(node: ir.Node, index: int) -> ir.Value:
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None:
        raise Reject("")
    return value


def is_one(array: Array) -> bool:
    """Whether scaling by `array` changes nothing."""
    return bool(np.all(array == 1))


def is_zero(array: Array) -> bool:
    """Whether shifting by `array` changes nothing."""
    return not array.any()
