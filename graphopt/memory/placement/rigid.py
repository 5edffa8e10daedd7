"""Placement of clusters: greedily at the lowest free offset, in several orders; the best one is improved.

What stands lower in the arena in one order makes room in another: clusters that reach the top go first next.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from graphopt.memory.clusters import Cluster, Extent

TRIES = 2000
"""Orders at most, so that small instances end early."""


def _span(cluster: Cluster) -> tuple[int, int]:
    return min(each.lower for each in cluster.extents), max(each.upper for each in cluster.extents)


def _area(cluster: Cluster) -> int:
    return sum(each.size * (each.upper - each.lower) for each in cluster.extents)


Key = Callable[[Cluster], tuple[int, ...]]

KEYS: tuple[Key, ...] = (
    lambda each: (-each.size, *_span(each)),
    lambda each: (-_area(each), each.size),
    lambda each: (_span(each)[0] - _span(each)[1], -each.size),
    lambda each: (*_span(each), -each.size),
    lambda each: (-_span(each)[1], -each.size),
)
"""Orders to begin with: large ones first, those of much time and size, of much time, by begin, by end."""


def place_clusters(
    clusters: Sequence[Cluster], *, alignment: int, goal: int, time_limit: float, seed: int = 0
) -> list[int]:
    """Offsets of clusters in the smallest arena that is found.

    Args:
        clusters: Their extents keep their distances.
        alignment: Of the offsets, in bytes.
        goal: Bytes that are small enough.
        time_limit: Seconds after which no further order is tried.
        seed: Of the changes of the best order.
    """
    deadline = time.perf_counter() + time_limit
    best: list[int] = []
    least = -1
    waiting = [_sorted(clusters, key) for key in KEYS]
    chance = random.Random(seed)
    for _ in range(TRIES):
        order = waiting.pop(0) if waiting else _changed(clusters, best, chance)
        offsets = _placed(clusters, order, alignment)
        arena = arena_of(clusters, offsets)
        if least < 0 or arena < least:
            best, least = offsets, arena
        if least <= goal or time.perf_counter() >= deadline:
            break
    return best


def arena_of(clusters: Sequence[Cluster], offsets: Sequence[int]) -> int:
    """The highest end of a cluster."""
    return max((offset + each.size for each, offset in zip(clusters, offsets, strict=True)), default=0)


def _sorted(clusters: Sequence[Cluster], key: Key) -> list[int]:
    return sorted(range(len(clusters)), key=lambda index: key(clusters[index]))


def _changed(clusters: Sequence[Cluster], offsets: Sequence[int], chance: random.Random) -> list[int]:
    """The order in which a placement stands, from the bottom up, with one cluster elsewhere."""
    arena = arena_of(clusters, offsets)
    order = sorted(range(len(clusters)), key=lambda index: offsets[index])
    top = [index for index in order if offsets[index] + clusters[index].size == arena]
    moved = chance.choice(top if chance.random() < 0.5 else order)
    order.remove(moved)
    order.insert(chance.randrange(len(order) + 1), moved)
    return order


def _placed(clusters: Sequence[Cluster], order: Sequence[int], alignment: int) -> list[int]:
    offsets = [0] * len(clusters)
    taken: list[tuple[int, int, int, int]] = []  # lower, upper, begin, end
    for index in order:
        extents = clusters[index].extents
        offset = offsets[index] = _lowest(extents, taken, alignment)
        taken += [
            (each.lower, each.upper, offset + each.begin, offset + each.begin + each.size) for each in extents
        ]
    return offsets


def _lowest(extents: Sequence[Extent], taken: Sequence[tuple[int, int, int, int]], alignment: int) -> int:
    """The lowest offset at which no extent meets what is taken."""
    barred = sorted(
        (begin - each.begin - each.size, end - each.begin)
        for each in extents
        for lower, upper, begin, end in taken
        if lower < each.upper and each.lower < upper
    )
    offset = 0
    for first, last in barred:
        if offset <= first:
            break
        if offset < last:
            offset = -(-last // alignment) * alignment
    return offset
