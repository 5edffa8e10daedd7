"""Which of the possible links between values are worth following, in the order a graph stands in.

A Concat whose inputs are made in place spares a copy and its memory, but what it joins must stand side by
side; and what shares memory with a part cannot be written over by what is as large as the part. Where that
costs more than it saves, the links of that node are left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from graphopt.memory.aliases import Kind, Link
from graphopt.memory.clusters import needs_of
from graphopt.memory.extents import clusters_of, has_parts
from graphopt.memory.liveness import Pins
from graphopt.memory.order import Problem, Trace, trace
from graphopt.memory.steps import Steps
from graphopt.memory.storages import Storages, join

MOST_FAILURES = 8
"""Nodes in a row whose links bring nothing the other way."""


def share(
    steps: Steps, links: Sequence[Link], *, pins: Pins, alignment: int, by_parts: bool = True
) -> Storages:
    """Join values so that the peak in the given order is low; views are always joined.

    Starts with all links, or with views alone if that is better, and then turns the links of single nodes
    that are in use at the peak the other way, as long as the peak falls or fewer steps need as much.
    """
    by_step: dict[int, list[Link]] = {}
    for link in links:
        if link.kind is not Kind.VIEW:
            by_step.setdefault(link.step, []).append(link)
    search = _Search(steps, links, by_step, pins, alignment, by_parts)
    search.start()
    failures = 0
    while failures < MOST_FAILURES and (step := search.next_step()) is not None:
        failures = 0 if search.turn(step) else failures + 1
    return search.storages


class _Search:
    """The best set of nodes to follow so far."""

    def __init__(
        self,
        steps: Steps,
        links: Sequence[Link],
        by_step: dict[int, list[Link]],
        pins: Pins,
        alignment: int,
        by_parts: bool,
    ) -> None:
        self._steps, self._links, self._by_step = steps, links, by_step
        self._pins, self._alignment, self._by_parts = pins, alignment, by_parts
        self._left_out: frozenset[int] = frozenset()
        self._tried: set[int] = set()
        self.storages, self._problem, self._trace = self._joined(self._left_out)

    def start(self) -> None:
        """Begin with the better of all links and of views alone."""
        overlaps = {step for step, links in self._by_step.items() if links[0].kind is Kind.OVERLAP}
        for left_out in (frozenset(overlaps), frozenset(self._by_step)):
            if left_out != self._left_out:
                self._try(left_out)

    def next_step(self) -> int | None:
        """A node whose links could matter at the peak and were not tried; None if there is none."""
        place = max(range(len(self._trace.needs)), key=self._trace.needs.__getitem__, default=0)
        for step, links in self._by_step.items():
            if step not in self._tried and any(self._is_alive(link, place) for link in links):
                return step
        return None

    def turn(self, step: int) -> bool:
        """Turn the links of a node the other way if that helps; whether it did."""
        helps = self._try(self._left_out ^ {step})
        if helps:
            self._tried.clear()
        self._tried.add(step)
        return helps

    def _is_alive(self, link: Link, place: int) -> bool:
        homes = (self.storages.home[link.whole], self.storages.home[link.part])
        return any(self._trace.lower[home] <= place < self._trace.upper[home] for home in homes)

    def _try(self, left_out: frozenset[int]) -> bool:
        made = self._joined(left_out)
        if _height(made[2]) >= _height(self._trace):
            return False
        self._left_out = left_out
        self.storages, self._problem, self._trace = made
        return True

    def _joined(self, left_out: frozenset[int]) -> tuple[Storages, Problem, Trace]:
        without = [link for step in left_out for link in self._by_step[step]]
        storages = join(self._steps, self._links, pins=self._pins, alignment=self._alignment, without=without)
        problem = Problem.of(storages)
        order = range(len(self._steps.nodes))
        found = trace(problem, order)
        if self._by_parts and has_parts(storages):
            needs = tuple(needs_of(clusters_of(storages, found.hosts, order), len(order)))
            found = dataclasses.replace(found, needs=needs, peak=max(needs, default=found.peak))
        return storages, problem, found


def _height(found: Trace) -> tuple[int, int]:
    """The peak, and how many steps need as much."""
    return found.peak, found.needs.count(found.peak)
