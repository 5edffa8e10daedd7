"""What it costs to run a region in parts, and what it needs meanwhile, for all grids of parts at once."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from graphopt.ir import facts
from graphopt.memory.steps import START
from graphopt.passes.memory._load import Load
from graphopt.passes.memory._parts import parts
from graphopt.passes.memory._reads import Slide, all_within
from graphopt.passes.memory._regions import Region

COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 32, 48, 64)
"""Parts along an axis."""

MOST_PARTS = 64
"""Of a region; each is a copy of its nodes."""

Shares = np.ndarray[Any, np.dtype[np.float64]]
"""Of a whole, for each grid."""

Grid = tuple[int, ...]
"""Parts along each axis."""


def grids_of(sizes: Sequence[int]) -> list[Grid]:
    """Grids that a value of some sizes along its axes can be cut into."""
    each = [[count for count in COUNTS if count <= size] for size in sizes]
    return [grid for grid in itertools.product(*each) if 2 <= math.prod(grid) <= MOST_PARTS]


def floor_of(load: Load, region: Region, goal: int) -> tuple[int, int]:
    """Bytes that a region needs however it is cut: all the time, and while its target is put together.

    A source that is made where more than the goal is needed has to be put together from parts itself; and of
    a target that is read where more is needed another value will be put together.
    """
    storages, steps = load.storages, load.steps
    home, sizes, needs = storages.home, storages.sizes, load.trace.needs
    made = set(region.made) - {region.target}
    place = max(region.members, key=needs.__getitem__)
    kept = {storage for storage in load.alive_at(place) if not made.issuperset(storages.members[storage])}
    kept.update(home[source] for source in region.sources)
    kept.add(home[region.target])
    running = sum(sizes[storage] for storage in kept)
    joining = running
    if not is_joined_in_place(region):
        behind = [storage for storage in kept if load.trace.upper[storage] > region.members[-1] + 1]
        joining = sum(sizes[storage] for storage in behind) + steps.sizes[region.target]
    for source in region.sources:
        is_made = steps.makers[source] != START
        if is_made and load.making[home[source]] > goal and len(steps.shapes[source]) > 3:
            joining = max(joining, 2 * steps.sizes[source])
    if any(needs[user] > goal for user in steps.users[region.target]):
        joining = max(joining, 2 * steps.sizes[region.target])
    return running, joining


def is_joined_in_place(region: Region) -> bool:
    """Whether parts lie one behind the other in the target, so that a Concat need not copy them."""
    shape = region.steps.shapes[region.target]
    return len(region.axes) == 1 and math.prod(shape[: region.axes[0]]) == 1


def costs(region: Region, grids: Sequence[Grid]) -> tuple[Shares, Shares, npt.NDArray[np.bool_]]:
    """For each grid the extra work, the most bytes of a part that are alive at a time, and if it can be run.

    Extra work is multiply-accumulates done more than once, and elements made or copied beside. A part that
    is made of padding alone cannot be written.
    """
    return _Costs(region, grids).of()


class _Costs:
    def __init__(self, region: Region, grids: Sequence[Grid]) -> None:
        self._region, self._steps = region, region.steps
        self._none = np.zeros(len(grids))
        self._possible = np.ones(len(grids), dtype=np.bool_)
        self._total: dict[int, Shares] = {}
        self._largest: dict[int, Shares] = {}
        self._read: dict[tuple[int, int], Shares] = {}
        for place in range(len(region.axes)):
            self._follow(place, np.array([grid[place] for grid in grids], dtype=np.int64))
        self._last = {value: step for step in region.members for value in region.sized.reads[step]}

    def of(self) -> tuple[Shares, Shares, npt.NDArray[np.bool_]]:
        region, steps = self._region, self._steps
        extra = self._none
        for step, made in zip(region.members, region.made, strict=True):
            work = region.sized.macs[step] + math.prod(steps.shapes[made])
            extra = extra + (self._total[made] - 1) * work
        if not is_joined_in_place(region):
            extra = extra + len(region.axes) * math.prod(steps.shapes[region.target])
        return extra, self._working(), self._possible

    def _follow(self, place: int, counts: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        """What the parts along one axis need of each value, in total and at most, as shares of it."""
        region, steps = self._region, self._steps
        each = np.unique(counts)
        of_grid = np.searchsorted(each, counts)
        starts = np.concatenate([[0], np.cumsum(each)[:-1]])
        needs = region.needs(
            [part for count in each for part in parts(region.sizes()[place], int(count))], place
        )

        def share(found: dict[Any, Shares], key: Any, reduced: Shares, size: int) -> None:
            found[key] = found.get(key, 1.0) * (reduced / size)[of_grid]

        for step, made, alongs in zip(region.members, region.made, region.alongs, strict=True):
            size = steps.shapes[made][alongs[place].axis]
            lengths = needs[made][1] - needs[made][0]
            share(self._total, made, np.add.reduceat(lengths, starts), size)
            share(self._largest, made, np.maximum.reduceat(lengths, starts), size)
            for value, reads in zip(steps.nodes[step].inputs, alongs[place].reads, strict=True):
                index = None if value is None else steps.index.get(value)
                if isinstance(reads, Slide) and index is not None:
                    first, last = reads.reads(needs[made])
                    meets = (first < steps.shapes[index][reads.axis]) & (last > 0)
                    self._possible &= np.logical_and.reduceat(meets, starts)[of_grid]
                if index in region.sources and index is not None and reads is not None:
                    whole = steps.shapes[index][reads.axis]
                    first, last = all_within(reads.reads(needs[made]), whole)
                    share(self._read, (step, index), np.maximum.reduceat(last - first, starts), whole)

    def _working(self) -> Shares:
        """The most bytes of one part that are alive at a time, the target aside."""
        region, steps = self._region, self._steps
        sizes: dict[int, Shares] = {}
        alive = peak = self._none
        for step, made in zip(region.members, region.made, strict=True):
            read = region.sized.reads[step]
            copies = {
                value: steps.sizes[value] * self._read[step, value]
                for value in read
                if (step, value) in self._read
            }
            dying = [value for value in read if value in sizes and self._last[value] == step]
            copied: Shares = functools.reduce(np.add, copies.values(), self._none)
            size = self._none if made == region.target else steps.sizes[made] * self._largest[made]
            room = self._none
            for value in region.sized.overwrites[step]:
                if value in copies or value in dying:
                    room = np.maximum(room, copies.get(value, sizes.get(value, self._none)))
            is_free = facts(steps.nodes[step]).view
            new = self._none if is_free else np.where(room >= size, 0.0, size)
            peak = np.maximum(peak, alive + copied + new)
            alive = alive + size - functools.reduce(np.add, (sizes.pop(value) for value in dying), self._none)
            sizes[made] = size
        return peak
