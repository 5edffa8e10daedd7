"""Peak activation memory of a graph in the order its nodes stand in.

A value lives from the node that makes it to the last one that uses it; graph inputs live from the start and
graph outputs to the end. Views share the memory of what they view. Constants stand apart, and no operator
writes over its input: that is left to a memory planner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import onnx_ir as ir

from graphopt.ir import facts, graph_and_bodies, subgraphs


def peak_bytes(graph: ir.Graph, size: Callable[[ir.Value], int], inner: Mapping[ir.Node, int]) -> int:
    """The most bytes alive at one time.

    Args:
        graph: The graph, in execution order.
        size: Bytes of a value; 0 for a constant.
        inner: Peak of the bodies of each control-flow node, alive while that node runs.
    """
    nodes = list(graph)
    owner: dict[ir.Value, ir.Value] = {}
    last = dict.fromkeys(graph.inputs, -1)  # values of outer graphs never enter
    for index, node in enumerate(nodes):
        view = facts(node).view and node.inputs and node.inputs[0] is not None
        for value in _uses(node):
            _extend(last, owner.get(value, value), index)
        for value in node.outputs:
            if view:
                source = node.inputs[0]
                assert source is not None
                owner[value] = owner.get(source, source)
            else:
                last[value] = index
    for value in graph.outputs:
        _extend(last, owner.get(value, value), len(nodes))

    freed: dict[int, int] = {}
    for value, index in last.items():
        freed[index] = freed.get(index, 0) + size(value)
    alive = sum(size(value) for value in graph.inputs)
    peak = alive
    alive -= freed.get(-1, 0)
    for index, node in enumerate(nodes):
        alive += sum(size(value) for value in node.outputs if value not in owner)
        peak = max(peak, alive + inner.get(node, 0))
        alive -= freed.get(index, 0)
    return peak


def _extend(last: dict[ir.Value, int], value: ir.Value, index: int) -> None:
    if value in last:
        last[value] = index


def _uses(node: ir.Node) -> Iterable[ir.Value]:
    """Values that the node or a body of it reads, those of other graphs included."""
    yield from (value for value in node.inputs if value is not None)
    if not node.attributes:
        return
    for body in subgraphs(node):
        for graph in graph_and_bodies(body):
            for inner in graph:
                yield from (value for value in inner.inputs if value is not None)
            yield from graph.outputs
