"""Find regions with one entry that end at a node: what an idiom may be spelled with.

Grown backwards from the end, always through the value that stands deepest in the graph, so that paths that
part at the entry meet there again. Linear: a region has at most `MOST_NODES` nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir import constant_tensor

MOST_NODES = 24


@dataclass(frozen=True, slots=True)
class Region:
    """Nodes that compute one value from one other value and constants.

    Attributes:
        entry: The value that they read.
        nodes: In topological order; the last one makes the result.
    """

    entry: ir.Value
    nodes: tuple[ir.Node, ...]

    @property
    def end(self) -> ir.Value:
        """The value that the region makes."""
        return self.nodes[-1].outputs[0]


class Ranks:
    """How deep values stand in their graph: more than all values that they are computed from.

    Ranks stay valid while regions are replaced by values of no more inputs: a graph only gets shallower.
    """

    def __init__(self) -> None:
        self._known: dict[ir.Value, int] = {}

    def __call__(self, value: ir.Value) -> int:
        """The longest path from a graph input, constant or outer value to `value`, in nodes."""
        known = self._known
        if value in known:
            return known[value]
        stack = [value]
        while stack:
            current = stack[-1]
            node = current.producer()
            inputs = () if node is None else tuple(each for each in node.inputs if each is not None)
            unknown = [each for each in inputs if each not in known]
            if unknown:
                stack.extend(unknown)
                continue
            known[current] = 1 + max((known[each] for each in inputs), default=-1)
            stack.pop()
        return known[value]


def regions_ending_at(
    end: ir.Node, ranks: Ranks, expandable: Callable[[ir.Node], bool], most: int = MOST_NODES
) -> Iterator[Region]:
    """Every region with one entry that ends at a node, smallest first.

    Args:
        end: Its first output is the result.
        ranks: Of the values of the graph.
        expandable: Whether a node may stand inside a region.
        most: Number of nodes at which growing stops.
    """
    inside = [end]
    frontier = _open(end, {})
    while frontier and len(inside) <= most:
        if len(frontier) == 1:
            yield Region(next(iter(frontier)), tuple(reversed(inside)))
        deepest = max(frontier, key=ranks) if len(frontier) > 1 else next(iter(frontier))
        del frontier[deepest]
        producer = deepest.producer()
        if producer is None or producer.graph is not end.graph or not expandable(producer):
            return
        inside.append(producer)
        _open(producer, frontier)


def removable(region: Region) -> list[ir.Node]:
    """The nodes of a region that nobody needs once its result comes from elsewhere."""
    gone: dict[ir.Node, None] = {region.nodes[-1]: None}
    for node in reversed(region.nodes[:-1]):
        used = (use.node for output in node.outputs for use in output.uses())
        if all(user in gone for user in used) and not any(out.is_graph_output() for out in node.outputs):
            gone[node] = None
    return list(gone)


def _open(node: ir.Node, frontier: dict[ir.Value, None]) -> dict[ir.Value, None]:
    """Add the inputs of a node that are no constants."""
    for value in node.inputs:
        if value is not None and constant_tensor(value) is None:
            frontier[value] = None
    return frontier
