"""Which grid of tiles to cut a region into: what each costs in multiply-accumulates and needs in bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from graphopt.passes.memory._regions import Extent, Region, extent

MOST_TILES = 64
"""Of a region; each is a copy of its nodes."""

CUTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 24, 32)


@dataclasses.dataclass(frozen=True)
class Tiling:
    """A region and the grid it is cut into.

    Attributes:
        region: The region.
        rows: Tiles down.
        columns: Tiles across.
        macs: Multiply-accumulates of all tiles.
        plain_macs: Those of the region without tiles.
        bytes: What the tiles need at a time, the image and what is made of all tiles included; about.
    """

    region: Region
    rows: int
    columns: int
    macs: int
    plain_macs: int
    bytes: int

    @property
    def extra_macs(self) -> int:
        """What the halos cost."""
        return self.macs - self.plain_macs


def tilings(region: Region) -> Iterator[Tiling]:
    """All grids for a region that have at least two tiles."""
    height, width = region.steps.shapes[region.target][2:]
    down = {count: extent(region, count, 0) for count in CUTS if count <= height}
    across = {count: extent(region, count, 1) for count in CUTS if count <= width}
    for rows, by_row in down.items():
        for columns, by_column in across.items():
            if 2 <= rows * columns <= MOST_TILES:
                yield _tiling(region, rows, columns, by_row, by_column)


def _tiling(region: Region, rows: int, columns: int, down: Extent, across: Extent) -> Tiling:
    steps = region.steps
    macs = plain = 0
    for step in region.members:
        made = steps.index[steps.nodes[step].outputs[0]]
        each = region.macs(step)
        plain += each * steps.shapes[made][2] * steps.shapes[made][3]
        macs += each * down.total[made] * across.total[made]
    tile = {
        value: steps.sizes[value]
        * rows_needed
        * across.largest[value]
        // (steps.shapes[value][2] * steps.shapes[value][3])
        for value, rows_needed in down.largest.items()
    }
    whole = steps.sizes[region.target]
    working = steps.sizes[region.source] + whole + _peak(region, tile)
    return Tiling(region, rows, columns, macs, plain, max(working, 2 * whole))


def _peak(region: Region, sizes: dict[int, int]) -> int:
    """The most bytes of one tile alive at a time; elementwise nodes write over what dies."""
    steps = region.steps
    last = {value: step for step in region.members for value in region.inside(step)}
    alive = peak = sizes[region.source]
    for step in region.members:
        made = steps.index[steps.nodes[step].outputs[0]]
        dying = [value for value in set(region.inside(step)) if last[value] == step]
        in_place = any(sizes[value] == sizes[made] for value in dying) and not region.macs(step)
        peak = max(peak, alive + (0 if in_place else sizes[made]))
        alive += sizes[made] - sum(sizes[value] for value in dying)
    return peak
