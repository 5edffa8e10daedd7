"""The memory plan of a graph at given shapes: its order, who shares memory, and where everything lies.

Puts the parts together: steps, links, order and placement. It runs and changes nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.memory.aliases import Kind, Link, links
from graphopt.memory.bounds import lower_bound
from graphopt.memory.buffers import Buffer, Instance
from graphopt.memory.check import check_placement
from graphopt.memory.check_order import check_order
from graphopt.memory.clusters import Cluster, Extent, needs_of
from graphopt.memory.extents import clusters_of, has_parts, touched
from graphopt.memory.liveness import ALIGNMENT, FREE, Pins, rounded
from graphopt.memory.order import Limits, Problem, best_order, trace
from graphopt.memory.placement import place
from graphopt.memory.placement.rigid import arena_of, place_clusters
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
        by_parts: Choose what shares memory by what its parts need; otherwise as if it lived and died as one.
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
    by_parts: bool = True
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
        values: Indices of the values that stand in it, in part or as a whole; () for what bodies take.
        lower: Place in the order from which it is taken.
        upper: Place before which it is free again.
        size: Bytes.
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

    def called(self, place: int) -> str:
        """The name of the node at a place in the order, or of what it makes first."""
        node = self.steps.nodes[self.order[place]]
        return node.name or next((each.name for each in node.outputs if each.name), node.op_type)

    def peak_of(self, order: Sequence[int]) -> int:
        """The most bytes alive at a time in another order of the steps, with the same sharing."""
        return _peak(self.storages, Problem.of(self.storages), tuple(order))

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
    limits = options.limits if options.reorder else NO_SEARCH
    ordering = best_order(problem, limits=limits)
    given = tuple(range(len(steps.nodes)))
    orders, any_order = [given, ordering.order], ordering.bound
    if has_parts(storages):
        by_parts, is_all = Problem.of_parts(storages)
        finer = best_order(by_parts, limits=limits)
        orders.append(finer.order)
        any_order = finer.bound if is_all else touched(storages)
    peaks = [_peak(storages, problem, order) for order in orders]
    best = orders[peaks.index(min(peaks))]
    placing = _place(storages, problem, best, options)
    if best != given and not placing.optimal:
        # The arena counts, not the peak: the order with the higher one may be easier to place.
        placing = min(placing, _place(storages, problem, given, options), key=lambda each: each.arena)
    check_order(steps, placing.order)
    return GraphPlan(
        storages=storages,
        options=options,
        order=placing.order,
        boxes=placing.boxes,
        offsets=_offsets(storages, placing),
        arena=placing.arena,
        peak=placing.peak,
        given_peak=max(peaks[0], placing.peak),  # where nothing runs there are inputs all the same
        lower_bound=placing.bound,
        optimal=placing.optimal,
        any_order=min(any_order, placing.peak),
        needs=placing.needs,
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
    clusters: Sequence[Cluster]
    offsets: Sequence[int]
    boxes: tuple[Box, ...]
    needs: tuple[int, ...]
    peak: int
    bound: int
    arena: int

    @property
    def optimal(self) -> bool:
        """Whether it is proved that no arena is smaller in this order."""
        return self.arena == self.bound


def _place(storages: Storages, problem: Problem, order: tuple[int, ...], options: Options) -> _Placing:
    clusters = _clusters(storages, problem, order)
    hulls = tuple(
        Buffer(
            index,
            min(each.lower for each in cluster.extents),
            max(each.upper for each in cluster.extents),
            cluster.size,
            options.alignment,
        )
        for index, cluster in enumerate(clusters)
    )
    is_plain = all(cluster.is_whole for cluster in clusters)
    seconds = options.place_seconds if is_plain else options.place_seconds / 2
    plan = place(Instance(hulls), time_limit=seconds)
    offsets = [plan.offsets[index] for index in range(len(clusters))]
    bound = plan.lower_bound
    if not is_plain:
        bound = lower_bound(_buffers(clusters))
        others = place_clusters(clusters, alignment=options.alignment, goal=bound, time_limit=seconds)
        offsets = min(offsets, others, key=lambda each: arena_of(clusters, each))
    arena = arena_of(clusters, offsets)
    extents = _extents(clusters, offsets)
    check_placement(_buffers(clusters), {index: each[2] for index, each in enumerate(extents)}, arena, bound)
    needs = tuple(needs_of(clusters, len(order)))
    boxes = tuple(_box(storages, *each) for each in extents)
    return _Placing(order, clusters, offsets, boxes, needs, max(needs, default=bound), bound, arena)


def _buffers(clusters: Sequence[Cluster]) -> list[Buffer[int]]:
    """Each extent as a buffer by itself."""
    extents = itertools.chain.from_iterable(cluster.extents for cluster in clusters)
    return [Buffer(index, each.lower, each.upper, each.size) for index, each in enumerate(extents)]


def _peak(storages: Storages, problem: Problem, order: tuple[int, ...]) -> int:
    return max(needs_of(_clusters(storages, problem, order), len(order)), default=0)


def _clusters(storages: Storages, problem: Problem, order: tuple[int, ...]) -> list[Cluster]:
    return clusters_of(storages, trace(problem, order).hosts, order)


def _storages(steps: Steps, options: Options) -> Storages:
    possible = links(steps, alignment=options.alignment, overlap=options.overlap)
    if options.share:
        return share(
            steps, possible, pins=options.pins, alignment=options.alignment, by_parts=options.by_parts
        )
    views = [link for link in possible if link.kind is Kind.VIEW]
    return join(steps, views, pins=options.pins, alignment=options.alignment, take_over=False)


def _extents(clusters: Sequence[Cluster], offsets: Sequence[int]) -> list[tuple[Cluster, Extent, int]]:
    """Each extent with its cluster and its own offset."""
    return [
        (cluster, extent, offset + extent.begin)
        for cluster, offset in zip(clusters, offsets, strict=True)
        for extent in cluster.extents
    ]


def _box(storages: Storages, cluster: Cluster, extent: Extent, offset: int) -> Box:
    name = storages.steps.name(extent.values[0]) if extent.values else cluster.name
    return Box(name, extent.values, extent.lower, extent.upper, extent.size, offset)


def _offsets(storages: Storages, placing: _Placing) -> dict[str, int]:
    """Offset of each value by name; one without bytes or never alive lies at 0."""
    steps = storages.steps
    found = {steps.name(value): 0 for value in range(len(steps.values))}
    for cluster, offset in zip(placing.clusters, placing.offsets, strict=True):
        for extent in cluster.extents:
            for value in extent.values:
                found[steps.name(value)] = offset + storages.offset[value]
    return found
