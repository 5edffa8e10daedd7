"""Which bytes of each storage are in use when, in a given order: storages that stay together in the arena.

A value of which another is a part is made, read and dropped by itself: of a Concat whose inputs are made in
place, the bytes of the second are free until the second is made. Nothing is placed here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from graphopt.memory.clusters import Cluster, Extent
from graphopt.memory.liveness import live_ranges
from graphopt.memory.storages import Storages


def clusters_of(storages: Storages, hosts: Mapping[int, int], order: Sequence[int]) -> list[Cluster]:
    """The clusters of a graph in an order; what is never alive is left out.

    Args:
        storages: Of the graph.
        hosts: Storage -> the one whose memory it takes over.
        order: Steps, each after those that it reads from.
    """
    steps = storages.steps
    alive = live_ranges(steps, order, storages.pins)
    groups: dict[int, list[int]] = {}
    for storage in range(len(storages.sizes)):
        root = storage
        while root in hosts:
            root = hosts[root]
        groups.setdefault(root, []).append(storage)
    clusters = []
    for root, members in groups.items():
        values = [value for storage in members for value in storages.members[storage]]
        extents = tuple(_extents(storages, values, alive, storages.sizes[root]))
        if extents:
            first = min(extents, key=lambda each: (each.lower, each.begin)).values[0]
            size = max(each.begin + each.size for each in extents)
            clusters.append(Cluster(steps.name(first), size, extents))
    for place, step in enumerate(order):
        if size := steps.scratch[step]:
            inner = Extent((), 0, size, place, place + 1)
            clusters.append(Cluster(steps.nodes[step].name or "", size, (inner,)))
    return clusters


def has_parts(storages: Storages) -> bool:
    """Whether bytes of one storage may be alive at different times."""
    return any(
        (storages.offset[value], storages.steps.sizes[value]) != (0, raw)
        for members in storages.members
        for raw in [max(storages.offset[each] + storages.steps.sizes[each] for each in members)]
        for value in members
    )


def parts_of(storages: Storages, storage: int) -> list[tuple[int, tuple[int, ...]]]:
    """Bytes of each stretch of a storage in which the same values stand, and these values."""
    stretches = _stretches(storages, storages.members[storage], storages.sizes[storage])
    return [(end - begin, tuple(values)) for begin, end, values in stretches]


def touched(storages: Storages) -> int:
    """Bytes that some step itself reads and writes: no order needs less, with this sharing."""
    steps = storages.steps
    by_step: list[list[int]] = [[] for _ in steps.nodes]
    for value, (maker, users) in enumerate(zip(steps.makers, steps.users, strict=True)):
        for step in {maker, *users} & set(range(len(by_step))):
            by_step[step].append(value)
    most = 0
    for step, values in enumerate(by_step):
        homes = {storages.home[value] for value in values}
        needed = steps.scratch[step] + sum(_covered(storages, values, home) for home in homes)
        chance = storages.taken_over[step]
        if chance is not None:
            needed -= max(storages.sizes[each] for each in chance[1])
        most = max(most, needed)
    return most


def _extents(
    storages: Storages, values: Sequence[int], alive: Sequence[tuple[int, int]], size: int
) -> Iterator[Extent]:
    """The bytes of values that share memory, cut where one of them begins or ends."""
    open_: dict[tuple[int, int, tuple[int, ...]], tuple[int, int]] = {}  # lower, upper, values -> begin, end
    for begin, end, here in _stretches(storages, values, size):
        found = {(lower, upper, tuple(inside)): (begin, end) for lower, upper, inside in _ranges(here, alive)}
        for key in list(open_):
            if key in found:
                found[key] = (open_.pop(key)[0], end)
            else:
                yield _extent(key, *open_.pop(key))
        open_ = found
    for key, (begin, end) in open_.items():
        yield _extent(key, begin, end)


def _stretches(storages: Storages, values: Iterable[int], size: int) -> Iterator[tuple[int, int, list[int]]]:
    """Begin and end of each stretch of memory in which the same values stand, and these values."""
    spans = [(value, *_span(storages, value, size)) for value in values if storages.steps.sizes[value]]
    cuts = sorted({place for _, begin, end in spans for place in (begin, end)})
    for begin, end in itertools.pairwise(cuts):
        yield begin, end, [value for value, first, last in spans if first <= begin and end <= last]


def _extent(key: tuple[int, int, tuple[int, ...]], begin: int, end: int) -> Extent:
    lower, upper, values = key
    return Extent(values, begin, end - begin, lower, upper)


def _span(storages: Storages, value: int, size: int) -> tuple[int, int]:
    """Where the bytes of a value begin and end in its storage; the last value takes what rounding adds."""
    begin = storages.offset[value]
    end = begin + storages.steps.sizes[value]
    return begin, size if size - end < storages.alignment else end


def _ranges(values: Sequence[int], alive: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int, list[int]]]:
    """Stretches of time in which one of some values at least is alive, and the values."""
    current: tuple[int, int, list[int]] | None = None
    for value in sorted(values, key=lambda each: alive[each]):
        lower, upper = alive[value]
        if lower >= upper:
            continue
        if current is not None and lower <= current[1]:
            current = (current[0], max(current[1], upper), [*current[2], value])
        else:
            if current is not None:
                yield current
            current = (lower, upper, [value])
    if current is not None:
        yield current


def _covered(storages: Storages, values: Iterable[int], home: int) -> int:
    """Bytes of a storage in which some values stand."""
    total, reached = 0, 0
    size = storages.sizes[home]
    for begin, end in sorted(_span(storages, each, size) for each in values if storages.home[each] == home):
        total += max(end - max(begin, reached), 0)
        reached = max(reached, end)
    return total
