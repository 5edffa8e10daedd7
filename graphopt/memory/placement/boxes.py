"""Buffers that fit together without a gap, put into boxes that are placed as one.

Two that live equally long are stacked; two of one size of which one ends as the other begins follow each
other in one place; the boxes so made fit together again, and so on. An arena that was cut into pieces along
straight lines comes out whole. (Boxing is what approximation algorithms do too, with gaps: Buchsbaum et al.,
"OPT versus LOAD in dynamic storage allocation", 2004.) Nothing is placed in an arena here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from graphopt.memory.buffers import Buffer, Id

LEAST_FITS = 1 / 8
"""Of the buffers must fit with another for boxes to be made: in random cuts a third does."""


@dataclasses.dataclass(frozen=True)
class Boxes:
    """Boxes and what is in them.

    Attributes:
        boxes: Named by their places in this tuple.
        contents: Of each box (index of a buffer, bytes from the start of the box).
    """

    boxes: tuple[Buffer[int], ...]
    contents: tuple[tuple[tuple[int, int], ...], ...]

    def unpacked(self, offsets: Sequence[int]) -> list[int]:
        """Offsets of the buffers, by index, where the boxes lie at some offsets."""
        found = [0] * sum(map(len, self.contents))
        for offset, inside in zip(offsets, self.contents, strict=True):
            for index, distance in inside:
                found[index] = offset + distance
        return found


def boxed(buffers: Sequence[Buffer[Id]]) -> Boxes | None:
    """Buffers in boxes; None if few fit together, an offset is fixed, or alignments differ.

    Args:
        buffers: None of size 0, at least one.
    """
    alignment = buffers[0].alignment
    if any(buffer.offset is not None or buffer.alignment != alignment for buffer in buffers):
        return None
    joining = _Joining(buffers, alignment)
    if joining.fits() < LEAST_FITS * len(buffers):
        return None
    joining.run()
    roots = [index for index, is_root in enumerate(joining.is_root) if is_root]
    return Boxes(
        tuple(
            Buffer(number, joining.lower[root], joining.upper[root], joining.size[root], alignment)
            for number, root in enumerate(roots)
        ),
        tuple(tuple(joining.inside(root)) for root in roots),
    )


class _Joining:
    """Boxes in the making: the first ones hold a buffer each, every other two boxes before it."""

    def __init__(self, buffers: Sequence[Buffer[Id]], alignment: int) -> None:
        self._count = len(buffers)
        self.lower = [buffer.lower for buffer in buffers]
        self.upper = [buffer.upper for buffer in buffers]
        self.size = [-(-buffer.size // alignment) * alignment for buffer in buffers]
        self.is_root = [True] * len(buffers)
        self._parts: list[tuple[int, int, int]] = []  # two boxes, and the distance of the second
        self._alike: dict[tuple[int, int], int] = {}
        self._starting: dict[tuple[int, int], list[int]] = {}
        self._ending: dict[tuple[int, int], list[int]] = {}

    def fits(self) -> int:
        """About how many buffers fit with another."""
        starts = set(zip(self.lower, self.size, strict=True))
        ends = set(zip(self.upper, self.size, strict=True))
        ranges = set(zip(self.lower, self.upper, strict=True))
        return len(starts & ends) + self._count - len(ranges)

    def run(self) -> None:
        """Join what can be: first all that lives equally long, then pairs that follow each other."""
        fresh = list(range(self._count))
        while fresh:
            stacked = [self._stacked(box) for box in fresh]
            for box in stacked:
                if self.is_root[box]:
                    self._starting.setdefault((self.lower[box], self.size[box]), []).append(box)
                    self._ending.setdefault((self.upper[box], self.size[box]), []).append(box)
            fresh = [joined for box in stacked if (joined := self._followed(box)) is not None]

    def inside(self, root: int) -> list[tuple[int, int]]:
        """The buffers in a box with their distances from its start."""
        found, open_ = [], [(root, 0)]
        while open_:
            box, distance = open_.pop()
            if box < self._count:
                found.append((box, distance))
                continue
            one, other, between = self._parts[box - self._count]
            open_ += ((other, distance + between), (one, distance))
        return found

    def _stacked(self, box: int) -> int:
        """A box with another on it that lives equally long, or as it is."""
        key = self.lower[box], self.upper[box]
        other = self._alike.get(key)
        if other is not None and self.is_root[other]:
            box = self._join(other, box, self.size[other], *key, self.size[other] + self.size[box])
        self._alike[key] = box
        return box

    def _followed(self, box: int) -> int | None:
        """A box and the only one that follows it or that it follows, or None."""
        if not self.is_root[box]:
            return None
        size = self.size[box]
        for moment in (self.upper[box], self.lower[box]):
            ending = self._open(self._ending, (moment, size))
            starting = self._open(self._starting, (moment, size))
            if len(ending) == len(starting) == 1:
                before, after = ending[0], starting[0]
                return self._join(before, after, 0, self.lower[before], self.upper[after], size)
        return None

    def _open(self, table: dict[tuple[int, int], list[int]], key: tuple[int, int]) -> list[int]:
        found = [box for box in table.get(key, ()) if self.is_root[box]]
        table[key] = found
        return found

    def _join(self, one: int, other: int, between: int, lower: int, upper: int, size: int) -> int:
        self.is_root[one] = self.is_root[other] = False
        self.is_root.append(True)
        self.lower.append(lower)
        self.upper.append(upper)
        self.size.append(size)
        self._parts.append((one, other, between))
        return len(self.size) - 1
