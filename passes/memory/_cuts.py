"""Which regions around a step to cut, and into how many parts."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import onnx_ir as ir

from graphopt.memory.steps import Steps
from graphopt.passes.memory._along import Fit
from graphopt.passes.memory._cost import costs, floor_of, grids_of
from graphopt.passes.memory._load import Load
from graphopt.passes.memory._parts import write_parts
from graphopt.passes.memory._reads import Reads, Slide, Spread, Stamp
from graphopt.passes.memory._regions import Region, regions

MOST_AHEAD = 48
"""Steps behind the place within which a region ends."""

MOST_REGIONS = 32
"""Of which all counts of parts are looked at."""


@dataclasses.dataclass(frozen=True)
class Cut:
    """A region and the parts it is run in.

    Attributes:
        target: The value that is put together from parts.
        axes: Along which it is cut.
        members: Number of nodes that are run in parts.
        counts: Parts along each axis.
        extra: Multiply-accumulates done more than once, and elements made or copied beside.
        bytes: What the nodes need at a time, all that stays alive meanwhile included; about.
        whole: Values that are whole in memory: ("to", the name of the target), ("from", that of a source).
    """

    target: int
    axes: tuple[int, ...]
    members: int
    counts: tuple[int, ...]
    extra: int
    bytes: int
    whole: frozenset[tuple[str, str]]

    @property
    def nodes(self) -> int:
        """How many nodes it adds, about."""
        return self.members * math.prod(self.counts)

    @property
    def done(self) -> str:
        """What is done, in words."""
        grid = "x".join(map(str, self.counts))
        return f"{grid} {'tiles' if len(self.counts) > 1 else 'parts'} of {self.members} nodes"

    def write(self, model: ir.Model, load: Load) -> None:
        """Cut the region in a model that needs `load`, like the one in which the cut was found."""
        found = regions(load.sized, self.target, self.axes)
        region = next(itertools.islice(found, self.members - 1, None))
        write_parts(model, region, self.counts)


def tiles(load: Load, place: int, goal: int) -> Iterator[Cut]:
    """Cuts of rows and columns around a step: neighbouring parts may read the same places, with windows."""
    for region in _around(load, place, goal, IMAGE_AXES):
        if any(found.fit in WINDOWS for alongs in region.alongs for found in alongs):
            yield from _cuts(load, region, goal)


def splits(load: Load, place: int, goal: int) -> Iterator[Cut]:
    """Cuts along one axis around a step, of which each part reads places that no other reads."""
    for region in _around(load, place, goal, EACH_AXIS):
        if not any(_has_halo(reads) for (found,) in region.alongs for reads in found.reads):
            yield from _cuts(load, region, goal)


WINDOWS = (Fit.PADS, Fit.CROPS, Fit.PAD_INPUT, Fit.SIZES)
IMAGE_AXES: Mapping[int, Sequence[tuple[int, ...]]] = {3: [(2,)], 4: [(2, 3)], 5: [(2, 3)]}
EACH_AXIS: Mapping[int, Sequence[tuple[int, ...]]] = {
    rank: [(axis,) for axis in range(rank)] for rank in range(1, 7)
}
"""Axes to cut values along, by their rank."""


def _has_halo(reads: Reads | None) -> bool:
    match reads:
        case Slide(extent=extent, stride=stride, pad=pad):
            return extent > stride or pad > 0
        case Spread(halo=halo):
            return halo > 0
        case Stamp(extent=extent, stride=stride):
            return extent > stride
    return False


def _around(
    load: Load, place: int, goal: int, axes_of: Mapping[int, Sequence[tuple[int, ...]]]
) -> list[Region]:
    """The most promising regions that hold a step."""
    steps, needed = load.steps, load.trace.needs[place]
    found: list[tuple[int, int, int, Region]] = []
    for step in range(place, min(place + MOST_AHEAD, len(steps.nodes))):
        for value in steps.nodes[step].outputs:
            target = steps.index.get(value)
            if target is None or steps.sizes[target] >= needed or not _has_slices(steps, target):
                continue
            shape = steps.shapes[target]
            for axes in axes_of.get(len(shape), ()):
                if math.prod(shape[axis] for axis in axes) < 2:
                    continue
                for region in regions(load.sized, target, axes):
                    if place in region.members and all(_has_slices(steps, each) for each in region.sources):
                        least = max(floor_of(load, region, goal))
                        if least < needed:
                            found.append((max(least - goal, 0), len(region.members), len(found), region))
                    elif region.members[0] < place:
                        break
    return [region for *_, region in sorted(found, key=lambda each: each[:3])[:MOST_REGIONS]]


def _has_slices(steps: Steps, value: int) -> bool:
    """Whether Slice and Concat take the type of a value."""
    dtype = steps.values[value].dtype
    return dtype is not None and dtype.bitwidth >= 8 and not dtype.name.startswith("FLOAT8")


def _cuts(load: Load, region: Region, goal: int) -> Iterator[Cut]:
    """All cuts of a region."""
    grids = grids_of(region.sizes())
    extra, size, possible = costs(region, grids)
    running, joining = floor_of(load, region, goal)
    names = [("from", region.steps.name(source)) for source in region.sources]
    whole = frozenset([("to", region.steps.name(region.target)), *names])
    for counts, more, working, is_possible in zip(grids, extra, size, possible, strict=True):
        if not is_possible:
            continue
        needed = max(running + int(working), joining)
        yield Cut(region.target, region.axes, len(region.members), counts, int(more), needed, whole)
