"""Placement of many buffers: those where memory is short by exact search, all others around them, greedily.

Large instances are seldom tight everywhere. Whatever greedy placement lifts above the goal shows where they
are: what is live there together is searched as an instance of its own, and stays where the search put it.
"""

from __future__ import annotations

import bisect
import dataclasses
import time
from collections.abc import Iterable, Sequence

from graphopt.memory.buffers import Buffer, Id
from graphopt.memory.placement.greedy import Order, Placement, better, orders, place_in_order
from graphopt.memory.placement.native import Improver, compiled

_MOST = 12_000
"""Buffers to search at most."""

_SECONDS_PER_BUFFER = 0.0005
"""Time for one search; most need a fraction of it."""


def place_hot_first(
    buffers: Sequence[Buffer[Id]],
    start: Placement,
    others: Sequence[Order],
    goal: int,
    deadline: float,
    seed: int = 0,
) -> Placement:
    """Improve a greedy placement until it is at the goal, too much is hot, or the time is over.

    Args:
        buffers: None of size 0.
        start: A placement of them.
        others: Orders for what is not hot.
        goal: Bytes of the arena that are small enough.
        deadline: On the clock of `time.perf_counter`.
        seed: Of the searches.
    """
    best = last = start
    hot: set[int] = set()
    while best.arena > goal and time.perf_counter() < deadline:
        count = len(hot)
        hot |= _around(buffers, above(buffers, last, goal))
        if len(hot) > _MOST or len(hot) == count:
            break
        indices = sorted(hot)
        found = _searched([buffers[index] for index in indices], goal, deadline, seed)
        goal = max(goal, found.arena)
        pinned = list(buffers)
        for index, offset in zip(indices, found.offsets, strict=True):
            pinned[index] = dataclasses.replace(buffers[index], offset=offset)
        native = compiled(pinned)
        rounds = [place_in_order(buffers, native, order, deadline) for order in others]
        last = min(rounds, key=lambda placement: placement.arena)
        best = better(best, last)
    return best


def above(buffers: Sequence[Buffer[Id]], placement: Placement, goal: int) -> list[int]:
    """Buffers that end above the goal."""
    return [i for i, offset in enumerate(placement.offsets) if offset + buffers[i].size > goal]


def _around(buffers: Sequence[Buffer[Id]], high: Iterable[int]) -> set[int]:
    """Everything that is live together with one of some buffers, and these."""
    found: set[int] = set()
    ranges: list[tuple[int, int]] = []
    for lower, upper in sorted((buffers[index].lower, buffers[index].upper) for index in high):
        if ranges and lower <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(ranges[-1][1], upper))
        else:
            ranges.append((lower, upper))
    starts = [lower for lower, _ in ranges]
    for index, buffer in enumerate(buffers):
        place = bisect.bisect_left(starts, buffer.upper) - 1  # the last range that begins before it ends
        if place >= 0 and buffer.lower < ranges[place][1]:
            found.add(index)
    return found


def _searched(buffers: Sequence[Buffer[Id]], goal: int, deadline: float, seed: int) -> Placement:
    native = compiled(buffers)
    seconds = min(deadline - time.perf_counter(), _SECONDS_PER_BUFFER * len(buffers))
    start = place_in_order(buffers, native, next(orders(buffers)), deadline)
    improver = Improver(native, start.offsets, 0, goal, seed)
    improver.improve(seconds, seconds)
    return Placement("searched", improver.offsets, improver.arena)
