"""The memory plan of a graph at given shapes: its order, who shares memory, and where everything lies.

Puts the parts together: steps, links, order and placement. It runs and changes nothing.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.memory.aliases import Kind, Link, links
from graphopt.memory.buffers import Buffer, Instance
from graphopt.memory.check_order import check_order
from graphopt.memory.liveness import ALIGNMENT, FREE, Pins, rounded
from graphopt.memory.order import Limits, Problem, Trace, best_order, trace
from graphopt.memory.placement import place
from graphopt.memory.plan import Plan
from graphopt.memory.sharing import share
from graphopt.memory.steps import ShapeOf, Steps, steps_of
from graphopt.memory.storages import Storages, join

BODY_PINS = Pins(inputs=True)
"""What a Loop carries from one iteration to the next is copied into inputs whose memory is nobody else's."""


PROMPT = Limits(seconds=0.2)
"""Keeps planning of networks of some hundred nodes below half a second."""


@dataclasses.dataclass(frozen=True)
class Options:
    """How memory is planned.

    Attributes:
        reorder: Look for an order with a lower peak; otherwise that of the graph is kept.
        alignment: Of every offset, in bytes.
        pins: What keeps its memory for the whole run.
        share: Let values share memory beyond views: in place, Concat and Split without copies.
        overlap: Let outputs of convolutions and pools stand behind their inputs at a safe distance; see
            `graphopt.memory.overlap` for what a runtime must do for it.
        limits: What may be spent on the order.
        place_seconds: Time limit of placement.
        idle: Bodies of control flow that take no memory, since they do not run.
    """

    reorder: bool = True
    alignment: int = ALIGNMENT
    pins: Pins = FREE
    share: bool = True
    overlap: bool = False
    limits: Limits = PROMPT
    place_seconds: float = 0.2
    idle: frozenset[ir.Graph] = frozenset()


USUAL = Options()
NO_SEARCH = Limits(0, keep=True)


@dataclasses.dataclass(frozen=True)
class Box:
    """A piece of the arena for a while.

    Attributes:
        name: Of the first value in it; of the node for what the bodies of a node take.
        values: Indices of the values that stand in it; () for what bodies take.
        lower: Place in the order from which it is taken.
        upper: Place before which it is free again.
        size: Bytes, a multiple of the alignment.
        offset: Bytes from the start of the arena.
    """

    name: str
    values: tuple[int, ...]
    lower: int
    upper: int
    size: int
    offset: int


@dataclasses.dataclass(frozen=True)
class GraphPlan:
    """Where each value of a graph lies in one arena, and in which order its steps run.

    Attributes:
        storages: Which values share memory.
        options: How it was planned.
        order: The steps, in the order they run in.
        boxes: Pieces of the arena, no two of which overlap in place and time.
        offsets: Value name -> bytes from the start of the arena.
        arena: Bytes of the arena.
        peak: The most bytes alive at a time in this order.
        given_peak: The same in the order of the graph.
        lower_bound: Bytes that no arena can do without in this order, with this sharing.
        optimal: It is proved that no arena is smaller in this order, with this sharing.
        any_order: Bytes that no order can do without, with this sharing.
        needs: Bytes alive while each step runs, by place.
        bodies: Plans of the bodies of control flow, by body.
        seconds: Time it took.
    """

    storages: Storages
    options: Options
    order: tuple[int, ...]
    boxes: tuple[Box, ...]
    offsets: Mapping[str, int]
    arena: int
    peak: int
    given_peak: int
    lower_bound: int
    optimal: bool
    any_order: int
    needs: tuple[int, ...]
    bodies: Mapping[ir.Graph, GraphPlan]
    seconds: float

    @property
    def steps(self) -> Steps:
        """The graph's steps and values."""
        return self.storages.steps

    @property
    def shared(self) -> tuple[Link, ...]:
        """Links that were followed: what a runtime has not to copy."""
        return self.storages.joined

    @property
    def nodes(self) -> list[ir.Node]:
        """The nodes that run, in order."""
        return [self.steps.nodes[step] for step in self.order]

    @property
    def constant_bytes(self) -> int:
        """Bytes of all constants that steps read, those of bodies included."""
        return self.steps.constant_bytes + sum(plan.constant_bytes for plan in self.bodies.values())

    @property
    def is_best_order(self) -> bool:
        """Whether it is proved that no order needs less, with this sharing."""
        return self.peak == self.any_order

    @property
    def peak_place(self) -> int:
        """Place of the first step at which the most bytes are alive; 0 where nothing runs."""
        return max(range(len(self.needs)), key=self.needs.__getitem__, default=0)

    def alive_at(self, place: int) -> list[Box]:
        """What is alive while the step at a place runs, largest first."""
        alive = [box for box in self.boxes if box.lower <= place < box.upper]
        return sorted(alive, key=lambda box: (-box.size, box.offset))


