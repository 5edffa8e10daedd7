"""Judges single nodes of a rehearsed copy: what a rule asks for, and what of it is missing.

Every reason that a prediction gives is worded in this package or in `OpRule.refusal`.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir import constant
from graphopt.quant.judge.codes import check_scales, check_types
from graphopt.quant.judge.inputs import check_bias, dequantized
from graphopt.quant.judge.kinds import FLOAT, GONE, INT8, WEIGHT_ONLY, integer_kind
from graphopt.quant.judge.outputs import quantizers
from graphopt.quant.judge.site import Obstacle, Site
from graphopt.quant.judge.weights import weight_only
from graphopt.quant.pairs import is_dq, is_q
from graphopt.quant.rules import OpRule, QuantizationRules
from graphopt.quant.wording import operator_name

_CODES = (ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT16, ir.DataType.UINT16)


@dataclass(frozen=True)
class Verdict:
    """How one node runs.

    Attributes:
        runs_in: `INT8`, `FLOAT`, `WEIGHT_ONLY` or `GONE`.
        kernel: The operator that runs it.
        cause: Why it is not int8, without names.
        detail: The same with names, the end of a sentence.
    """

    runs_in: str
    kernel: str
    cause: str
    detail: str


def judge(node: ir.Node, original: ir.Node, rules: QuantizationRules, opset: int) -> Verdict:
    """How a node of a rehearsed copy runs; sentences name the values of the node it stands for."""
    site = Site(node, original, rules, opset)
    rule = rules.of(node)
    kind = integer_kind(original.domain, original.op_type)
    if kind is not None:
        return Verdict(kind, operator_name(original), "", "it is a quantized operator")
    if all(constant(value) is not None for value in node.inputs if value is not None):
        return Verdict(GONE, "", "computed ahead of time", "all its inputs are constants")
    if rule is not None and rule.same_scale and _moves_codes(site, node.inputs[0]):
        return Verdict(INT8, operator_name(node), "", "it is given integers")
    held = weight_only(site)
    if held is not None:
        return Verdict(WEIGHT_ONLY, held.kernel, "", "its weights alone come from a DequantizeLinear")
    try:
        if rule is None:
            raise _uncovered(site)
        writes_codes = _check(site, rule)
    except Obstacle as obstacle:
        return Verdict(FLOAT, operator_name(node), obstacle.cause, obstacle.detail)
    if writes_codes:
        return Verdict(INT8, rule.kernel, "", "DequantizeLinear before it, QuantizeLinear behind it")
    kernel = rule.kernel_without_q or rule.kernel
    return Verdict(
        INT8, kernel, "", "DequantizeLinear before it; it writes floats, as no QuantizeLinear follows"
    )


def _moves_codes(site: Site, value: ir.Value | None) -> bool:
    """Whether a value holds integers, as far as types or what made it tell."""
    while value is not None:
        if value.dtype is not None:
            return value.dtype in _CODES
        node = value.producer()
        if node is None:
            return False
        if integer_kind(node.domain, node.op_type) == INT8:
            return node.op_type.startswith("QLinear") or node.op_type == "QGemm"
        rule = site.rules.of(node)
        if rule is None or not rule.same_scale:
            return is_q(node)
        value = node.inputs[0]
    return False


def _uncovered(site: Site) -> Obstacle:
    op = site.node.op_type
    runtime = site.rules.runtime.split(",")[0]
    return Obstacle(f"{op} has no integer form there", f"{runtime} has no integer form of {op}")


def _check(site: Site, rule: OpRule) -> bool:
    """Whether it writes codes.

    Raises:
        Obstacle: It does not run on codes.
    """
    node = site.node
    refusal = rule.refusal(node, site.opset)
    if refusal is not None:
        raise Obstacle(refusal, refusal)
    if not any(is_dq(value.producer()) for value in node.inputs if value is not None):
        detail = "none of its inputs comes from a DequantizeLinear"
        raise Obstacle("nothing of it is quantized", detail)
    places = rule.data_inputs(node)
    read = [dequantized(site, place) for place in places]
    if rule.weight is not None:
        read.append(dequantized(site, rule.weight, is_weight=True))
    if rule.has_bias(node):
        assert rule.bias is not None
        check_bias(site, rule, rule.bias, read)
    written = quantizers(site, rule)
    check_types(site, rule, places, read, written)
    if rule.same_scale:
        check_scales(site, rule, read[0], written)
    return bool(written)
