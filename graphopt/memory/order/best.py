"""The best order that can be found of a whole problem; never worse than the one given."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from graphopt.memory.order.budget import Budget
from graphopt.memory.order.greedy import greedy_orders
from graphopt.memory.order.improve import improve
from graphopt.memory.order.problem import Problem, trace
from graphopt.memory.order.search import LARGEST, Found, beam, search
from graphopt.memory.order.sections import sections
from graphopt.memory.order.window import Tables, Window

NEGLIGIBLE = 1 / 512
"""Share of a lower bound on the peak up to which a piece is left out of account in a first search. What is
computed with shapes is of that size, hangs together over whole graphs, and hides how few choices matter."""

FIRST_STATES = 5_000
"""Of an exact search before beams are tried: enough where few choices matter."""

EXACT_SHARE = 0.7
"""Of the states left after beams, what an exact search may take; it knows better then what to leave out."""

WIDTHS = (16, 128)
"""Of beams, tried in turn."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much may be spent on an order.

    Attributes:
        states: States that searches may look at together; about a microsecond each.
        seconds: Time after which no new search begins; None for as long as the states last.
        keep: Search nothing: tell what the given order needs, and a bound.
    """

    states: int = 100_000
    seconds: float | None = None
    keep: bool = False


USUAL = Limits()


@dataclasses.dataclass(frozen=True)
class Ordering:
    """An order of steps.

    Attributes:
        order: The steps.
        peak: The most bytes alive at a time in it.
        given: The same of the order given.
        bound: No order needs less.
    """

    order: tuple[int, ...]
    peak: int
    given: int
    bound: int

    @property
    def optimal(self) -> bool:
        """Whether no order is better."""
        return self.peak == self.bound


def best_order(problem: Problem, given: Sequence[int] | None = None, limits: Limits = USUAL) -> Ordering:
    """An order of the steps of a problem that keeps the peak low.

    Stretches in which nothing is gained keep the given order.

    Args:
        problem: The steps.
        given: A topological order of them, by default 0, 1, 2 ...
        limits: What may be spent.
    """
    order = list(range(len(problem.before)) if given is None else given)
    start = trace(problem, order)
    if len(order) < 2:
        return Ordering(tuple(order), start.peak, start.peak, start.peak)
    state = _State(problem, order, limits)
    if not limits.keep:
        state.take_over_greedy()
        state.search_sections()
    return Ordering(tuple(state.order), state.peak, start.peak, min(state.bound, state.peak))


class _State:
    """The order so far, section by section, and what is known about each."""

    def __init__(self, problem: Problem, order: list[int], limits: Limits) -> None:
        self.problem = problem
        self.order = order
        self._budget = Budget(limits.states, limits.seconds)
        self._sections = sections(problem, order)
        self._trace = trace(problem, order)
        covered = [False] * len(order)
        for first, last in self._sections:
            covered[first:last] = [True] * (last - first)
        fixed = [need for need, inside in zip(self._trace.needs, covered, strict=True) if not inside]
        self.bound = max([*fixed, _touched(problem)])

    @property
    def peak(self) -> int:
        """The most bytes alive at a time in the order so far."""
        return self._trace.peak

    def take_over_greedy(self) -> None:
        """Put each section into the best of the orders that greedy rules make of it."""
        for order in () if self.peak <= self.bound else greedy_orders(self.problem):
            made = trace(self.problem, order)
            for first, last in self._sections:
                if max(made.needs[first:last]) < self._peak_of(first, last) > self.bound:
                    self.order[first:last] = order[first:last]
            self._trace = trace(self.problem, self.order)
            if self.peak <= self.bound or self._budget.is_spent():
                return

    def search_sections(self) -> None:
        """Order the sections with the highest peak better, until one is met that cannot be."""
        for first, last in sorted(self._sections, key=lambda section: -self._peak_of(*section)):
            if self._peak_of(first, last) <= self.bound or self._budget.is_spent():
                return
            if last - first <= LARGEST:
                coarse = self._without_negligible()
                self._search(coarse, first, last)
                if self._peak_of(first, last) > self.bound and coarse != self.problem:
                    self._search(self.problem, first, last)
            if self._peak_of(first, last) > self.bound:
                self.order = improve(Tables(self.problem), self.order, first, last, self._budget)
                self._trace = trace(self.problem, self.order)

    def _peak_of(self, first: int, last: int) -> int:
        return max(self._trace.needs[first:last])

    def _without_negligible(self) -> Problem:
        least = self.bound * NEGLIGIBLE
        return dataclasses.replace(
            self.problem,
            sizes=tuple(size if size > least else 0 for size in self.problem.sizes),
            scratch=tuple(size if size > least else 0 for size in self.problem.scratch),
        )

    def _search(self, problem: Problem, first: int, last: int) -> None:
        """Search a section exactly, and by beams if that takes too long; of the problem or a part of it."""
        place = [0] * len(self.order)
        for position, step in enumerate(self.order):
            place[step] = position
        alive = trace(problem, self.order).leaves[first - 1] if first else problem.bytes_at_start()
        window = Tables(problem).window(self.order, place, first, last, alive)
        self.bound = max(self.bound, window.bound)
        if self._settle(window, first, last, FIRST_STATES):
            return
        for width in WIDTHS:
            self._take(first, beam(window, self._peak_of(first, last), width, self._budget))
        self._settle(window, first, last, int(self._budget.states * EXACT_SHARE))

    def _settle(self, window: Window, first: int, last: int, states: int) -> bool:
        """Search a window exactly; whether that came to an end."""
        peak = self._peak_of(first, last)
        found = search(window, peak, self._budget, states)
        self.bound = max(self.bound, min(found.peak, peak))
        self._take(first, found)
        return found.proved

    def _take(self, first: int, found: Found) -> None:
        """Take over an order of a section if it is better in truth."""
        if found.steps is None:
            return
        order = [*self.order[:first], *found.steps, *self.order[first + len(found.steps) :]]
        made = trace(self.problem, order)
        section = slice(first, first + len(found.steps))
        if max(made.needs[section]) < max(self._trace.needs[section]):
            self.order, self._trace = order, made


def _touched(problem: Problem) -> int:
    """Bytes that some step itself reads and writes, and what is alive all the time."""
    needed = list(problem.scratch)
    always = 0
    for piece, size in enumerate(problem.sizes):
        if not problem.makers[piece] and piece in problem.kept:
            always += size
            continue
        for step in problem.users[piece]:
            needed[step] += size
    for step, chance in enumerate(problem.takes_over):
        if chance is not None:
            needed[step] -= max((problem.sizes[other] for other in chance[1]), default=0)
    return always + max(needed)
