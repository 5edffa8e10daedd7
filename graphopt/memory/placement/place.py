"""The smallest arena that can be found in some time: greedy first, then exact search, with a certificate.

Buffers of parts of time that nothing crosses are placed apart from one another.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Sequence

from graphopt.errors import UsageError
from graphopt.memory.bounds import lower_bound
from graphopt.memory.buffers import Buffer, Id, Instance
from graphopt.memory.check import check_placement
from graphopt.memory.placement.boxes import boxed
from graphopt.memory.placement.greedy import Order, Placement, better, greedy, orders, smallest
from graphopt.memory.placement.hot import above, place_hot_first
from graphopt.memory.placement.native import Improver, compiled
from graphopt.memory.plan import Plan

SECONDS = 5.0
"""Time limit where none is given."""

SEED = 14
"""Of the search where none is given; of those that were tried on hard instances, the fastest."""

_MOST_TO_SEARCH = 4000
"""Buffers of a part; the search takes time and depth in proportion to them at least."""

_MANY = 700
"""Buffers of a part from which on what is hot is placed first, and fewer orders are tried."""

_ORDERS_OF_MANY, _ORDERS_AROUND = 4, 3
"""How many orders are tried of many buffers, and around those that are hot."""

_FEW_BOXES = 0.5
"""Share of the buffers up to which boxes that they fit into are worth being placed."""

_BOXES_SHARE = 0.5
"""Of the time, for these."""

_SECONDS_TO_CHECK = 0.00001
"""Per buffer, to check what was placed and to hand it out."""

_SLACKS = (0.01, 0.0, 0.005, 0.02, 0.04)
"""Above the goal: near it first, which takes the least time; further off where too much is hot."""

_HOT_SHARE = 0.6
"""Of the time that is left, for one of these."""

_LARGEST_TO_SEARCH = 2**58
"""Bytes of a part; the search adds some of its sizes up."""

_SLICE_SECONDS = 0.1
"""The compiled search returns this often, for Ctrl-C to be seen."""

_GREEDY_SHARE = 0.25
"""Of the time, for greedy placement; a search follows."""


@dataclasses.dataclass(frozen=True)
class _Part:
    """Offsets of the buffers of one part, by index, and what is proved about it."""

    offsets: list[int]
    arena: int
    bound: int
    greedy: int


def place(
    buffers: Sequence[Buffer[Id]] | Instance[Id],
    *,
    time_limit: float = SECONDS,
    capacity: int | None = None,
    seed: int = SEED,
) -> Plan[Id]:
    """Place buffers in one arena.

    Never worse than the best greedy order; the best so far when the time is over is returned. The plan has
    passed `check_placement`.

    Args:
        buffers: Live ranges in any unit of time, sizes in bytes.
        time_limit: Seconds; ends earlier once the arena is proved to be the smallest.
        capacity: Bytes that are small enough: stop as soon as the arena fits, or that is proved impossible.
        seed: Of what is random in the search.

    Raises:
        UsageError: The buffers are no valid instance, or the limit or capacity is negative.
    """
    started = time.perf_counter()
    instance = buffers if isinstance(buffers, Instance) else Instance(tuple(buffers))
    if not time_limit >= 0:
        raise UsageError(f"a time limit of {time_limit} seconds was asked for", hint="it is 0 or more")
    if capacity is not None and capacity < 0:
        raise UsageError(f"a capacity of {capacity} bytes was asked for", hint="it is 0 or more")
    deadline = started + max(time_limit - _SECONDS_TO_CHECK * len(instance.buffers), time_limit / 2)
    parts = _parts(instance.buffers)
    bounds = [lower_bound(part) for part in parts]
    bound = max(bounds, default=0)
    goal = max(bound, capacity or 0)
    if capacity is not None and capacity < bound:
        deadline = started  # it cannot fit: what greedy placement finds at once is enough
    placed: list[_Part] = []
    left = sum(map(len, parts))
    for part in parts:
        # Time in proportion to the buffers; what one part leaves is the others'.
        share = (deadline - time.perf_counter()) * len(part) / left
        left -= len(part)
        placed.append(_place_part(part, bound, goal, time.perf_counter() + share, seed))
    plan = _joined(instance.buffers, parts, placed, bound, started)
    check_placement(instance.buffers, plan.offsets, plan.arena, plan.lower_bound)
    return plan


def _joined(
    buffers: Sequence[Buffer[Id]],
    parts: Sequence[Sequence[Buffer[Id]]],
    placed: Sequence[_Part],
    bound: int,
    started: float,
) -> Plan[Id]:
    offsets = {buffer.id: buffer.offset or 0 for buffer in buffers}
    for part, found in zip(parts, placed, strict=True):
        offsets.update((buffer.id, offset) for buffer, offset in zip(part, found.offsets, strict=True))
    return Plan(
        offsets=offsets,
        arena=max((found.arena for found in placed), default=0),
        lower_bound=max((found.bound for found in placed), default=bound),
        seconds=time.perf_counter() - started,
        greedy=max((found.greedy for found in placed), default=0),
    )


def _parts(buffers: Sequence[Buffer[Id]]) -> list[list[Buffer[Id]]]:
    """Buffers of size by stretches of time that no live range crosses the ends of."""
    parts: list[list[Buffer[Id]]] = []
    end = None
    for buffer in sorted((each for each in buffers if each.size), key=lambda each: each.lower):
        if end is None or buffer.lower >= end:
            parts.append([])
            end = buffer.upper
        end = max(end, buffer.upper)
        parts[-1].append(buffer)
    return parts


def _place_part(part: Sequence[Buffer[Id]], bound: int, goal: int, deadline: float, seed: int) -> _Part:
    """Place one part below the goal of the whole, if that can be.

    Args:
        part: Buffers, none of size 0.
        bound: Bytes that the whole arena has at least, proved.
        goal: Bytes of the arena that are small enough.
        deadline: On the clock of `time.perf_counter`.
        seed: Of the search.
    """
    native = compiled(part)
    many = len(part) > _MANY
    tried = list(itertools.islice(orders(part), _ORDERS_OF_MANY if many else None))
    whole = _place_boxes(part, bound, goal, deadline, seed)
    if whole is not None and whole.arena <= goal:
        return whole
    seconds = (deadline - time.perf_counter()) * _GREEDY_SHARE
    found = greedy(part, native, tried, bound, goal, seconds, many=many)
    start = best = smallest(found)
    if best.arena > goal and many:
        best = better(best, _place_hot(part, found, tried[:_ORDERS_AROUND], goal, deadline, seed))
    if whole is not None:
        best = better(best, Placement("boxes", whole.offsets, whole.arena))
    if best.arena <= goal or goal >= _LARGEST_TO_SEARCH or len(part) > _MOST_TO_SEARCH:
        return _Part(best.offsets, best.arena, bound, start.arena)
    improver = Improver(native, best.offsets, bound, goal, seed)
    while not improver.finished and (left := deadline - time.perf_counter()) > 0:
        improver.improve(_SLICE_SECONDS, left)
    return _Part(improver.offsets, improver.arena, improver.bound, start.arena)


def _place_hot(
    part: Sequence[Buffer[Id]],
    found: Sequence[Placement],
    others: Sequence[Order],
    goal: int,
    deadline: float,
    seed: int,
) -> Placement:
    """Place what is hot first, below the goal or as little above it as leaves little enough hot."""
    best = smallest(found)
    for slack in _SLACKS:
        level = goal + int(goal * slack)
        if best.arena <= level:
            continue
        fewest = min(found, key=lambda placement: len(above(part, placement, level)))
        until = time.perf_counter() + _HOT_SHARE * max(deadline - time.perf_counter(), 0)
        best = better(best, place_hot_first(part, fewest, others, level, until, seed))
    return best


def _place_boxes(
    part: Sequence[Buffer[Id]], bound: int, goal: int, deadline: float, seed: int
) -> _Part | None:
    """Place the boxes that the buffers of a part fit into; None if these are not much fewer."""
    boxes = boxed(part)
    if boxes is None or len(boxes.boxes) > _FEW_BOXES * len(part):
        return None
    until = deadline - (1 - _BOXES_SHARE) * max(deadline - time.perf_counter(), 0)
    placed = _place_part(boxes.boxes, bound, goal, until, seed)
    offsets = boxes.unpacked(placed.offsets)
    arena = max(offset + buffer.size for offset, buffer in zip(offsets, part, strict=True))
    return _Part(offsets, arena, bound, max(placed.greedy, arena))
