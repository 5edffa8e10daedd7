"""Into how many pieces a node that takes a part of its data falls, in one order of axes or another.

What lies together is copied at once; a part of the last axis is copied element by element. Changes nothing.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from graphopt.ir import Reject, attribute_int, constant_tensor, ints, rank
from graphopt.passes.layout._layout import Layout
from graphopt.passes.layout._perms import identity
from graphopt.passes.operands import node_ints, normalized_axes


def pieces(node: ir.Node, layout: Layout | None, unknown: int) -> int:
    """Number of pieces that a Gather or Slice of computed data copies; 0 for other nodes.

    Args:
        node: Any node.
        layout: How it works; None for as it stands.
        unknown: Taken for sizes that are not known.
    """
    if node.op_type not in ("Gather", "Slice") or node.domain:
        return 0
    data, result = node.inputs[0], node.outputs[0]
    axes = None if data is None else rank(data)
    if data is None or axes is None or rank(result) is None or constant_tensor(data) is not None:
        return 0
    order = None if layout is None else layout.perm(0)
    order = identity(axes) if order is None else order
    if node.op_type == "Gather":
        taken = [attribute_int(node, "axis", 0) % axes]
    else:
        named = _ints_if_known(node, "axes", 3)
        taken = [] if named is None else normalized_axes(named, axes)
    if not taken:
        return 0
    place = max(order.index(axis) for axis in taken)
    together = math.prod(_size(data, axis, unknown) for axis in order[place + 1 :])
    if node.op_type == "Slice" and _steps_by_one(node):
        together *= _size(result, order[place], unknown)
    whole = math.prod(_size(result, axis, unknown) for axis in range(rank(result) or 0))
    return whole // max(together, 1)


def _steps_by_one(node: ir.Node) -> bool:
    if len(node.inputs) < 5 or node.inputs[4] is None:
        return True
    return set(ints(node.inputs[4]) or ()) == {1}


def _ints_if_known(node: ir.Node, attribute: str, index: int) -> list[int] | None:
    try:
        return node_ints(node, attribute, index)
    except Reject:
        return None


def _size(value: ir.Value, axis: int, unknown: int) -> int:
    assert value.shape is not None
    dim = value.shape.dims[axis]
    return dim if isinstance(dim, int) else unknown
