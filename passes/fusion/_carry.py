"""Which operators a constant scale or shift passes through unchanged, and what becomes of it on the other side.

T(s * x) = s' * T(x) and T(x + t) = T(x) + t': pure look-up, nothing here changes a graph. A scale or shift is an
array that broadcasts against the value it belongs to.
"""

from __future__ import annotations

import enum

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, attribute_float, attribute_int, attribute_ints, attribute_string, facts, rank, scalar
from graphopt.passes.fusion._arrays import Array, aligned


class Kind(enum.Enum):
    """What is carried."""

    SCALE = "scale"
    SHIFT = "shift"


POSITIVE_SCALE = frozenset({"Relu", "LeakyRelu", "PRelu", "MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin"})
ANY_SCALE = frozenset({"AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum", "Pad", "Resize", "Upsample", "Neg"})
ANY_SHIFT = frozenset({"MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin", "AveragePool", "GlobalAveragePool"}) | {
    "ReduceMean",
    "Resize",
}
CHANNELWISE = frozenset({"Relu", "LeakyRelu", "MaxPool", "GlobalMaxPool", "AveragePool", "GlobalAveragePool", "Neg"})
SHIFT_KEEPING_MODES = ("nearest", "linear")


def through(node: ir.Node, array: Array, kind: Kind, *, forward: bool) -> Array:
    """The array on the other side of `node`, seen from its data input (forward) or from its output.

    Raises:
        Reject: It does not pass.
    """
    known = facts(node)
    if node.op_type == "Transpose":
        return _transposed(node, array, forward)
    if known.moves and node.op_type != "Concat":
        return _single(node, array)
    if kind is Kind.SHIFT:
        if node.op_type not in ANY_SHIFT or not _keeps_shift(node):
            raise Reject(f"a shift does not pass a {node.op_type}")
    elif node.op_type in POSITIVE_SCALE:
        if not (array > 0).all():
            raise Reject(f"a scale that is not positive does not pass a {node.op_type}")
    elif node.op_type not in ANY_SCALE or not _keeps_scale(node):
        raise Reject(f"a scale does not pass a {node.op_type}")
    if len(node.outputs) > 1:
        raise Reject(f"a {node.op_type} with further outputs")
    return _per_channel(node, array) if node.op_type in CHANNELWISE else _single(node, array)


def _transposed(node: ir.Node, array: Array, forward: bool) -> Array:
    if array.size == 1:
        return array.reshape(())
    perm = attribute_ints(node, "perm")
    dims = rank(node.inputs[0])
    if dims is None or array.ndim > dims:
        raise Reject("the rank of a transposed value is not known")
    perm = perm or list(reversed(range(dims)))
    order = perm if forward else [int(index) for index in np.argsort(perm)]
    return array.reshape(aligned(array.shape, dims)).transpose(order)


def _single(node: ir.Node, array: Array) -> Array:
    if array.size != 1:
        raise Reject(f"more than one value does not pass a {node.op_type}")
    return array.reshape(())


def _per_channel(node: ir.Node, array: Array) -> Array:
    """One value, or one per channel (axis 1)."""
    dims = rank(node.inputs[0])
    if array.size == 1:
        return array.reshape(())
    if node.op_type in ("Relu", "LeakyRelu", "Neg"):
        return array
    if dims is None or array.ndim > dims or any(
        size != 1 for axis, size in enumerate(aligned(array.shape, dims)) if axis != 1
    ):
        raise Reject(f"more than one value per channel does not pass a {node.op_type}")
    return array


def _keeps_scale(node: ir.Node) -> bool:
    if node.op_type == "Pad":
        value = attribute_float(node, "value", 0.0)
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            value = scalar(node.inputs[2])
        return attribute_string(node, "mode", "constant") != "constant" or value == 0
    return attribute_string(node, "coordinate_transformation_mode", "") != "tf_crop_and_resize"


def _keeps_shift(node: ir.Node) -> bool:
    if node.op_type == "AveragePool":
        counted = attribute_int(node, "count_include_pad", 0)
        padded = any(attribute_ints(node, "pads") or []) or attribute_string(node, "auto_pad", "NOTSET").startswith("SAME")
        return not counted or not (padded or attribute_int(node, "ceil_mode", 0))
    if node.op_type == "Resize":
        mode = attribute_string(node, "mode", "nearest")
        return mode in SHIFT_KEEPING_MODES and _keeps_scale(node)
    return True
