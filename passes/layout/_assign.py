"""Give the nodes of a graph the layouts in which the fewest bytes are transposed.

A transpose that cannot vanish where it stands proposes another order to the node beside it. The proposal
spreads over all nodes that can take part, and a minimum cut says which of them should: the cut is where
transposes are to stand. Each change makes the whole cheaper, so that the search ends. A value made in two
orders for different readers costs both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import onnx_ir as ir

from graphopt.ir import Reject
from graphopt.passes.layout._cut import INFINITE, Network
from graphopt.passes.layout._flow import Flow, Use
from graphopt.passes.layout._layout import OUTPUT, Layout
from graphopt.passes.layout._perms import Perm, compose, inverse, is_identity

MOST_NODES = 1 << 13
"""Nodes of one proposal."""

Proposal = dict[ir.Node, Layout]


def assign(flow: Flow) -> bool:
    """Choose layouts; those of `flow` change. Returns whether there is any."""
    seen: set[tuple[ir.Node, tuple[object, ...]]] = set()
    for value, use in flow.unmet():
        for node, port, perm in _seeds(flow, value, use):
            _try(flow, node, port, perm, seen)
    return bool(flow.layouts)


def _seeds(flow: Flow, value: ir.Value, use: Use) -> list[tuple[ir.Node | None, int, Perm]]:
    """Let the reader take the value as it is made, or the maker make it as it is read."""
    made, wanted = flow.kept(value), flow.wanted(use)
    if made == wanted:
        return []
    return [
        (use.node, use.index, compose(inverse(use.perm), made)),
        (value.producer(), OUTPUT, wanted),
    ]


def _try(
    flow: Flow, node: ir.Node | None, port: int, perm: Perm, seen: set[tuple[ir.Node, tuple[object, ...]]]
) -> None:
    """Spread one proposal and adopt what of it makes the graph cheaper."""
    try:
        layout = flow.layout_of(node, port, perm)
    except Reject:
        return
    assert node is not None
    if (node, _key(layout)) in seen:
        return
    proposal, orders = _spread(flow, node, layout)
    seen.update((each, _key(proposed)) for each, proposed in proposal.items())
    chosen = _cut(flow, proposal, orders)
    if not chosen:
        return
    values = dict.fromkeys(value for each in chosen for value in _around(flow, each))
    before = flow.total(values, chosen)
    old = {each: flow.layouts.get(each) for each in chosen}
    for each in chosen:
        _set(flow, each, proposal[each])
    if flow.total(values, chosen) < before:
        return
    for each, was in old.items():
        _set(flow, each, was)


def _set(flow: Flow, node: ir.Node, layout: Layout | None) -> None:
    if layout is None or (is_identity(layout.outputs) and all(map(is_identity, layout.inputs.values()))):
        flow.layouts.pop(node, None)
    else:
        flow.layouts[node] = layout


def _key(layout: Layout) -> tuple[object, ...]:
    return layout.outputs, *sorted(layout.inputs.items())


def _around(flow: Flow, node: ir.Node) -> Iterable[ir.Value]:
    """The values that a node reads and makes."""
    yield from (value for _, value, _ in flow.reads(node))
    yield from (value for value in node.outputs if value in flow.uses)


def _spread(flow: Flow, node: ir.Node, layout: Layout) -> tuple[Proposal, dict[ir.Value, Perm]]:
    """Let a proposal reach all nodes that can take part, and the order that it has for each value."""
    proposal: Proposal = {}
    orders: dict[ir.Value, Perm] = {}
    queue = deque([(node, layout)])
    while queue and len(proposal) < MOST_NODES:
        node, layout = queue.popleft()
        if node in proposal:
            continue
        touched = _orders(flow, node, layout)
        if any(orders.get(value, order) != order for value, order in touched):
            continue  # two ways here ask for two orders
        proposal[node] = layout
        for value, order in touched:
            if value not in orders:
                orders[value] = order
                queue.extend(_neighbours(flow, value, order, proposal))
    return proposal, orders


def _orders(flow: Flow, node: ir.Node, layout: Layout) -> list[tuple[ir.Value, Perm]]:
    """The orders in which a node in a layout reads and makes its values."""
    found = [(value, layout.outputs) for value in node.outputs if value in flow.uses]
    for index, value, perm in flow.reads(node):
        own = layout.perm(index)
        if own is not None:
            found.append((value, compose(perm, own)))
    return found


def _neighbours(
    flow: Flow, value: ir.Value, order: Perm, proposal: Proposal
) -> Iterable[tuple[ir.Node, Layout]]:
    """Nodes that could make or read a value in an order and do not yet."""
    producer = value.producer()
    asked: list[tuple[ir.Node | None, int, Perm]] = []
    if flow.kept(value) != order:
        asked.append((producer, OUTPUT, order))
    asked += [
        (use.node, use.index, compose(inverse(use.perm), order))
        for use in flow.uses[value]
        if flow.wanted(use) != order
    ]
    for node, port, perm in asked:
        if node is None or node in proposal:
            continue
        try:
            yield node, flow.layout_of(node, port, perm)
        except Reject:
            continue


def _cut(flow: Flow, proposal: Proposal, orders: dict[ir.Value, Perm]) -> list[ir.Node]:
    """The nodes that should follow a proposal: the source's side of a minimum cut."""
    network = Network()
    vertices = {node: network.vertex() for node in proposal}
    for node, vertex in vertices.items():
        more = flow.penalty(node, proposal[node]) - flow.penalty(node, flow.layouts.get(node))
        network.arc(vertex, Network.SINK, max(more, 0))
        network.arc(Network.SOURCE, vertex, max(-more, 0))
    for value, order in orders.items():
        _join(flow, network, vertices, value, order)
    side = network.source_side()
    return [node for node, vertex in vertices.items() if vertex in side]


def _join(flow: Flow, network: Network, vertices: dict[ir.Node, int], value: ir.Value, order: Perm) -> None:
    """The arcs of one value: what it costs if only some of those who make and read it follow."""
    made = flow.kept(value)
    maker = vertices.get(value.producer(), Network.SINK)  # type: ignore[arg-type]
    groups: dict[Perm, list[Use]] = {}
    for use in flow.uses[value]:
        groups.setdefault(flow.wanted(use), []).append(use)
    readers = {
        id(use): Network.SINK if use.node is None else vertices.get(use.node, Network.SINK)
        for uses in groups.values()
        for use in uses
    }
    for perm, uses in groups.items():
        if perm == order:
            continue
        # The order that some read now is needed until all of them follow.
        group = _all(network, [readers[id(use)] for use in uses])
        if perm == made:
            network.arc(maker, group, flow.move(value, order, perm, uses))
        else:
            network.arc(Network.SOURCE, group, flow.move(value, made, perm, uses))
    if order == made:
        return
    # The order proposed is needed as soon as one follows, unless the maker does as well.
    following = _any(
        network,
        [readers[id(use)] for uses in groups.values() for use in uses if readers[id(use)] != Network.SINK],
    )
    start = Network.SOURCE if order in groups else following
    network.arc(
        start, maker, flow.move(value, made, order, [use for uses in groups.values() for use in uses])
    )


def _all(network: Network, vertices: list[int]) -> int:
    """A vertex that is on the source's side only if all these are."""
    if len(set(vertices)) == 1:
        return vertices[0]
    made = network.vertex()
    for vertex in vertices:
        network.arc(made, vertex, INFINITE)
    return made


def _any(network: Network, vertices: list[int]) -> int:
    """A vertex that is on the source's side as soon as one of these is."""
    made = network.vertex()
    for vertex in vertices:
        network.arc(vertex, made, INFINITE)
    return made
