"""Put nodes into an order in which fewer bytes are alive at a time.

Runtimes that run nodes as they stand in the file benefit, onnxruntime among them with
`execution_order = PRIORITY_BASED`. By default it makes an order of its own from the file's. What runtimes do
with memory is not assumed either: an order is taken only if its peak is lower in one of these cases and
higher in none: nodes run in the file's order or in onnxruntime's; elementwise nodes overwrite operands that
die, or nothing does, or inputs stay alive for the whole run; free dimensions have the sizes assumed, or twice
those. What onnxruntime holds on to for later values of the same shape is not counted; its session option
`enable_mem_reuse = False` turns that off. Graphs in which nothing is gained keep their order. Constants and
what is made of them alone come first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.cost.dims import Dims
from graphopt.errors import ModelError
from graphopt.ir import Changes, graphs, refresh_shapes
from graphopt.memory.aliases import Kind, links
from graphopt.memory.liveness import ALIGNMENT, FREE, Pins
from graphopt.memory.order import Limits, Problem, best_order, peak
from graphopt.memory.order.greedy import greedy_orders
from graphopt.memory.order.runtimes import depth_first
from graphopt.memory.steps import ShapeOf, Steps, steps_of
from graphopt.memory.storages import join
from graphopt.pipeline import Pass

ROUNDS = 8
"""Searches of one graph: each starts from the order of the one before, and the last finds nothing."""

MANY_STEPS = 3000
"""Of a graph, above which only the best order of each way is looked at."""


@dataclass(frozen=True)
class Reorder(Pass):
    """Put nodes into an order in which fewer bytes are alive at a time.

    Attributes:
        states: Sets of nodes that a search may look at, about a microsecond each.
        default_too: Take no order of which onnxruntime would by default make one with a higher peak.
    """

    name: ClassVar[str] = "reorder"
    exact: ClassVar[bool] = True

    states: int = 100_000
    default_too: bool = True

    def apply(self, model: ir.Model, changes: Changes) -> None:
        refresh_shapes(model)
        dims = Dims(model)
        shapes = [dims.known_shape]
        free = {name: 2 * size for name, size in dims.assumed.items() if "[" not in name}
        if free:
            shapes.append(Dims(model, free).known_shape)
        for graph in reversed(list(graphs(model))):  # what a body takes counts outside of it
            try:
                moved = self._reorder(graph, shapes)
            except ModelError as error:
                changes.refuse(_reason(error), graph.name)
                continue
            if moved:
                changes.add("graph with a lower peak")

    def _reorder(self, graph: ir.Graph, shapes: Sequence[ShapeOf]) -> bool:
        steps = [steps_of(graph, shape, _peak_of_bodies(shape)) for shape in shapes]
        ways = list(_ways(steps))
        nodes = list(steps[0].nodes)
        moved = False
        for _ in range(ROUNDS):
            order = self._better(ways)
            if order is None:
                break
            ways = [problem.renumbered(order) for problem in ways]
            nodes = [nodes[step] for step in order]
            moved = True
        if moved:
            first = set(nodes)
            graph.extend([*(node for node in graph if node not in first), *nodes])
        return moved

    def _better(self, ways: Sequence[Problem]) -> list[int] | None:
        """An order of the steps that is better in one way and worse in none; None if none is found."""
        given = list(range(len(ways[0].before)))
        before = list(self._peaks(ways, given))
        for orders in self._candidates(ways[:2], given):
            better = []
            for order in orders:
                after = _no_worse(self._peaks(ways, order), before)
                if after is not None and after != before:
                    better.append((after, order))
            if better:
                return min(better)[1]
        return None

    def _candidates(self, ways: Sequence[Problem], given: list[int]) -> Iterator[list[list[int]]]:
        """Orders to look at together, the most promising first."""
        limits = Limits(self.states)
        is_best = True
        for problem in ways:
            found = best_order(problem, given, limits)
            yield [list(found.order)]
            is_best = is_best and found.given == found.bound
        if is_best or len(given) > MANY_STEPS:
            return
        orders = [order for problem in ways for order in greedy_orders(problem)]
        yield [*orders, *(depth_first(ways[0].before, order) for order in orders)]
        yield [list(best_order(ways[0], depth_first(ways[0].before, given), limits).order)]

    def _peaks(self, ways: Sequence[Problem], order: list[int]) -> Iterator[int]:
        """Peaks of an order in the file, in each way, and those of the order onnxruntime makes of it."""
        yield from (peak(problem, order) for problem in ways)
        if self.default_too:
            theirs = depth_first(ways[0].before, order)
            yield from (peak(problem, theirs) for problem in ways)


def _no_worse(after: Iterable[int], before: Iterable[int]) -> list[int] | None:
    """The peaks of an order if none is higher than before; they are made one by one, and slowly."""
    found = []
    for now, then in zip(after, before, strict=True):
        if now > then:
            return None
        found.append(now)
    return found


def _ways(steps: Sequence[Steps]) -> Iterator[Problem]:
    """What a runtime may do with memory, at each of the sizes; views are free in all."""
    for each in steps:
        views = [link for link in links(each, alignment=ALIGNMENT) if link.kind is Kind.VIEW]
        for take_over, pins in ((True, FREE), (False, FREE), (True, Pins(inputs=True))):
            yield Problem.of(join(each, views, pins=pins, take_over=take_over))


def _peak_of_bodies(shape: ShapeOf) -> Callable[[ir.Node, ir.Graph], int]:
    """What the body of a node takes in its order, where only views share memory."""

    def bytes_of(node: ir.Node, body: ir.Graph) -> int:
        steps = steps_of(body, shape, bytes_of)
        views = [link for link in links(steps, alignment=ALIGNMENT) if link.kind is Kind.VIEW]
        problem = Problem.of(join(steps, views, take_over=False))
        return peak(problem, range(len(steps.nodes)))

    return bytes_of


def _reason(error: ModelError) -> str:
    """The reason without the name of the value, so that places of one kind count together."""
    return "a value has no known size" if "memory" in error.message else error.message
