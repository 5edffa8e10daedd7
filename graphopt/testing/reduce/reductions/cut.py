"""Cut nodes out of the main graph: what they gave to others becomes an input, what fed only them an output.

Taken in halves, quarters and so on of the order of execution, this finds the part of a large graph that
matters in a number of steps logarithmic in its nodes.
"""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir import is_constant_node
from graphopt.testing.reduce.case import Case, Take, top_nodes
from graphopt.testing.reduce.tidy import detach


def cut_nodes(case: Case, take: Take) -> None:
    """Cut each node out, the last first; of the rest, what nothing uses any more becomes an output."""
    _cut(case, take, share=False)


def cut_nodes_and_share(case: Case, take: Take) -> None:
    """Cut each node out; whatever fed it becomes an output, even where others use it too."""
    _cut(case, take, share=True)


def _cut(case: Case, take: Take, *, share: bool) -> None:
    graph = case.model.graph
    taken = [node for node in reversed(graph) if not is_constant_node(node) and take()]
    if not taken:
        return
    tops = top_nodes(graph)
    removed = set(taken)
    for node in taken:  # users come before what they use
        needed = [output for output in node.outputs if _users(output, tops) - removed]
        if any(output.type is None or not output.name for output in needed):
            removed.discard(node)
    ends = _ends(graph, removed, tops, share)
    outputs = [value for value in graph.outputs if value.producer() not in removed]
    graph.outputs[:] = list(dict.fromkeys([*outputs, *ends]))
    for node in removed:
        detach(node)
    for node in reversed(taken):
        for output in node.outputs if node in removed else ():
            if output.uses():
                case.add_input(output)
    graph.remove(removed)


def _ends(
    graph: ir.Graph, removed: set[ir.Node], tops: dict[ir.Graph, ir.Node], share: bool
) -> list[ir.Value]:
    """Values of nodes that stay which become outputs."""
    ends = []
    for node in graph:
        if node in removed or is_constant_node(node):
            continue
        users = {output: _users(output, tops) for output in node.outputs}
        cut = [output for output, nodes in users.items() if nodes & removed and output.type is not None]
        alive = any(nodes - removed or output.is_graph_output() for output, nodes in users.items())
        if share or not alive:
            ends += cut
    return ends


def _users(value: ir.Value, tops: dict[ir.Graph, ir.Node]) -> set[ir.Node]:
    """The nodes of the main graph that use a value, themselves or in their bodies."""
    found = set()
    for user in value.consumers():
        assert user.graph is not None
        found.add(tops.get(user.graph, user))
    return found
