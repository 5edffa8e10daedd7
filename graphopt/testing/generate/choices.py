"""Where a generator takes its decisions from: a seed, or whoever else can answer for a range of integers.

Every decision is an integer of a range, and the low end is the simple answer: what searches for a smaller
example has only to lower integers.
"""

from __future__ import annotations

import abc
import random
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_CHANCES = 100
_SEEDS = 1 << 16
_ODD = 0.3
"""Share of decisions that are not the simple ones in plain examples."""


class Choices(abc.ABC):
    """A source of decisions."""

    @abc.abstractmethod
    def integer(self, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included; `low` is the simple one."""

    def chance(self, probability: float) -> bool:
        """True with about that probability; False is the simple answer."""
        return self.integer(0, _CHANCES - 1) >= _CHANCES - round(probability * _CHANCES)

    def choose(self, options: Sequence[T]) -> T:
        """One of the options; the first is the simple one."""
        return options[self.integer(0, len(options) - 1)]

    def weighted(self, options: Sequence[T], weights: Sequence[int]) -> T:
        """One of the options, each as often as its weight says; the first is the simple one."""
        place = self.integer(0, sum(weights) - 1)
        for option, weight in zip(options, weights, strict=True):
            place -= weight
            if place < 0:
                return option
        raise AssertionError("the weights add up to more than themselves")

    def some(self, options: Sequence[T], probability: float) -> list[T]:
        """Each of the options with that probability, in order."""
        return [option for option in options if self.chance(probability)]

    def permutation(self, length: int) -> list[int]:
        """The numbers from 0 to `length` - 1 in any order; as they are is the simple one."""
        order = list(range(length))
        for place in range(length - 1):
            other = self.integer(place, length - 1)
            order[place], order[other] = order[other], order[place]
        return order

    def attempt(self, act: Callable[[], bool], tries: int) -> bool:
        """Act until it succeeds, so many times at most, and return whether it did.

        A part of the whole that a simpler example may go without.
        """
        return any(act() for _ in range(tries))

    def numbers(self) -> np.random.Generator:
        """A generator of many numbers at once, for the elements of an array."""
        return np.random.default_rng(self.integer(0, _SEEDS - 1))


class Seeded(Choices):
    """Decisions that follow from a seed.

    Args:
        seed: The same seed gives the same decisions, on every machine.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        return low + int(self._random.random() * (high - low + 1))


class Plain(Seeded):
    """Decisions of which most are the simple ones.

    Args:
        seed: As of `Seeded`.
    """

    def integer(self, low: int, high: int) -> int:
        return super().integer(low, high) if self._random.random() < _ODD else low
