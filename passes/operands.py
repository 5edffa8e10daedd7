"""What rules of several passes ask of their operands: shapes, constants, axes. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    Reject,
    Tape,
    attribute_int,
    attribute_ints,
    constant,
    constant_tensor,
    ints,
    rank,
    same_shape,
)

FIRST_OPSET_WITH_AXES_INPUT = 13
"""From here on Squeeze and Unsqueeze take their axes as an input."""
SOFTMAX_OF_LAST_AXIS_OPSET = 13
"""From here on a Softmax without an axis runs over the last one."""
MASKED = -1e4
"""A score that a mask sets to so little or less has no weight behind a Softmax, whatever the other scores."""


def keep(value: ir.Value, holds: object, reason: str = "") -> ir.Value:
    """`value` as the replacement if the guard holds.

    Raises:
        Reject: It does not; with the reason, or with none where no user would expect the rule to apply.
    """
    if not holds:
        raise Reject(reason)
    return value


def an(op_type: str) -> str:
    """An operator with its article: `an Add`, `a Mul`, `an LSTM`."""
    spelled = op_type[:2].isupper() and op_type[0] in "FHLMNRSX"
    return f"{'an' if spelled or op_type[0] in 'AEIO' else 'a'} {op_type}"


def keeps_shape(value: ir.Value, output: ir.Value) -> bool:
    """Whether `output` certainly has the shape and dtype of `value`."""
    return value.dtype == output.dtype and same_shape(value.shape, output.shape)


def broadcasts_into(shape: Sequence[int], value: ir.Value) -> bool:
    """Whether an operand of `shape` certainly leaves the shape of `value` as it is under broadcasting."""
    if len(shape) == 0:
        return True
    if value.shape is None or len(shape) > len(value.shape):
        return False
    dims = value.shape.dims[len(value.shape) - len(shape) :]
    return all(size in (1, dim) for size, dim in zip(shape, dims, strict=True))


def is_filled_with(value: ir.Value, element: float, *, sign: bool = False) -> bool:
    """Whether a constant holds nothing but `element`; with `sign`, also its sign (-0.0 is not 0.0)."""
    tensor = constant_tensor(value)
    if tensor is None or tensor.size == 0 or tensor.dtype == ir.DataType.STRING:
        return False
    elements = tensor.numpy().reshape(-1)
    if elements[0] != element or not np.all(elements == element):
        return False
    if not sign or elements.dtype.kind in "iub":
        return True
    return bool(np.all(np.signbit(elements.astype(np.float32)) == np.signbit(element)))


def node_ints(node: ir.Node, attribute: str, index: int) -> list[int] | None:
    """Integers that older opsets keep in an attribute and newer ones in a constant input; None if absent.

    Raises:
        Reject: The input is there and not constant.
    """
    if attribute in node.attributes:
        return attribute_ints(node, attribute)
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None:
        return None
    found = ints(value)
    if found is None:
        raise Reject(f"the {attribute} of the {node.op_type} are not constant")
    return found


def normalized_axes(axes: Sequence[int], of_rank: int) -> list[int]:
    """Axes counted from the front."""
    return [axis + of_rank if axis < 0 else axis for axis in axes]


def reduced_axes(node: ir.Node, axes: int) -> list[int]:
    """The axes that a reduction of a value with so many `axes` reduces, counted from the front.

    Raises:
        Reject: They are not constant.
    """
    named = node_ints(node, "axes", 1)
    if named:
        return normalized_axes(named, axes)
    return [] if attribute_int(node, "noop_with_empty_axes", 0) else list(range(axes))


def with_axes(tape: Tape, op_type: str, x: ir.Value, axes: list[int]) -> ir.Value:
    """Squeeze or Unsqueeze in the form that the opset has."""
    if tape.opset < FIRST_OPSET_WITH_AXES_INPUT:
        return tape.op(op_type, [x], {"axes": axes})
    return tape.op(op_type, [x, tape.ints(axes, "axes")])


def squeezed_reduction(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    """What a reduction over axes of size 1 comes to where it makes nothing of single elements.

    Raises:
        Reject: An axis is not of size 1 or not known.
    """
    if keeps_shape(x, node.outputs[0]):
        return x
    if attribute_int(node, "keepdims", 1) or x.shape is None:
        raise Reject("")
    axes = reduced_axes(node, len(x.shape))
    if not axes:
        return x  # a Squeeze of no axes would be one of all that have size 1
    if any(x.shape.dims[axis] != 1 for axis in axes):
        raise Reject("")
    return with_axes(tape, "Squeeze", x, axes)


def known_rank(value: ir.Value) -> int:
    """The rank of a value.

    Raises:
        Reject: It is not known.
    """
    found = rank(value)
    if found is None:
        raise Reject(f"the rank of {value.name!r} is not known")
    return found


def static_dim(value: ir.Value, axis: int) -> int | None:
    """Size of one dimension, None where it is not a known number."""
    if value.shape is None or not -len(value.shape) <= axis < len(value.shape):
        return None
    dim = value.shape.dims[axis]
    return dim if isinstance(dim, int) else None


def constant_or_reject(value: ir.Value | None, what: str) -> np.ndarray[Any, Any]:
    """The array of a constant.

    Raises:
        Reject: It is none; `what` names it.
    """
    array = constant(value)
    if array is None:
        raise Reject(f"{what} not constant")
    return array


def softmax_axis(node: ir.Node) -> int:
    """The axis of a Softmax or LogSoftmax that names none; of one in a body, whose opset nobody says, 1."""
    version = node.graph.opset_imports.get("", 1) if node.graph is not None else 1
    return -1 if version >= SOFTMAX_OF_LAST_AXIS_OPSET else 1
