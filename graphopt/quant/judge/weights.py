"""Products of float activations and weights in codes."""

from __future__ import annotations

import math

import onnx_ir as ir

from graphopt.ir import attribute_int, constant_tensor, rank
from graphopt.quant.judge.outputs import is_read_once
from graphopt.quant.judge.site import Site
from graphopt.quant.pairs import codes_of, consumers, edges, is_dq, is_q, producer
from graphopt.quant.rules import WeightOnly
from graphopt.quant.wording import operator_name

_SCALES = (ir.DataType.FLOAT, ir.DataType.FLOAT16)


def weight_only(site: Site) -> WeightOnly | None:
    """What makes a product of float activations and weights in codes of this node."""
    held, node = site.rules.weight_only, site.node
    if held is None or operator_name(node) not in held.ops or len(node.inputs) < 2:
        return None
    dq = producer(node.inputs[1], site.graph)
    data = producer(node.inputs[0], site.graph)
    if dq is None or not is_dq(dq) or not _fits(dq, held):
        return None
    if data is not None and is_dq(data) and codes_of(data).dtype not in held.decoded:
        return None
    value = node.outputs[0]
    readers = consumers(value)
    if any(is_q(reader) and codes_of(reader).dtype not in held.decoded for reader, _ in readers):
        return None
    if edges(value) == 1 and readers and readers[0][0].op_type in site.rules.absorbs:
        after = readers[0][0].outputs[0]
        if is_read_once(after) and not after.is_graph_output():
            return None
    return held if node.op_type == "MatMul" or _is_plain_gemm(site) else None


def _is_plain_gemm(site: Site) -> bool:
    node = site.node
    if any(attribute_int(node, name, 0) for name in ("transA", "transB")):
        return False
    scales = [node.attributes[name].as_float() for name in ("alpha", "beta") if name in node.attributes]
    return all(math.isclose(scale, 1.0, abs_tol=1e-6) for scale in scales) and (
        len(node.inputs) < 3 or node.inputs[2] is None or rank(node.inputs[2]) == 1
    )


def _fits(dq: ir.Node, held: WeightOnly) -> bool:
    """Whether weights in codes have the form that a product of floats takes."""
    weight, scale = constant_tensor(dq.inputs[0]), constant_tensor(dq.inputs[1])
    zero = constant_tensor(dq.inputs[2]) if len(dq.inputs) > 2 and dq.inputs[2] is not None else None
    if weight is None or scale is None or (zero is None and len(dq.inputs) > 2 and dq.inputs[2] is not None):
        return False
    if any(value is not None and len(value.uses()) != 1 for value in dq.inputs):
        return False  # each is packed for this node alone
    if weight.dtype not in held.types or len(weight.shape) != 2 or scale.dtype not in _SCALES:
        return False
    block, shapes = (
        attribute_int(dq, "block_size", 0),
        {tuple(each.shape) for each in (scale, zero) if each is not None},
    )
    rows, columns = (int(size) for size in weight.shape.numpy())
    if block:
        whole = block >= held.min_block > 0 and not block & (block - 1) and attribute_int(dq, "axis", 1) == 0
        return whole and shapes == {(-(-rows // block), columns)}
    by_column = shapes == {(columns,)} and attribute_int(dq, "axis", 1) == 1
    return held.whole_columns and (shapes == {()} or by_column)