def plan_graph(graph: ir.Graph, shape: ShapeOf, options: Options = USUAL) -> GraphPlan:
    """Plan the memory of a graph at the shapes of one binding.

    Args:
        graph: It may hold control flow; calls of model-local functions must be inlined.
        shape: Concrete shapes of its values and of those of its bodies.
        options: How.

    Raises:
        ModelError: The graph has a cycle, a value of unknown shape or type, or one that is too large; the
            message names the value.
        UsageError: The alignment is not a power of two.
    """
    started = time.perf_counter()
    bodies: dict[ir.Graph, GraphPlan] = {}
    storages = sharing_of(graph, shape, options, bodies)
    steps = storages.steps
    problem = Problem.of(storages)
    ordering = best_order(problem, limits=options.limits if options.reorder else NO_SEARCH)
    placing = _place(storages, problem, ordering.order, options)
    if not placing.plan.optimal and ordering.peak < ordering.given:
        # The arena counts, not the peak: the order with the higher one may be easier to place.
        given = _place(storages, problem, tuple(range(len(steps.nodes))), options)
        placing = min(placing, given, key=lambda each: each.plan.arena)
    check_order(steps, placing.order)
    return GraphPlan(
        storages=storages,
        options=options,
        order=placing.order,
        boxes=placing.boxes,
        offsets=_offsets(storages, placing.boxes),
        arena=placing.plan.arena,
        peak=placing.trace.peak,
        given_peak=ordering.given,
        lower_bound=max(placing.trace.peak, placing.plan.lower_bound),
        optimal=placing.plan.optimal,
        any_order=ordering.bound,
        needs=placing.trace.needs,
        bodies=bodies,
        seconds=time.perf_counter() - started,
    )


def sharing_of(
    graph: ir.Graph, shape: ShapeOf, options: Options = USUAL, bodies: dict[ir.Graph, GraphPlan] | None = None
) -> Storages:
    """Which values of a graph share memory in the order it stands in; what `plan_graph` begins with.

    Args:
        graph, shape, options: See `plan_graph`.
        bodies: Takes up the plans of the bodies of control flow.

    Raises:
        ModelError, UsageError: See `plan_graph`.
    """
    if options.alignment < 1 or options.alignment & (options.alignment - 1):
        raise UsageError(f"an alignment of {options.alignment} bytes was asked for, expected a power of two")
    plans: dict[ir.Graph, GraphPlan] = {} if bodies is None else bodies

    def scratch(node: ir.Node, body: ir.Graph) -> int:
        if body in options.idle:
            return 0
        if body not in plans:
            plans[body] = plan_graph(body, shape, dataclasses.replace(options, pins=BODY_PINS))
        return plans[body].arena

    steps = steps_of(graph, shape, scratch)
    steps = dataclasses.replace(
        steps, scratch=tuple(rounded(size, options.alignment) for size in steps.scratch)
    )
    return _storages(steps, options)


@dataclasses.dataclass(frozen=True)
class _Placing:
    """One order, placed."""

    order: tuple[int, ...]
    trace: Trace
    boxes: tuple[Box, ...]
    plan: Plan[int]


def _place(storages: Storages, problem: Problem, order: tuple[int, ...], options: Options) -> _Placing:
    found = trace(problem, order)
    boxes = _boxes(storages, found, order)
    buffers = tuple(
        Buffer(index, box.lower, box.upper, box.size, options.alignment) for index, box in enumerate(boxes)
    )
    plan = place(Instance(buffers), time_limit=options.place_seconds)
    placed = (dataclasses.replace(box, offset=plan.offsets[index]) for index, box in enumerate(boxes))
    return _Placing(order, found, tuple(placed), plan)


def _storages(steps: Steps, options: Options) -> Storages:
    possible = links(steps, alignment=options.alignment, overlap=options.overlap)
    if options.share:
        return share(steps, possible, pins=options.pins, alignment=options.alignment)
    views = [link for link in possible if link.kind is Kind.VIEW]
    return join(steps, views, pins=options.pins, alignment=options.alignment, take_over=False)


def _boxes(storages: Storages, found: Trace, order: Sequence[int]) -> list[Box]:
    """Pieces that take over one another's memory as one box each, and what bodies take; none placed yet."""
    groups: dict[int, list[int]] = {}
    for piece in range(len(storages.sizes)):
        root = piece
        while root in found.hosts:
            root = found.hosts[root]
        groups.setdefault(root, []).append(piece)
    boxes = []
    for pieces in groups.values():
        lower = min(found.lower[piece] for piece in pieces)
        upper = max(found.upper[piece] for piece in pieces)
        values = tuple(value for piece in pieces for value in storages.members[piece])
        size = storages.sizes[pieces[0]]
        if size and lower < upper:
            boxes.append(Box(storages.steps.name(values[0]), values, lower, upper, size, 0))
    for position, step in enumerate(order):
        size = storages.steps.scratch[step]
        if size:
            boxes.append(Box(storages.steps.nodes[step].name or "", (), position, position + 1, size, 0))
    return boxes


def _offsets(storages: Storages, boxes: Sequence[Box]) -> dict[str, int]:
    """Offset of each value by name; one without bytes or never alive lies at 0."""
    steps = storages.steps
    found = {steps.name(value): 0 for value in range(len(steps.values))}
    for box in boxes:
        for value in box.values:
            found[steps.name(value)] = box.offset + storages.offset[value]
    return found
