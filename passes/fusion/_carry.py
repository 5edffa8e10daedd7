"""Which operators a constant scale or shift passes, and what it is on the other side; it changes nothing.

T(s * x) = s' * T(x) and T(x + t) = T(x) + t'. A scale or shift is an array that broadcasts against the value
it belongs to.
"""

from __future__ import annotations

import enum

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    Reject,
    attribute_float,
    attribute_int,
    attribute_ints,
    attribute_string,
    facts,
    rank,
    scalar,
)
from graphopt.passes.fusion._arrays import Array, aligned
from graphopt.passes.fusion._views import viewed
from graphopt.passes.operands import an

MOST_CHANNELS = 1 << 16
"""Concats can double a size again and again; what is carried must stay small."""


class Kind(enum.Enum):
    """What is carried."""

    SCALE = "scale"
    SHIFT = "shift"

    @property
    def neutral(self) -> float:
        """The number that does nothing."""
        return 1.0 if self is Kind.SCALE else 0.0


_POOLS = frozenset({"MaxPool", "GlobalMaxPool", "AveragePool", "GlobalAveragePool"})
_ELEMENTWISE = frozenset({"Relu", "LeakyRelu", "Neg"})
POSITIVE_SCALE = frozenset(
    {"Relu", "LeakyRelu", "PRelu", "MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin"}
)
ANY_SCALE = frozenset(
    {"Neg", "AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum", "Pad", "Resize", "Upsample"}
)
ANY_SHIFT = _POOLS | {"ReduceMax", "ReduceMin", "ReduceMean", "Resize"}
SUMS = frozenset({"AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum"})
"""They add up many elements, which may overflow a narrow type sooner without a scale before them."""


def through(node: ir.Node, array: Array, kind: Kind, *, forward: bool, narrow: bool) -> Array:
    """The array on the other side of `node`, seen from its data input (forward) or from its output.

    Args:
        node: A node with one data input, its first.
        array: The scale or shift.
        kind: Which of the two.
        forward: From input to output.
        narrow: Values are float16.

    Raises:
        Reject: It does not pass.
    """
    if node.op_type == "Transpose":
        return _transposed(node, array, forward)
    if facts(node).view:
        ends = [value and value.shape for value in (node.inputs[0], node.outputs[0])]
        return viewed(array, *(ends if forward else reversed(ends)))
    if facts(node).moves:
        return one_value(node, array)
    if kind is Kind.SHIFT:
        passes = node.op_type in ANY_SHIFT and _keeps_shift(node)
    elif node.op_type in POSITIVE_SCALE:
        passes = bool((array > 0).all())
    else:
        passes = node.op_type in ANY_SCALE and _keeps_scale(node)
    if not passes or (narrow and node.op_type in SUMS):
        raise Reject(f"a {kind.value} does not pass {an(node.op_type)}")
    if node.op_type in _ELEMENTWISE:
        return array
    return _per_channel(node, array) if node.op_type in _POOLS else one_value(node, array)


def one_value(node: ir.Node, array: Array) -> Array:
    """A single element as a scalar."""
    if array.size != 1:
        raise Reject(f"more than one value does not pass {an(node.op_type)}")
    return array.reshape(())


def concatenated(node: ir.Node, index: int, array: Array, kind: Kind) -> Array:
    """What belongs to the output of a Concat, of an array that belongs to its input `index` alone."""
    dims, axis, sizes = _concat(node)
    if sum(sizes) > MOST_CHANNELS:
        raise Reject(f"a Concat of {sum(sizes)} elements is too long for one value each")
    wide = _aligned(array, dims)
    if wide.size != wide.shape[axis]:
        raise Reject("more than one value per channel does not pass a Concat")
    neutral = np.array(kind.neutral)
    shapes = [tuple(size if each == axis else 1 for each in range(dims)) for size in sizes]
    parts = [np.broadcast_to(wide if at == index else neutral, shape) for at, shape in enumerate(shapes)]
    return np.concatenate(parts, axis=axis)


def split(node: ir.Node, array: Array) -> list[Array]:
    """What belongs to each input of a Concat, of an array that belongs to its output."""
    if array.size == 1:
        return [array.reshape(())] * len(node.inputs)
    dims, axis, sizes = _concat(node)
    wide = _aligned(array, dims)
    if wide.shape[axis] == 1:
        return [wide] * len(node.inputs)
    return np.split(wide, np.cumsum(sizes)[:-1], axis=axis)


def _concat(node: ir.Node) -> tuple[int, int, list[int]]:
    """Rank, axis, and how much of the axis each input makes up."""
    dims = rank(node.outputs[0])
    if dims is None:
        raise Reject("the rank of a Concat is not known")
    axis = attribute_int(node, "axis", 0) % dims
    shapes = [value.shape for value in node.inputs if value is not None]
    known = [size for shape in shapes if shape is not None and isinstance(size := shape.dims[axis], int)]
    if len(known) != len(node.inputs):
        raise Reject("the sizes of the inputs of a Concat are not known")
    return dims, axis, known


def _aligned(array: Array, dims: int) -> Array:
    if array.ndim > dims:
        raise Reject("a constant of more dimensions than the value")
    return array.reshape(aligned(array.shape, dims))


def _transposed(node: ir.Node, array: Array, forward: bool) -> Array:
    if array.size == 1:
        return array.reshape(())
    dims = rank(node.inputs[0])
    if dims is None:
        raise Reject("the rank of a transposed value is not known")
    perm = attribute_ints(node, "perm") or list(reversed(range(dims)))
    order = perm if forward else [int(axis) for axis in np.argsort(perm)]
    return _aligned(array, dims).transpose(order)


def _per_channel(node: ir.Node, array: Array) -> Array:
    if array.size == 1:
        return array.reshape(())
    dims = rank(node.inputs[0])
    if dims is None or _aligned(array, dims).shape[1] != array.size:
        raise Reject(f"more than one value per channel does not pass {an(node.op_type)}")
    return array


def _keeps_scale(node: ir.Node) -> bool:
    if node.op_type == "Pad":
        value = attribute_float(node, "value", 0.0)
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            value = scalar(node.inputs[2])
        return attribute_string(node, "mode", "constant") != "constant" or value == 0
    return attribute_string(node, "coordinate_transformation_mode", "") != "tf_crop_and_resize"


def _keeps_shift(node: ir.Node) -> bool:
    if node.op_type == "AveragePool" and attribute_int(node, "count_include_pad", 0):
        unpadded = not any(attribute_ints(node, "pads") or []) and not attribute_int(node, "ceil_mode", 0)
        return unpadded and attribute_string(node, "auto_pad", "NOTSET") in ("NOTSET", "VALID")
    if node.op_type == "Resize":
        return attribute_string(node, "mode", "nearest") in ("nearest", "linear") and _keeps_scale(node)
    return True
