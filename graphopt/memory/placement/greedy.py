"""Greedy placement: one pass in an order, each buffer at the lowest or the tightest gap that is left for it.

The orders are those that the field uses, each a row of one table; the best of them is a good start and, on
ordinary networks, often all that is needed.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence

from graphopt.memory.buffers import Buffer, Id
from graphopt.memory.placement.native import Buffers, place_greedily

Key = Callable[[int], tuple[float, ...]]

_NOISE = 0.2
"""Spread of the logarithm of perturbed priorities."""


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
    breadth = _breadths(buffers)
    keys: dict[str, Key] = {
        "size": lambda i: (-buffers[i].size, -_duration(buffers[i])),
        "breadth": lambda i: (-breadth[i], -buffers[i].size),
        "area": lambda i: (-buffers[i].size * _duration(buffers[i]), buffers[i].lower),
        "duration": lambda i: (-_duration(buffers[i]), -buffers[i].size),
        "time": lambda i: (buffers[i].lower, -buffers[i].size),
    }
    for name, key in keys.items():
        yield Order(name, sorted(range(len(buffers)), key=key))
    yield Order("size, best fit", sorted(range(len(buffers)), key=keys["size"]), best_fit=True)
    yield Order("time, best fit", sorted(range(len(buffers)), key=keys["time"]), best_fit=True)


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
    buffers: Sequence[Buffer[Id]], native: Buffers, bound: int, goal: int, seconds: float, rounds: int
) -> Placement:
    """The best placement of all orders, and of some perturbed ones.

    Args:
        buffers: None of size 0, at least one.
        native: The same.
        bound: Lower bound of the arena, in bytes.
        goal: Arena that is good enough, in bytes.
        seconds: Time limit; at least one order is always tried.
        rounds: How many perturbed orders.
    """
    deadline = time.perf_counter() + seconds
    best: Placement | None = None
    for order in orders(buffers):
        best = _better(best, _placed(buffers, native, order, deadline))
        if best.arena <= max(bound, goal) or time.perf_counter() > deadline:
            return best
    assert best is not None
    perturbed = Perturbed(buffers, bound)
    for _ in range(rounds):
        best = _better(best, _placed(buffers, native, perturbed.after(best), deadline))
        if best.arena <= max(bound, goal) or time.perf_counter() > deadline:
            break
    return best


def _better(best: Placement | None, found: Placement) -> Placement:
    return found if best is None or found.arena < best.arena else best


def _placed(buffers: Sequence[Buffer[Id]], native: Buffers, order: Order, deadline: float) -> Placement:
    seconds = max(deadline - time.perf_counter(), 0.0)
    offsets = place_greedily(native, order.indices, order.best_fit, seconds)
    arena = max(offset + buffer.size for offset, buffer in zip(offsets, buffers, strict=True))
    return Placement(order.name, offsets, arena)


def _duration(buffer: Buffer[Id]) -> int:
    return buffer.upper - buffer.lower


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
