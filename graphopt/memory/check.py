"""An independent check of placements: that they are valid and that what is claimed of them is possible.

Shares nothing with what places buffers and computes bounds, and looks at every pair that is live together.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence

from graphopt.errors import VerificationError
from graphopt.memory.buffers import Buffer, Id


def check_placement(
    buffers: Sequence[Buffer[Id]], offsets: Mapping[Id, int], arena: int, lower_bound: int
) -> None:
    """Verify a plan.

    Every buffer has an offset, which is a multiple of its alignment and, if fixed, the one it is fixed to; no
    two that are live together share a byte; the arena is the highest end; the lower bound is not above it.

    Raises:
        VerificationError: One of these does not hold; the message names the buffers.
    """
    for buffer in buffers:
        _check_one(buffer, offsets, arena)
    highest = max((offsets[buffer.id] + buffer.size for buffer in buffers if buffer.size), default=0)
    if arena != highest:
        raise VerificationError(f"the arena is said to be {arena} bytes, but the buffers end at {highest}")
    if lower_bound > arena:
        raise VerificationError(f"the lower bound {lower_bound} is above the arena of {arena} bytes")
    _check_overlaps(buffers, offsets)


def _check_one(buffer: Buffer[Id], offsets: Mapping[Id, int], arena: int) -> None:
    if buffer.id not in offsets:
        raise VerificationError(f"buffer {buffer.id!r} has no offset")
    offset = offsets[buffer.id]
    if offset < 0 or offset + buffer.size > max(arena, offset):
        raise VerificationError(
            f"buffer {buffer.id!r} at {offset} with {buffer.size} bytes leaves the arena of {arena}"
        )
    if offset % buffer.alignment:
        raise VerificationError(
            f"buffer {buffer.id!r} at {offset} is not aligned to {buffer.alignment} bytes"
        )
    if buffer.offset is not None and offset != buffer.offset:
        raise VerificationError(f"buffer {buffer.id!r} lies at {offset}, but is fixed to {buffer.offset}")


def _check_overlaps(buffers: Sequence[Buffer[Id]], offsets: Mapping[Id, int]) -> None:
    """Sweep through time with the live buffers sorted by offset: a newcomer must fit between its neighbours.

    Those that are live are disjoint as long as no newcomer was refused, so that its neighbours are enough.
    """
    placed = [buffer for buffer in buffers if buffer.size]
    events = sorted(
        [(buffer.lower, True, index) for index, buffer in enumerate(placed)]
        + [(buffer.upper, False, index) for index, buffer in enumerate(placed)]
    )
    live: list[tuple[int, int]] = []  # (offset, index), ascending
    for _, begins, index in events:
        buffer = placed[index]
        offset = offsets[buffer.id]
        place = bisect.bisect_left(live, (offset, index))
        if not begins:
            del live[place]
            continue
        below = live[place - 1][1] if place else None
        above = live[place][1] if place < len(live) else None
        for neighbour in (below, above):
            if neighbour is None:
                continue
            other = placed[neighbour]
            first, second = sorted((buffer, other), key=lambda each: offsets[each.id])
            if offsets[first.id] + first.size > offsets[second.id]:
                raise VerificationError(
                    f"buffers {first.id!r} at {offsets[first.id]} and {second.id!r} at {offsets[second.id]} "
                    "overlap while both are live"
                )
        live.insert(place, (offset, index))
