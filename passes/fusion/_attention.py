"""Where a shift goes that precedes a softmax-weighted sum; changes nothing.

Rows of a Softmax add up to 1, so what is added to every value comes out of the weighted sum as it is:
P (V + b) = P V + b. What is added to every key adds the same number to all scores of a query, which the
Softmax does not see: softmax(Q (K + b)^T) = softmax(Q K^T + (Q b) 1^T) = softmax(Q K^T).
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, attribute_float, attribute_int, constant, rank
from graphopt.passes.fusion._arrays import Array, aligned
from graphopt.passes.fusion._carry import Kind
from graphopt.passes.fusion._plan import Plan, refuse
from graphopt.passes.operands import MASKED, softmax_axis


def passes_weighted_sum(node: ir.Node, index: int, array: Array) -> bool:
    """Whether a MatMul sums its second operand, shifted by `array`, with weights that add up to 1."""
    weights = node.inputs[0]
    softmax = None if weights is None else weights.producer()
    if index != 1 or softmax is None or not _over_last_axis(softmax):
        return False
    return array.ndim < 2 or array.shape[-2] == 1


def vanishes(plan: Plan, node: ir.Node, index: int, array: Array) -> bool:
    """Whether what `array` adds to the second operand of a MatMul is lost in a Softmax over the keys.

    Raises:
        Reject: The scores go elsewhere too.
    """
    keys = node.inputs[1]
    dims = None if keys is None else rank(keys)
    if index != 1 or dims is None or dims < 2:
        return False
    if aligned(array.shape, dims)[-1] != 1:
        return False
    _lose(plan, node.outputs[0])
    return True


def _lose(plan: Plan, scores: ir.Value) -> None:
    """Follow scores, each row of which is shifted by one number, into their Softmax."""
    if scores.is_graph_output() or not scores.uses():
        raise Reject("scores reach an output of the graph")
    for node, index in scores.uses():
        if node.graph is not plan.graph or node.domain:
            raise refuse(node, Kind.SHIFT)
        plan.visit(node)
        if _over_last_axis(node):
            continue
        if not (_scales(node, index) or _adds(node) or _masks(node, index)):
            raise refuse(node, Kind.SHIFT)
        _lose(plan, node.outputs[0])


def _over_last_axis(node: ir.Node) -> bool:
    if node.op_type not in ("Softmax", "LogSoftmax") or node.domain:
        return False
    dims = rank(node.inputs[0])
    axis = attribute_int(node, "axis", softmax_axis(node))
    return axis == -1 or (dims is not None and axis == dims - 1)


def _scales(node: ir.Node, index: int) -> bool:
    if node.op_type not in ("Mul", "Div") or (node.op_type == "Div" and index == 1):
        return False
    factor = constant(node.inputs[1 - index])
    return factor is not None and factor.size == 1


def _adds(node: ir.Node) -> bool:
    return node.op_type in ("Add", "Sub")


def _masks(node: ir.Node, index: int) -> bool:
    if node.op_type != "Where" or index == 0:
        return False
    other = constant(node.inputs[3 - index])
    return other is not None and bool(np.all(other <= MASKED))


def attention_takes(node: ir.Node, index: int, array: Array) -> bool:
    """Whether the standard's Attention takes up a shift of its keys or lets one of its values through."""
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return False  # present keys and values, or the scores
    if attribute_float(node, "softcap", 0.0) or any(value is not None for value in node.inputs[4:6]):
        return False
    query, key = node.inputs[0], node.inputs[1]
    dims = None if query is None else rank(query)
    if dims == 3:
        same_heads = attribute_int(node, "q_num_heads", 0) == attribute_int(node, "kv_num_heads", 0)
        lengths = aligned(array.shape, 3)[1]
    elif dims == 4 and query is not None and key is not None and query.shape and key.shape:
        same_heads = query.shape.dims[1] == key.shape.dims[1]
        lengths = aligned(array.shape, 4)[2]
    else:
        return False
    return index in (1, 2) and same_heads and lengths == 1
