"""Lower bounds: how many bytes no arena for given buffers can do without.

Formulas only; nothing is placed or searched here.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

from graphopt.memory.buffers import Buffer, Id


def lower_bound(buffers: Sequence[Buffer[Id]]) -> int:
    """Bytes that every arena for these buffers has at least.

    At each moment the live buffers lie one above the other. Every offset is a multiple of what all alignments
    share, so that each but the highest takes its size rounded up to that. Fixed buffers end where they end.
    """
    shared = math.gcd(*(buffer.alignment for buffer in buffers))
    ends = [buffer.offset + buffer.size for buffer in buffers if buffer.offset is not None and buffer.size]
    return max(_most_live(buffers, max(shared, 1)), max(ends, default=0))


def _most_live(buffers: Sequence[Buffer[Id]], step: int) -> int:
    """The most that is live at a time: padded sizes less the padding of one buffer, which may lie on top."""
    if all(buffer.size % step == 0 for buffer in buffers):
        return max(_live_sums(buffers, step), default=0)
    pairs = zip(_live_sums(buffers, step), _live_padding(buffers, step), strict=True)
    return max((live - padding for live, padding in pairs), default=0)


def _events(buffers: Sequence[Buffer[Id]]) -> list[tuple[int, int, int]]:
    """(moment, 0 where a buffer's range ends and 1 where it begins, index), in order; ends come first."""
    starts = [(buffer.lower, 1, index) for index, buffer in enumerate(buffers) if buffer.size]
    ends = [(buffer.upper, 0, index) for index, buffer in enumerate(buffers) if buffer.size]
    return sorted(starts + ends)


def _live_sums(buffers: Sequence[Buffer[Id]], step: int) -> list[int]:
    """Padded bytes that are live after each event."""
    live, sums = 0, []
    for _, begins, index in _events(buffers):
        padded = -(-buffers[index].size // step) * step
        live += padded if begins else -padded
        sums.append(live)
    return sums


def _live_padding(buffers: Sequence[Buffer[Id]], step: int) -> list[int]:
    """The most bytes that any live buffer is padded with, after each event."""
    live: set[int] = set()
    heap: list[tuple[int, int]] = []
    most = []
    for _, begins, index in _events(buffers):
        if begins:
            live.add(index)
            heapq.heappush(heap, (-(-buffers[index].size % step), index))
        else:
            live.discard(index)
        while heap and heap[0][1] not in live:
            heapq.heappop(heap)
        most.append(-heap[0][0] if heap else 0)
    return most
