"""Greedy placement: one pass in an order, each buffer at the lowest or the tightest gap that is left for it.

The orders are those that the field uses, each a row of one table; the best of them is a good start and, on
ordinary networks, often all that is needed.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import math
import operator
import random
import time
from collections.abc import Iterable, Iterator, Sequence

from graphopt.memory.buffers import Buffer, Id
from graphopt.memory.placement.native import Buffers, place_greedily, place_outward

_NOISE = 0.2
"""Spread of the logarithm of perturbed priorities."""

_PERTURBED = 4
"""Perturbed orders to try of few buffers."""

STACKINGS = ("reach", "area", "duration", "size")
"""In the order in which `Stacking` in `cpp_ext/core/memory/outward.h` has them, which says what they mean."""

_STACKINGS_OF_MANY = 2
"""How many of them are tried of many buffers."""


@dataclasses.dataclass(frozen=True)
class Order:
    """An order to place buffers in.

    Attributes:
        name: In the field's terms.
        indices: Buffers, first to last.
        best_fit: At the tightest gap rather than at the lowest.
    """

    name: str
    indices: list[int]
    best_fit: bool = False


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where one pass put the buffers.

    Attributes:
        name: Of the order.
        offsets: Bytes, by index.
        arena: Bytes.
    """

    name: str
    offsets: list[int]
    arena: int


def orders(buffers: Sequence[Buffer[Id]]) -> Iterator[Order]:
    """The orders to try, the most promising first."""
    sizes = [buffer.size for buffer in buffers]
    durations = [buffer.upper - buffer.lower for buffer in buffers]
    lowers = [buffer.lower for buffer in buffers]
    by_size = _largest_first(sizes, durations)
    yield Order("size", by_size)
    yield Order("breadth", _largest_first(_breadths(buffers), sizes))
    yield Order("area", _largest_first(map(operator.mul, sizes, durations), sizes))
    yield Order("duration", _largest_first(durations, sizes))
    by_time = sorted(range(len(buffers)), key=lowers.__getitem__)
    yield Order("time", by_time)
    yield Order("size, best fit", by_size, best_fit=True)
    yield Order("time, best fit", by_time, best_fit=True)


def _largest_first(*keys: Iterable[int]) -> list[int]:
    """Indices by descending keys."""
    pairs = list(zip(*keys, strict=True))
    return sorted(range(len(pairs)), key=pairs.__getitem__, reverse=True)


class Perturbed:
    """Orders by size with noise, in which what ended above the bound before moves up.

    Args:
        buffers: What to place.
        bound: Lower bound of the arena, in bytes.
        seed: Of the noise.
    """

    def __init__(self, buffers: Sequence[Buffer[Id]], bound: int, seed: int = 0) -> None:
        self._sizes = [buffer.size for buffer in buffers]
        self._bound = bound
        self._generator = random.Random(seed)
        self._weights = [math.log(size) for size in self._sizes]

    def after(self, best: Placement) -> Order:
        """The next order, after the best placement so far."""
        for index, offset in enumerate(best.offsets):
            if offset + self._sizes[index] > self._bound:
                self._weights[index] += self._generator.random()
        noisy = [-weight - self._generator.gauss(0.0, _NOISE) for weight in self._weights]
        return Order("perturbed", sorted(range(len(noisy)), key=noisy.__getitem__))


def greedy(
    buffers: Sequence[Buffer[Id]],
    native: Buffers,
    tried: Sequence[Order],
    bound: int,
    goal: int,
    seconds: float,
    *,
    many: bool = False,
) -> list[Placement]:
    """Placements outwards from the peak and in some orders, until one is at the goal.

    Args:
        buffers: None of size 0, at least one.
        native: The same.
        tried: Orders to try, at least one.
        bound: Lower bound of the arena, in bytes.
        goal: Arena that is good enough, in bytes.
        seconds: Time limit; one of them is always tried.
        many: Try less of so many buffers.
    """
    deadline = time.perf_counter() + seconds
    found: list[Placement] = []
    for placement in _candidates(buffers, native, tried, bound, many, found, deadline):
        found.append(placement)
        if placement.arena <= max(bound, goal) or time.perf_counter() > deadline:
            break
    return found


def _candidates(
    buffers: Sequence[Buffer[Id]],
    native: Buffers,
    tried: Sequence[Order],
    bound: int,
    many: bool,
    found: Sequence[Placement],
    deadline: float,
) -> Iterator[Placement]:
    yield from itertools.islice(outward(buffers, native), _STACKINGS_OF_MANY if many else None)
    for order in tried:
        yield place_in_order(buffers, native, order, deadline)
    changing = Perturbed(buffers, bound)
    for _ in range(0 if many else _PERTURBED):
        yield place_in_order(buffers, native, changing.after(smallest(found)), deadline)


def smallest(found: Sequence[Placement]) -> Placement:
    """The placement with the smallest arena; the first of equal ones."""
    return min(found, key=lambda placement: placement.arena)


def outward(buffers: Sequence[Buffer[Id]], native: Buffers) -> Iterator[Placement]:
    """Placements outwards from the peak; none where offsets are fixed or alignments differ.

    They take n log n time and leave few gaps among many buffers of similar sizes.
    """
    for stacking, name in enumerate(STACKINGS):
        offsets = place_outward(native, stacking)
        if not offsets:
            return
        yield Placement(f"outward, {name}", offsets, _arena(buffers, offsets))


def _arena(buffers: Sequence[Buffer[Id]], offsets: Sequence[int]) -> int:
    return max(offset + buffer.size for offset, buffer in zip(offsets, buffers, strict=True))


def better(best: Placement | None, found: Placement) -> Placement:
    """The one with the smaller arena; the first where they are equal."""
    return found if best is None or found.arena < best.arena else best


def place_in_order(
    buffers: Sequence[Buffer[Id]], native: Buffers, order: Order, deadline: float
) -> Placement:
    """One pass. Past the deadline, on the clock of `time.perf_counter`, buffers only stack up."""
    seconds = max(deadline - time.perf_counter(), 0.0)
    offsets = place_greedily(native, order.indices, order.best_fit, seconds)
    return Placement(order.name, offsets, _arena(buffers, offsets))


def _breadths(buffers: Sequence[Buffer[Id]]) -> list[int]:
    """The most bytes that are live at a moment of each buffer's life (Pisarchyk and Lee, 2020).

    From a table of maxima over ranges of moments whose lengths are powers of two.
    """
    moments = sorted({buffer.lower for buffer in buffers})
    place = {moment: index for index, moment in enumerate(moments)}
    change = [0] * (len(moments) + 1)
    ranges = []
    for buffer in buffers:
        first, last = place[buffer.lower], bisect.bisect_left(moments, buffer.upper)
        change[first] += buffer.size
        change[last] -= buffer.size
        ranges.append((first, last))
    live, total = [], 0
    for each in change[:-1]:
        total += each
        live.append(total)
    tables = [live]
    while 2 ** len(tables) <= len(live):
        half, below = 2 ** (len(tables) - 1), tables[-1]
        tables.append([max(pair) for pair in zip(below, below[half:], strict=False)])
    found = []
    for first, last in ranges:
        level = (last - first).bit_length() - 1
        found.append(max(tables[level][first], tables[level][last - 2**level]))
    return found
