"""Topological order of the nodes of a graph and of the calls between functions; cycles are named.

It moves nodes and nothing else. The order is stable: nodes already in order stay where they are.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import onnx

from graphopt.errors import ModelError
from graphopt.io.names import nested_nodes, told

NODES_SHOWN = 8

_Key = TypeVar("_Key", bound=Hashable)


def sort_nodes(nodes: Any, where: str) -> None:
    """Put a repeated field of nodes into topological order (Kahn's algorithm, smallest index first).

    Args:
        nodes: `GraphProto.node` or `FunctionProto.node`, every value defined once.
        where: How messages call the graph.

    Raises:
        ModelError: There is a cycle; the message names the nodes on it.
    """
    given: list[onnx.NodeProto] = list(nodes)
    producer = {name: index for index, node in enumerate(given) for name in node.output if name}
    reads = [_read_from(node, producer) for node in given]
    readers: list[list[int]] = [[] for _ in given]
    for index, sources in enumerate(reads):
        for source in sources:
            readers[source].append(index)
    waiting = [len(sources) for sources in reads]
    ready = [index for index, count in enumerate(waiting) if count == 0]
    order = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for reader in readers[index]:
            waiting[reader] -= 1
            if waiting[reader] == 0:
                heapq.heappush(ready, reader)
    if len(order) < len(given):
        cycle = find_cycle({index: reads[index] for index, count in enumerate(waiting) if count})
        steps = [told(given[index]) for index in (cycle[0], *reversed(cycle[1:]))]
        shown = steps if len(steps) <= NODES_SHOWN else [*steps[:NODES_SHOWN], "..."]
        raise ModelError(f"{where} has a cycle of {len(steps)} nodes: {' -> '.join([*shown, steps[0]])}")
    del nodes[:]
    nodes.extend(given[index] for index in order)


def find_cycle(edges: Mapping[_Key, Sequence[_Key]]) -> list[_Key]:
    """The keys on one cycle of a graph, each with an edge to the next; empty if there is none."""
    finished: set[_Key] = set()
    for root in edges:
        path: dict[_Key, Iterator[_Key]] = {}
        step: _Key | None = root if root not in finished else None
        while step is not None or path:
            if step is not None:
                path[step] = iter(edges[step])
            last = next(reversed(path))
            step = None
            for target in path[last]:
                if target in path:
                    keys = list(path)
                    return keys[keys.index(target) :]
                if target in edges and target not in finished:
                    step = target
                    break
            else:
                finished.add(last)
                del path[last]
    return []


def _read_from(node: onnx.NodeProto, producer: Mapping[str, int]) -> list[int]:
    """Indices of the nodes whose outputs `node` or its bodies read."""
    readers = nested_nodes([node]) if node.attribute else [node]
    return list(
        dict.fromkeys(producer[name] for reader in readers for name in reader.input if name in producer)
    )
