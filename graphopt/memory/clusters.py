"""Pieces of memory that keep their distances wherever they are placed, each taken for a time of its own.

A buffer is a cluster of one extent. Where inputs of a Concat are made in place, each is an extent of its own.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class Extent:
    """Some bytes of a cluster for a while.

    Attributes:
        values: Those that stand in them in part or as a whole; () for what the bodies of a node take.
        begin: Bytes from the start of the cluster.
        size: Bytes.
        lower: Place in the order from which they are taken.
        upper: Place before which they are free again.
    """

    values: tuple[int, ...]
    begin: int
    size: int
    lower: int
    upper: int


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Extents that keep their distances wherever they are placed.

    Attributes:
        name: Of the first value in it; of the node for what the bodies of a node take.
        size: Bytes from its start to the end of its last extent.
        extents: No two overlap in place and time; at least one.
    """

    name: str
    size: int
    extents: tuple[Extent, ...]

    @property
    def is_whole(self) -> bool:
        """Whether all of it is taken for all of the time."""
        return len(self.extents) == 1 and not self.extents[0].begin


def needs_of(clusters: Iterable[Cluster], count: int) -> list[int]:
    """Bytes alive while each of `count` steps runs, by place."""
    change = [0] * (count + 1)
    for cluster in clusters:
        for extent in cluster.extents:
            change[min(extent.lower, count)] += extent.size
            change[min(extent.upper, count)] -= extent.size
    return list(itertools.accumulate(change))[:-1]
