"""Steps about constants: what is computed ahead of time, float weights and biases that are quantized."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.execute.evaluate import evaluate
from graphopt.ir import (
    attribute_int,
    attribute_ints,
    constant,
    constant_tensor,
    facts,
    is_constant_node,
    is_deterministic,
    subgraphs,
)
from graphopt.quant.pairs import Codes, codes_of, consumers, edges, is_dq, is_q, producer
from graphopt.quant.rehearsal.edits import alike, dequantized, drop, literal, replace
from graphopt.quant.rules import OpRule, QuantizationRules

SHARED_ELEMENTS = 8
"""onnxruntime looks for equals of constants up to this size."""


def fold_constants(graph: ir.Graph, opset: int) -> None:
    """Compute what constants alone feed, but for DQs and what hangs on them."""
    known: set[ir.Value] = set()
    chosen: list[ir.Node] = []
    for node in graph:
        foldable = node.inputs and not is_dq(node) and facts(node).known and is_deterministic(node)
        if any(value.dtype is None for value in node.outputs):
            continue
        if not foldable or any(True for _ in subgraphs(node)) or is_constant_node(node):
            continue
        if all(
            value is None or value in known or constant_tensor(value) is not None for value in node.inputs
        ):
            chosen.append(node)
            known.update(node.outputs)
    if not chosen:
        return
    wanted = [value for node in chosen for value in node.outputs if _is_needed(value, chosen)]
    made = evaluate(chosen, wanted, {"": opset}).tensors
    for value, tensor in made.items():
        if not value.is_graph_output():
            replace(value, literal(tensor.numpy()))


def _is_needed(value: ir.Value, chosen: list[ir.Node]) -> bool:
    among = set(chosen)
    return any(node not in among for node, _ in value.uses())


def share_constants(graph: ir.Graph) -> None:
    """One value for equal small constants, but for those of bytes."""
    first: dict[tuple[object, ...], ir.Value] = {}
    for node in graph:
        for place, value in enumerate(node.inputs):
            array = constant(value)
            if value is None or array is None or array.size > SHARED_ELEMENTS or array.dtype.itemsize < 2:
                continue
            key = (array.dtype, array.shape, array.tobytes())
            node.replace_input_with(place, first.setdefault(key, value))


def transpose_weights(graph: ir.Graph) -> None:
    """A DQ of constants before a Transpose reads them transposed."""
    for dq in [node for node in graph if is_dq(node)]:
        weights, value = constant(dq.inputs[0]), dq.outputs[0]
        if weights is None or edges(value) != 1 or not consumers(value) or attribute_int(dq, "block_size", 0):
            continue
        transpose = consumers(value)[0][0]
        if transpose.op_type != "Transpose":
            continue
        order = attribute_ints(transpose, "perm") or list(range(weights.ndim))[::-1]
        dq.replace_input_with(0, literal(weights.transpose(order)))
        if not codes_of(dq).whole:
            axis = order.index(attribute_int(dq, "axis", 1) % weights.ndim)
            dq.attributes["axis"] = ir.AttrInt64("axis", axis)
        alike(value, transpose.outputs[0])
        drop(transpose)


def quantize_constants(graph: ir.Graph, rules: QuantizationRules) -> None:
    """A DQ for constant float weights and biases of nodes between a DQ and a Q."""
    for node in list(graph):
        rule = rules.of(node)
        if rule is None or rule.weight is None or rule.bias is None:
            continue
        source = producer(node.inputs[0], graph)
        if is_dq(source) and source is not None and codes_of(source).whole and _leads_to_q(node, rules):
            _quantize(node, rule, graph)


def _quantize(node: ir.Node, rule: OpRule, graph: ir.Graph) -> None:
    assert rule.weight is not None and rule.bias is not None
    weight = node.inputs[rule.weight]
    dq = producer(weight, graph)
    weights = constant(weight)
    if not is_dq(dq) and (weights is None or weights.dtype != np.float32):
        return
    size = None
    if rule.has_bias(node):
        bias = constant(node.inputs[rule.bias])
        if bias is None or bias.ndim != 1:
            return
        size = len(bias)
    if is_dq(dq):
        assert dq is not None
        if size is not None and not _scales_fit(codes_of(dq), dq, node, rule, size):
            return
    else:
        dequantized(node, rule.weight, np.zeros((), np.int8))
    if size is not None:
        dequantized(node, rule.bias, np.zeros((), np.int32))


def _scales_fit(codes: Codes, dq: ir.Node, node: ir.Node, rule: OpRule, size: int) -> bool:
    """Whether each output channel has one scale, so that the bias can be given it."""
    if codes.whole:
        return True
    scale = codes.scale
    if scale is None or scale.shape != (size,):
        return False
    axis = dq.attributes.get("axis")
    value = dq.inputs[0]
    dims = None if value is None or value.shape is None else len(value.shape)
    if dims is None:
        return False
    return (1 if axis is None else axis.as_int()) % dims == rule.channel_axis(node, dims)


def _leads_to_q(node: ir.Node, rules: QuantizationRules) -> bool:
    """Whether a Q follows, at most behind activations that it may absorb."""
    while True:
        value = node.outputs[0]
        readers = consumers(value)
        if edges(value) != 1 or not readers:
            return False
        node = readers[0][0]
        if is_q(node):
            return True
        if node.domain or node.op_type not in rules.absorbs:
            return False


def wrap_where_constants(graph: ir.Graph) -> None:
    """A DQ for the scalar branch of a Where whose other branch has one, and behind which a Q stands."""
    for node in [node for node in graph if node.op_type == "Where" and not node.domain]:
        readers = consumers(node.outputs[0])
        if edges(node.outputs[0]) != 1 or not readers or not is_q(readers[0][0]):
            continue
        for place, other in ((1, 2), (2, 1)):
            dq, branch = producer(node.inputs[other], graph), constant(node.inputs[place])
            if dq is None or not is_dq(dq) or branch is None or branch.shape or branch.dtype != np.float32:
                continue
            codes, written = codes_of(dq), codes_of(readers[0][0])
            if codes.dtype == written.dtype and codes.zero_point is not None and codes.scale is not None:
                dequantized(node, place, np.zeros((), codes.zero_point.dtype))
                break
