"""Bypass nodes: who uses the output of a node uses one of its inputs."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir import graphs, is_constant_node, same_shape
from graphopt.testing.reduce.case import Case, Take, use_instead


def bypass_nodes(case: Case, take: Take) -> None:
    """Let an input of the same type and shape take the place of each node's first output."""
    for graph in graphs(case.model):
        for node in reversed(graph):
            source = _fitting_input(node)
            if source is not None and take():
                use_instead(node.outputs[0], source)


def _fitting_input(node: ir.Node) -> ir.Value | None:
    if is_constant_node(node) or not node.outputs:
        return None
    output = node.outputs[0]
    if output.type is None or output.shape is None:
        return None
    for value in node.inputs:
        if value is None or value.type != output.type or value.shape is None:
            continue
        # A graph output must come from a node of its graph.
        made_here = value.producer() is not None and value.graph is output.graph
        if same_shape(value.shape, output.shape) and (made_here or not output.is_graph_output()):
            return value
    return None
