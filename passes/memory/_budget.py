"""Change a model until it needs no more than some bytes, by changes of several kinds, the cheapest first.

Of every kind it looks at the changes around the step that needs the most; each is tried on a copy, and kept
if the steps above the goal need less than before. A goal that cannot be reached is raised until one can be,
so that what is written is worth its cost: nothing is done that does not lower the peak.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import onnx_ir as ir

from graphopt.cost.dims import Dims
from graphopt.errors import ModelError
from graphopt.ir import Changes, adopt_shapes, refresh_shapes
from graphopt.memory.graph_plan import Options, plan_graph
from graphopt.passes.memory._load import Load

Whole = tuple[str, str]


class Change(Protocol):
    """Something that lowers what a step needs."""

    @property
    def extra(self) -> int:
        """Multiply-accumulates done more than once, and elements made or copied beside."""

    @property
    def bytes(self) -> int:
        """What the steps around need then; about."""

    @property
    def nodes(self) -> int:
        """How many nodes it adds, about."""

    @property
    def done(self) -> str:
        """What is done, in words."""

    @property
    def whole(self) -> frozenset[Whole]:
        """Values that it needs whole: ("to", what is put together), ("from", a source), by their names."""

    def write(self, model: ir.Model, load: Load) -> None:
        """Do it in a model that needs `load`."""


Way = Callable[[Load, int, int], Iterable[Change]]
"""(what a model needs, a step, bytes to come down to) -> changes around that step."""

LEAST_GAIN = 1 / 64
"""Of a peak, below which nothing is changed."""

MOST_TRIES = 6
"""Changes that are tried for a step."""

MOST_STARTS = 6
"""From anew, for a goal."""

MOST_CHANGES = 256
"""Of a model for a goal."""

MOST_WORK = 100_000
"""Nodes looked at, over all tries for a goal, and once more for higher goals; some 0.1 ms each."""

CLOSE = 1.03
"""Goals that are closer to one another are not told apart."""

MOST_FAILURES = 2
"""Goals in a row that bring nothing."""

FARTHEST = 64
"""Share of the peak below which no goal is looked for."""

MOST_EXTRA = 0.5
"""Of a change, as a share of all multiply-accumulates and elements of the model."""


@dataclasses.dataclass(frozen=True)
class Lowered:
    """What was found for a goal.

    Attributes:
        changes: In the order they are to be done in.
        peak: Bytes needed then.
        extra: What they cost.
    """

    changes: tuple[Change, ...]
    peak: int
    extra: int


def lower_within(model: ir.Model, changes: Changes, goal: int, ways: Sequence[Way]) -> None:
    """`lower` for passes: counts what is done, and says why nothing more is.

    Args:
        model: Changed in place.
        changes: Of the pass.
        goal: In bytes; 0 for as few as can be had.
        ways: Kinds of changes.
    """
    refresh_shapes(model)
    try:
        peak = before = _planned(model)
        if before <= goal:
            return
        lowered = _copy(model)
        done = lower(lowered, goal, ways)
        if done and _planned(lowered) < before:
            for change in done:
                change.write(model, Load.of(model))
                changes.add(change.done)
            peak = _planned(model)
        else:
            done = []
    except ModelError as error:
        changes.refuse("a value has no known size" if "memory" in error.message else error.message)
        return
    if peak > goal and (goal or not done):
        free = any(
            not isinstance(dim, int)
            for value in model.graph.inputs
            for dim in (() if value.shape is None else value.shape.dims)
        )
        changes.refuse(FREE_SIZES if free else NOTHING_LEFT)


def _planned(model: ir.Model) -> int:
    """The peak that is planned in the order nodes stand in; parts of values count for themselves."""
    return plan_graph(model.graph, Dims(model).known_shape, Options(reorder=False)).peak


FREE_SIZES = "sizes of inputs are free: parts have fixed sizes, so the shapes of inputs must be fixed first"
NOTHING_LEFT = "no further change of the nodes at the peak needs less"


def lower(model: ir.Model, goal: int, ways: Sequence[Way]) -> list[Change]:
    """Change a model in place until it needs at most so many bytes, or as few as are found.

    Args:
        model: With inferred shapes.
        goal: In bytes; 0 for as few as can be had.
        ways: Kinds of changes.

    Returns:
        What was done, in this order.

    Raises:
        ModelError: Memory cannot be planned for a value; the message names it.
    """
    done: list[Change] = []
    while (found := _Search(ways).best(model, Load.of(model), goal)) is not None:
        for change in found.changes:
            change.write(model, Load.of(model))
            done.append(change)
    return done


class _Search:
    """Looks for changes, and remembers what stood in the way.

    Attributes:
        held: Values that, being whole, kept a model above a goal -> the highest such goal.
    """

    def __init__(self, ways: Sequence[Way]) -> None:
        self._ways = ways
        self.held: dict[Whole, int] = {}
        self._work = 0

    def best(self, model: ir.Model, load: Load, goal: int) -> Lowered | None:
        """Changes that come nearest to a goal; None if nothing is to be done or found."""
        if load.peak <= goal:
            return None
        enough = int(load.peak * (1 - LEAST_GAIN))
        best = self._reach(model, load, goal) if goal else Lowered((), load.peak, 0)
        if best.peak <= goal:
            return best
        self._work = 0
        if best.peak > enough:
            best = min(best, self._reach(model, load, enough), key=lambda each: each.peak)
        if best.peak > enough:
            return None
        low, failures = max(goal, load.peak // FARTHEST), 0
        while best.peak > low * CLOSE and failures < MOST_FAILURES:
            middle = int(math.sqrt(best.peak * low))
            found = self._reach(model, load, middle)
            failures += 1
            if found.peak < best.peak:
                best, failures = found, 0
            if found.peak > middle:
                low = middle
        if self._work >= MOST_WORK:
            return best
        again = self._reach(model, load, best.peak)  # with no more than it takes
        return again if (again.peak, again.extra) <= (best.peak, best.extra) else best

    def _reach(self, model: ir.Model, load: Load, goal: int) -> Lowered:
        """Try to come down to a goal; the changes up to the lowest peak on the way.

        Where nothing helps any more because of values that former changes need whole, it begins again without
        these changes.
        """
        most = MOST_EXTRA * (sum(load.sized.macs) + sum(map(math.prod, load.steps.shapes)))
        best = Lowered((), load.peak, 0)
        for _ in range(MOST_STARTS):
            without = frozenset(whole for whole, held in self.held.items() if held >= goal)
            found, blamed = self._descend(_copy(model), goal, most, without)
            best = min(best, found, key=lambda each: each.peak)
            if found.peak <= goal or blamed <= without or self._work >= MOST_WORK:
                break
            self.held.update((whole, max(goal, self.held.get(whole, 0))) for whole in blamed)
        return best

    def _descend(
        self, model: ir.Model, goal: int, most: float, without: frozenset[Whole]
    ) -> tuple[Lowered, frozenset[Whole]]:
        """One try, and the values that it was held up by."""
        load = Load.of(model)
        done: list[Change] = []
        best = Lowered((), load.peak, 0)
        while load.peak > goal and len(done) < MOST_CHANGES and self._work < MOST_WORK:
            self._work += len(load.steps.nodes)
            found = _improve(model, load, goal, self._ways, most, without)
            if found is None:
                break
            change, model, load = found
            done.append(change)
            if load.peak < best.peak:
                best = Lowered(tuple(done), load.peak, sum(each.extra for each in done))
        alive = load.names_at(load.place)
        held = {whole for change in done for whole in change.whole if whole[1] in alive}
        ends = frozenset(whole for whole in held if whole[0] == "to")
        return best, ends or frozenset(held)


def _improve(
    model: ir.Model, load: Load, goal: int, ways: Sequence[Way], most: float, without: frozenset[Whole]
) -> tuple[Change, ir.Model, Load] | None:
    """The first change that makes the steps above the goal need less, and the model with it."""
    place, above = load.place, load.above(goal)
    changes = [
        change
        for way in ways
        for change in way(load, place, goal)
        if change.bytes < load.peak and change.extra <= most and without.isdisjoint(change.whole)
    ]
    changes.sort(key=lambda change: (max(change.bytes - goal, 0), change.extra, change.nodes, change.bytes))
    for change in changes[:MOST_TRIES]:
        copy = _copy(model)
        change.write(copy, Load.like(copy, load))
        after = Load.of(copy)
        if after.above(goal) < above:
            return change, copy, after
    return None


def _copy(model: ir.Model) -> ir.Model:
    copy = model.clone()
    adopt_shapes(copy, model)
    return copy
