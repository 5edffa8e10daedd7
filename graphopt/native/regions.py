"""Regions of a graph that a program can run: maximal, convex, and with work on codes in them.

A region is convex where no path leaves it and comes back, so that one node can stand for it. Reads graphs,
never changes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir import constant_tensor, graph_and_bodies, subgraphs
from graphopt.quant.judge import integer_kind
from graphopt.quant.pairs import is_dq, is_q
from graphopt.quant.predict import HEAVY

BYTES = frozenset({ir.DataType.UINT8, ir.DataType.INT8})


@dataclass(frozen=True)
class Region:
    """Nodes that one program can stand for.

    Attributes:
        nodes: In topological order, without those on constants alone.
        inputs: Values that it reads of the graph around it; no constants; codes where that decodes.
        outputs: Its values that are read around it, or are outputs of the graph.
        stays: Its nodes that what is around it needs beside the program: DequantizeLinears that a runtime
            fuses into their other readers.
    """

    nodes: tuple[ir.Node, ...]
    inputs: tuple[ir.Value, ...]
    outputs: tuple[ir.Value, ...]
    stays: frozenset[ir.Node]

    @property
    def name(self) -> str:
        """That of its first node with work on codes, which tells it from others."""
        first = next((node for node in self.nodes if is_work(node)), self.nodes[0])
        return first.name or next((value.name for value in first.outputs if value.name), "")


def find_regions(graph: ir.Graph, unsupported: Callable[[ir.Node], str | None]) -> list[Region]:
    """The regions of a graph, in the order of their first nodes.

    Args:
        graph: In topological order; its bodies are not looked into.
        unsupported: Why no program can run a node; None where one can.
    """
    flow = _Flow(graph)
    supported = [unsupported(node) is None for node in flow.nodes]
    parts = [
        [flow.nodes[index] for index in sorted(part)]
        for members in _merged(flow, supported)
        for part in _connected(flow, _peeled(flow, members))
    ]
    parts = [part for part in parts if any(map(is_work, part))]
    owner = {node: number for number, part in enumerate(parts) for node in part}
    regions = [_region(flow, part, owner, unsupported) for part in parts]
    return [region for region in regions if region.outputs]  # others are dead


def is_work(node: ir.Node) -> bool:
    """Whether a node does on codes, or on weights in codes, what takes time in float."""
    kind = integer_kind(node.domain, node.op_type)
    return bool(kind) or (node.op_type in HEAVY and reads_codes(node))


def reads_codes(node: ir.Node) -> bool:
    """Whether an input of a node is what codes stand for that are no constants."""
    return any(_is_decoded(value) for value in node.inputs)


class _Flow:
    """Which nodes of a graph read which; those on constants alone count as constants.

    Attributes:
        nodes: All others, in order.
        before: Places of the nodes that each one reads.
        after: Places of its readers.
    """

    def __init__(self, graph: ir.Graph) -> None:
        constant: set[ir.Value] = set()
        self.nodes: list[ir.Node] = []
        for node in graph:
            inputs = list(_read(node))
            fixed = bool(inputs) and not node.domain and not any(subgraphs(node))
            if (fixed or node.op_type == "Constant") and all(
                value in constant or constant_tensor(value) is not None for value in inputs
            ):
                constant.update(node.outputs)
            else:
                self.nodes.append(node)
        self.constant = constant
        place = {node: index for index, node in enumerate(self.nodes)}
        self.before: list[set[int]] = []
        self.after: list[set[int]] = [set() for _ in self.nodes]
        for index, node in enumerate(self.nodes):
            makers = (value.producer() for value in _read(node))
            found = {place[maker] for maker in makers if maker in place}
            self.before.append(found)
            for maker in found:
                self.after[maker].add(index)

    def is_constant(self, value: ir.Value) -> bool:
        """Whether a value is the same in every run."""
        return value in self.constant or constant_tensor(value) is not None


def _read(node: ir.Node) -> Iterator[ir.Value]:
    """What a node and its bodies read, values of the bodies included."""
    yield from (value for value in node.inputs if value is not None)
    for body in subgraphs(node):
        for graph in graph_and_bodies(body):
            for inner in graph:
                yield from (value for value in inner.inputs if value is not None)
            yield from graph.outputs


def _merged(flow: _Flow, supported: Sequence[bool]) -> Iterator[list[int]]:
    """Convex sets of supported nodes that hang together, each as large as it gets.

    Nodes alike in how often a path to them changes between supported and not, and joined by edges of such
    nodes, are convex; sets of those are merged where no path between two of them goes another way.
    """
    level: list[int] = []
    for index, before in enumerate(flow.before):
        steps = (level[one] + (supported[one] != supported[index]) for one in before)
        level.append(max(steps, default=int(not supported[index])))
    owner = list(range(len(flow.nodes)))

    def find(index: int) -> int:
        while owner[index] != index:
            owner[index] = owner[owner[index]]
            index = owner[index]
        return index

    edges = [
        (one, index)
        for index, before in enumerate(flow.before)
        if supported[index]
        for one in sorted(before)
        if supported[one]
    ]
    for one, other in edges:
        if level[one] == level[other]:
            owner[find(other)] = find(one)
    members: dict[int, list[int]] = {}
    for index in range(len(flow.nodes)):
        members.setdefault(find(index), []).append(index)
    for one, other in edges:
        first, second = find(one), find(other)
        if first != second and not _is_detour(flow, find, members, first, second):
            owner[second] = first
            members[first] += members.pop(second)
    yield from (found for found in members.values() if supported[found[0]])


def _is_detour(
    flow: _Flow, find: Callable[[int], int], members: dict[int, list[int]], first: int, second: int
) -> bool:
    """Whether a path leads from one set to another through nodes of neither."""
    waiting = {find(after) for index in members[first] for after in flow.after[index]} - {first, second}
    seen = set(waiting)
    while waiting:
        reached = {find(after) for index in members[waiting.pop()] for after in flow.after[index]}
        if second in reached:
            return True
        waiting |= reached - seen
        seen |= reached
    return False


def _peeled(flow: _Flow, members: Iterable[int]) -> set[int]:
    """The members without those at the edges that a runtime does as well, or better, around the program.

    These are nodes in float that have nothing to do with codes, and the QuantizeLinear of what a node around
    the region makes of codes: runtimes compute such nodes on codes only with it.
    """
    left = set(members)
    waiting = set(left)
    while waiting:
        index = waiting.pop()
        if index not in left or not _is_peel(flow, left, index):
            continue
        left.remove(index)
        waiting |= (flow.before[index] | flow.after[index]) & left
    return left


def _is_peel(flow: _Flow, left: set[int], index: int) -> bool:
    node = flow.nodes[index]
    first, last = not flow.before[index] & left, not flow.after[index] & left
    if is_q(node):
        maker = node.inputs[0].producer() if node.inputs[0] is not None else None
        return first and maker is not None and not is_dq(maker) and reads_codes(maker)
    if not first and not last:
        return False
    to_codes = any(is_q(reader) for output in node.outputs for reader in output.consumers())
    return not (_decodes(node) or is_work(node) or any(map(_is_of_codes, node.inputs)) or to_codes)


def _connected(flow: _Flow, members: set[int]) -> Iterator[set[int]]:
    left = set(members)
    while left:
        waiting, part = {min(left)}, set[int]()
        while waiting:
            index = waiting.pop()
            part.add(index)
            waiting |= ((flow.before[index] | flow.after[index]) & left) - part
        left -= part
        yield part


def _region(
    flow: _Flow,
    nodes: list[ir.Node],
    owner: Mapping[ir.Node, int],
    unsupported: Callable[[ir.Node], str | None],
) -> Region:
    inside = set(nodes)
    stays: set[ir.Node] = set()
    outputs: dict[ir.Value, None] = {}
    for node in nodes:
        for value in node.outputs:
            if not value.is_graph_output() and all(reader in inside for reader in value.consumers()):
                continue
            codes = node.inputs[0]
            if codes is not None and _is_handed_over(node, owner):
                stays.add(node)
                if codes.producer() in inside:
                    outputs.setdefault(codes)
                continue
            outputs.setdefault(value)
    inputs: dict[ir.Value, None] = {}
    for node in nodes:
        if node in stays and all(reader not in inside for reader in node.outputs[0].consumers()):
            continue
        for read in node.inputs:
            if read is None or read.producer() in inside or flow.is_constant(read):
                continue
            maker, codes = read.producer(), None
            if maker is not None and is_dq(maker) and unsupported(maker) is None:
                codes = maker.inputs[0] if maker not in owner or _is_handed_over(maker, owner) else None
            if codes is None or codes.producer() not in inside:
                inputs.setdefault(codes or read)
    return Region(tuple(nodes), tuple(inputs), tuple(outputs), frozenset(stays))


def _is_handed_over(node: ir.Node, owner: Mapping[ir.Node, int]) -> bool:
    """Whether a node of a region decodes for readers around that had better read its codes.

    These are other regions, and what a runtime computes on codes.
    """
    if not is_dq(node) or node.outputs[0].is_graph_output():
        return False
    around = [reader for reader in node.outputs[0].consumers() if owner.get(reader) != owner[node]]
    return all(reader in owner or _fuses(reader) for reader in around)


def _fuses(node: ir.Node) -> bool:
    """Whether a runtime may compute a reader of decoded values on the codes themselves."""
    return node.op_type in HEAVY or any(
        is_q(reader) for output in node.outputs for reader in output.consumers()
    )


def _decodes(node: ir.Node) -> bool:
    """Whether a node makes numbers of codes: by a scale, or as they are, as of an image in bytes."""
    read = node.inputs[0] if node.inputs else None
    is_cast = node.op_type == "Cast" and not node.domain
    return is_dq(node) or (is_cast and read is not None and read.dtype in BYTES)


def _is_of_codes(value: ir.Value | None) -> bool:
    maker = None if value is None else value.producer()
    return _is_decoded(value) or (maker is not None and not is_dq(maker) and _decodes(maker))


def _is_decoded(value: ir.Value | None) -> bool:
    maker = None if value is None else value.producer()
    return maker is not None and is_dq(maker) and constant_tensor(maker.inputs[0]) is None
