"""The best order that can be found of a whole problem; never worse than the one given."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

from graphopt.memory.order.beam import beam
from graphopt.memory.order.budget import Budget
from graphopt.memory.order.exact import Found, search
from graphopt.memory.order.greedy import greedy_orders
from graphopt.memory.order.improve import improve
from graphopt.memory.order.problem import Problem, trace
from graphopt.memory.order.sections import sections
from graphopt.memory.order.window import Tables

LARGEST_EXACT = 256
"""Steps of a section that is searched as a whole; larger ones are improved window by window."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much may be spent on an order.

    Attributes:
        states: States that searches may look at together; some ten microseconds each.
        seconds: Time after which no new search begins; None for as long as the states last.
    """

    states: int = 20_000
    seconds: float | None = None


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
    state.take_over_greedy()
    state.search_sections()
    peak = trace(problem, state.order).peak
    return Ordering(tuple(state.order), peak, start.peak, min(state.bound, peak))


class _State:
    """The order so far, section by section, and what is known about each."""

    def __init__(self, problem: Problem, order: list[int], limits: Limits) -> None:
        self.problem = problem
        self.order = order
        deadline = None if limits.seconds is None else time.monotonic() + limits.seconds
        self._budget = Budget(limits.states, deadline)
        self._tables = Tables(problem)
        self._sections = sections(problem, order)
        now = trace(problem, order)
        self._leaves = [problem.bytes_at_start(), *now.leaves]
        self._needs = list(now.needs)
        covered = [False] * len(order)
        for first, last in self._sections:
            covered[first:last] = [True] * (last - first)
        fixed = [need for need, inside in zip(now.needs, covered, strict=True) if not inside]
        self._bounds = {section: self._bound(section) for section in self._sections}
        self.bound = max([*fixed, *self._bounds.values()], default=0)

    def take_over_greedy(self) -> None:
        """Put each section into the best of the orders that greedy rules make of it."""
        if self.peak <= self.bound:
            return
        for order in greedy_orders(self.problem):
            made = trace(self.problem, order)
            for first, last in self._sections:
                peak = max(made.needs[first:last])
                if peak < max(self._needs[first:last]) and max(self._needs[first:last]) > self.bound:
                    self._set(first, order[first:last], made.needs[first:last])
            if self.peak <= self.bound or self._budget.is_late():
                return

    def search_sections(self) -> None:
        """Order the sections with the highest peak better, until one is met that cannot be."""
        open_sections = sorted(
            self._sections, key=lambda section: (-max(self._needs[slice(*section)]), section)
        )
        for section in open_sections:
            peak = max(self._needs[slice(*section)])
            if peak <= self.bound or self._budget.is_late():
                break
            self._search(section, peak)

    @property
    def peak(self) -> int:
        """The most bytes alive at a time in the order so far."""
        return max(self._needs)

    def _search(self, section: tuple[int, int], peak: int) -> None:
        first, last = section
        if last - first <= LARGEST_EXACT:
            window = self._tables.window(self.order, self._places(), first, last, self._leaves[first])
            found = search(window, peak, self._budget.part(0.5))
            self._bounds[section] = max(self._bounds[section], min(found.peak, peak))
            self.bound = max(self.bound, self._bounds[section])
            if found.proved:
                self._take(first, found)
                return
            for width in (4, 32):
                peak = max(self._needs[first:last])
                self._take(first, beam(window, peak, width, self._budget.part(0.3)))
        self.order = improve(self._tables, self.order, first, last, self._budget)
        self._refresh()

    def _take(self, first: int, found: Found) -> None:
        if found.steps is not None:
            self.order[first : first + len(found.steps)] = found.steps
            self._refresh()

    def _refresh(self) -> None:
        now = trace(self.problem, self.order)
        self._needs = list(now.needs)
        self._leaves = [self._leaves[0], *now.leaves]

    def _set(self, first: int, steps: Sequence[int], needs: Sequence[int]) -> None:
        self.order[first : first + len(steps)] = steps
        self._needs[first : first + len(steps)] = needs

    def _bound(self, section: tuple[int, int]) -> int:
        first, last = section
        if last - first > LARGEST_EXACT:
            return _touched(self.problem, self.order[first:last])
        return self._tables.window(self.order, self._places(), first, last, self._leaves[first]).bound

    def _places(self) -> list[int]:
        place = [0] * len(self.order)
        for position, step in enumerate(self.order):
            place[step] = position
        return place


def _touched(problem: Problem, steps: Sequence[int]) -> int:
    """Bytes that some step itself reads and writes, at least; for sections too large to look closer."""
    needed = dict.fromkeys(steps, 0)
    always = 0
    for piece, size in enumerate(problem.sizes):
        if not problem.makers[piece] and piece in problem.kept:
            always += size
            continue
        for step in problem.users[piece]:
            if step in needed:
                needed[step] += size
    saved = {step: _most_saved(problem, step) for step in steps}
    return always + max(needed[step] + problem.scratch[step] - saved[step] for step in steps)


def _most_saved(problem: Problem, step: int) -> int:
    chance = problem.takes_over[step]
    return 0 if chance is None else max((problem.sizes[other] for other in chance[1]), default=0)
