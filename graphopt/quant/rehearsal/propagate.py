"""The step that lets Q and DQ move past nodes that only move elements, as pairs of the same codes."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from graphopt.ir import constant_tensor
from graphopt.quant.pairs import codes_of, consumers, edges, is_dq, is_q, producer
from graphopt.quant.rehearsal.edits import alike, insert, replace


def propagate(graph: ir.Graph, passable: Mapping[str, int], opset: int) -> None:
    """Put a Q and DQ behind what follows a DQ, and before what precedes a Q.

    Args:
        graph: The copy's graph.
        passable: Operators that they move past, with the opset from which on.
        opset: The graph's.
    """
    names = {name for name, version in passable.items() if opset >= version}
    for dq in [node for node in graph if is_dq(node)]:
        value = dq.outputs[0]
        known = codes_of(dq).constant and constant_tensor(dq.inputs[0]) is None
        if known and edges(value) == 1 and not value.is_graph_output() and consumers(value):
            _forward(dq, consumers(value)[0][0], names)
    for q in [node for node in graph if is_q(node)]:
        if codes_of(q).constant:
            _backward(q, names)


def _forward(dq: ir.Node, node: ir.Node, names: set[str]) -> None:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if node.domain or node.op_type not in names:
            continue
        value = node.outputs[0]
        readers = consumers(value)
        is_output = value.is_graph_output()
        inside = edges(value) > len(readers)
        if not (is_output or readers) or inside or any(is_q(reader) for reader, _ in readers):
            continue
        q = insert(node, "QuantizeLinear", [value, *dq.inputs[1:]], after=True, domain=dq.domain)
        if is_output:
            made = _dequantized(q, dq, value)
            replace(value, made)
            q.replace_input_with(0, value)
        for reader, place in readers:
            reader.replace_input_with(place, _dequantized(q, dq, value))
            waiting.append(reader)


def _dequantized(q: ir.Node, dq: ir.Node, like: ir.Value) -> ir.Value:
    made = insert(q, "DequantizeLinear", [q.outputs[0], *dq.inputs[1:]], after=True, domain=dq.domain)
    return alike(made.outputs[0], like)


def _backward(q: ir.Node, names: set[str]) -> None:
    node = _only_source(q)
    while node is not None and not node.domain and node.op_type in names:
        source, data = _only_source(node), node.inputs[0]
        if data is None or is_dq(source) or (source is None and producer(data, q.graph) is not None):
            return
        before = insert(node, "QuantizeLinear", [data, *q.inputs[1:]], domain=q.domain)
        node.replace_input_with(0, _dequantized(before, q, data))
        node = source


def _only_source(node: ir.Node) -> ir.Node | None:
    """What makes a node's data, for this node alone."""
    data = node.inputs[0]
    made = producer(data, node.graph)
    if made is None or data is None or data.is_graph_output() or edges(data) != 1:
        return None
    return made
