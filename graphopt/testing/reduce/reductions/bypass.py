"""Bypass nodes: who uses the output of a node uses one of its inputs."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from graphopt.ir import graphs, is_constant_node, same_shape
from graphopt.testing.reduce.case import Case, Take, use_instead


def bypass_nodes(case: Case, take: Take) -> None:
    """Let an input of the same type and shape take the place of each node's first output."""
    _bypass(case, take, lambda value, output: same_shape(value.shape, output.shape))


def bypass_any_shape(case: Case, take: Take) -> None:
    """Let an input of the same type, but of another shape, take the place of each node's first output."""
    _bypass(case, take, lambda value, output: not same_shape(value.shape, output.shape))


def _bypass(case: Case, take: Take, fits: Callable[[ir.Value, ir.Value], bool]) -> None:
    for graph in graphs(case.model):
        for node in reversed(graph):
            taken = [source for source in _sources(node, fits) if take()]
            if taken:
                use_instead(node.outputs[0], taken[0], once=graph is case.model.graph)


def _sources(node: ir.Node, fits: Callable[[ir.Value, ir.Value], bool]) -> list[ir.Value]:
    if is_constant_node(node) or not node.outputs:
        return []
    output = node.outputs[0]
    if not (output.uses() or output.is_graph_output()):
        return []
    # A graph output must come from a node of its graph.
    inputs = [value for value in dict.fromkeys(node.inputs) if value is not None]
    if output.is_graph_output():
        inputs = [value for value in inputs if value.producer() is not None and value.graph is output.graph]
    return [value for value in inputs if value.type == output.type and fits(value, output)]
