"""Put nodes into an order in which fewer bytes are alive at a time.

Runtimes allocate in the order of the file (onnxruntime fully so in its priority-based order), so any of them
benefits. What they do with memory is not assumed: an order is taken only if its peak is lower when
elementwise nodes overwrite operands that die, or when nothing does, and higher in neither case, nor where
inputs stay alive for the whole run, nor at sizes other than those assumed for free dimensions. Graphs in
which nothing is gained keep their order. Constants and what is made of them alone come first, as they do when
a runtime loads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.cost.dims import Dims
from graphopt.errors import ModelError
from graphopt.ir import Changes, graphs, refresh_shapes
from graphopt.memory.aliases import Kind, links
from graphopt.memory.liveness import ALIGNMENT, FREE, Pins
from graphopt.memory.order import Limits, Problem, best_order, trace
from graphopt.memory.steps import ShapeOf, Steps, steps_of
from graphopt.memory.storages import join
from graphopt.pipeline import Pass

ROUNDS = 8
"""Searches of one graph: each starts from the order of the one before, and the last finds nothing."""


@dataclass(frozen=True)
class Reorder(Pass):
    """Put nodes into an order in which fewer bytes are alive at a time.

    Attributes:
        states: Sets of nodes that the search of a graph may look at, some ten microseconds each.
    """

    name: ClassVar[str] = "reorder"
    exact: ClassVar[bool] = True

    states: int = 6_000

    def apply(self, model: ir.Model, changes: Changes) -> None:
        refresh_shapes(model)
        dims = Dims(model)
        doubled = Dims(model, {name: 2 * size for name, size in dims.assumed.items() if "[" not in name})
        for graph in reversed(list(graphs(model))):  # what a body takes counts outside of it
            try:
                moved = self._reorder(graph, [dims.known_shape, doubled.known_shape])
            except ModelError as error:
                changes.refuse(_reason(error), graph.name)
                continue
            if moved:
                changes.add("graph with a lower peak")

    def _reorder(self, graph: ir.Graph, shapes: Sequence[ShapeOf]) -> bool:
        moved = False
        for _ in range(ROUNDS):
            steps = [steps_of(graph, shape, _peak_of_bodies(shape)) for shape in shapes]
            order = self._better(steps)
            if order is None:
                return moved
            nodes = [steps[0].nodes[step] for step in order]
            first = set(nodes)
            graph.extend([*(node for node in graph if node not in first), *nodes])
            moved = True
        return moved

    def _better(self, steps: Sequence[Steps]) -> list[int] | None:
        """An order of the steps that is better in one way and worse in none."""
        views = list(_ways(steps))
        given = list(range(len(steps[0].nodes)))
        before = [trace(problem, given).peak for problem in views]
        for problem in views[:2]:
            order = list(best_order(problem, limits=Limits(self.states)).order)
            after = [trace(problem, order).peak for problem in views]
            if after != before and all(now <= then for now, then in zip(after, before, strict=True)):
                return order
        return None


def _ways(steps: Sequence[Steps]) -> Iterator[Problem]:
    """What a runtime may do with memory, at each of the sizes; views are free in all."""
    for each in steps:
        views = [link for link in links(each, alignment=ALIGNMENT) if link.kind is Kind.VIEW]
        for take_over, pins in ((True, FREE), (False, FREE), (True, Pins(inputs=True))):
            yield Problem.of(join(each, views, pins=pins, take_over=take_over))


def _peak_of_bodies(shape: ShapeOf) -> Callable[[ir.Node, ir.Graph], int]:
    """What the body of a node takes in its order, where only views share memory."""

    def peak(node: ir.Node, body: ir.Graph) -> int:
        steps = steps_of(body, shape, peak)
        views = [link for link in links(steps, alignment=ALIGNMENT) if link.kind is Kind.VIEW]
        problem = Problem.of(join(steps, views, take_over=False))
        return trace(problem, range(len(steps.nodes))).peak

    return peak


def _reason(error: ModelError) -> str:
    """The reason without the name of the value, so that places of one kind count together."""
    return "a value has no known size" if "memory" in error.message else error.message
