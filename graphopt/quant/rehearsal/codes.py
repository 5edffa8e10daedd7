"""Steps around single Qs: activations that its range makes redundant, and int8 pairs that become uint8."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.ir import attribute_float, scalar
from graphopt.quant.pairs import Codes, code_range, codes_of, consumers, edges, is_dq, is_q, producer
from graphopt.quant.rehearsal.edits import drop, literal
from graphopt.quant.rules import QuantizationRules

_EPSILON = float(np.finfo(np.float32).eps)


def absorb_clips(graph: ir.Graph, rules: QuantizationRules) -> None:
    """Drop Relu and Clip, one after the other, whose bounds lie outside the range of the Q behind."""
    for q in [node for node in graph if is_q(node)]:
        codes = codes_of(q)
        while (node := producer(q.inputs[0], graph)) is not None:
            value = node.outputs[0]
            alone = edges(value) == 1 and not value.is_graph_output()
            if not alone or node.domain or node.op_type not in rules.absorbs or not _covers(node, codes):
                break
            drop(node)


def _covers(node: ir.Node, codes: Codes) -> bool:
    if not codes.given or codes.zero_point is None or codes.dtype is None:
        return False
    if node.op_type == "Relu":
        return bool(codes.zero_point.size == 1 and codes.zero == code_range(codes.dtype)[0])
    bounds = clip_bounds(node)
    if bounds is None or codes.range is None:
        return False
    return bounds[0] - codes.range[0] <= _EPSILON and codes.range[1] - bounds[1] <= _EPSILON


def clip_bounds(node: ir.Node) -> tuple[float, float] | None:
    """The constant bounds of a Clip; None where they are computed."""
    found = []
    for place, name, default in ((1, "min", -3.4028234663852886e38), (2, "max", 3.4028234663852886e38)):
        if place < len(node.inputs) and node.inputs[place] is not None:
            number = scalar(node.inputs[place])
            if number is None:
                return None
            found.append(float(number))
        else:
            found.append(attribute_float(node, name, default))
    return found[0], found[1]


def makes_redundant(q: ir.Node, node: ir.Node) -> bool:
    """Whether a Q rounds to codes that Relu or Clip before it would not have changed."""
    codes = codes_of(q)
    if codes.scale is None or codes.scale.ndim or codes.dtype is None or codes.dtype.bitwidth not in (8, 16):
        return False
    if codes.given and (codes.zero_point is None or codes.zero_point.ndim):
        return False
    low, high = code_range(codes.dtype)
    if node.op_type == "Relu":
        return codes.zero == low
    bounds = clip_bounds(node)
    if bounds is None:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(np.asarray(bounds, np.float32) / codes.scale.astype(np.float32)).astype(np.float64)
    return bool(scaled[0] + codes.zero <= low and scaled[1] + codes.zero >= high)


def int8_pairs_to_uint8(graph: ir.Graph) -> None:
    """A Q of int8 whose only reader is a DQ with the same zero point writes uint8 instead."""
    for q in [node for node in graph if is_q(node)]:
        value = q.outputs[0]
        if edges(value) != 1 or value.is_graph_output() or not consumers(value):
            continue
        dq = consumers(value)[0][0]
        if not is_dq(dq):
            continue
        one, other = codes_of(q), codes_of(dq)
        zeros = [codes.zero_point for codes in (one, other)]
        if any(zero is None or zero.size != 1 or zero.dtype != np.int8 for zero in zeros):
            continue
        if one.zero == other.zero:
            for node in (q, dq):
                node.replace_input_with(2, literal(np.asarray(one.zero + 128, np.uint8)))
            value.dtype = ir.DataType.UINT8
