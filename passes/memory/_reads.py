"""Which part of an input along an axis a part of an output is made from: arithmetic on ranges alone."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import numpy as np

Range = tuple[int, int]
"""Places [first, last) along an axis."""

Places = np.ndarray[Any, np.dtype[np.int64]]
P = TypeVar("P", int, Places)
"""One place, or one for each of several parts."""


@dataclasses.dataclass(frozen=True)
class Slide:
    """A window that moves over an input.

    Attributes:
        axis: Of the input.
        extent: Places from the first to the last that the window covers, both included.
        stride: Places from one output to the next.
        pad: Places of padding before the first.
    """

    axis: int
    extent: int = 1
    stride: int = 1
    pad: int = 0

    def reads(self, made: tuple[P, P]) -> tuple[P, P]:
        """What some outputs read, padding included: the first may be negative, the last behind the end."""
        first = made[0] * self.stride - self.pad
        return first, (made[1] - 1) * self.stride - self.pad + self.extent


@dataclasses.dataclass(frozen=True)
class Spread:
    """An input of which each place makes several places of the output, and no other does.

    Attributes:
        axis: Of the input.
        factor: Places of the output for one of the input.
        halo: Further places of the input that are read before and behind.
    """

    axis: int
    factor: int
    halo: int = 0

    def reads(self, made: tuple[P, P]) -> tuple[P, P]:
        """What some outputs read; places outside of the input mean its first and last."""
        return made[0] // self.factor - self.halo, -(-made[1] // self.factor) + self.halo

    def makes(self, read: tuple[P, P]) -> tuple[P, P]:
        """What is made of a part of the input."""
        return read[0] * self.factor, read[1] * self.factor


@dataclasses.dataclass(frozen=True)
class Stamp:
    """A window that moves over an output, a step for each place of the input (ConvTranspose).

    Attributes:
        axis: Of the input.
        extent, stride: Of the window, at least as wide as its step.
        pad: Places cut off before the first.
    """

    axis: int
    extent: int
    stride: int
    pad: int = 0

    def reads(self, made: tuple[P, P]) -> tuple[P, P]:
        """What some outputs are added up from; more than none, it may lie outside of the input."""
        first = -((self.extent - 1 - made[0] - self.pad) // self.stride)
        return first, (made[1] - 1 + self.pad) // self.stride + 1

    def makes(self, read: tuple[P, P]) -> tuple[P, P]:
        """What a part of the input is added to, before anything is cut off."""
        first = read[0] * self.stride - self.pad
        return first, (read[1] - 1) * self.stride - self.pad + self.extent


Reads = Slide | Spread | Stamp


def within(part: Range, size: int) -> Range:
    """What lies inside of an axis: at least one place of it."""
    first = min(max(part[0], 0), size - 1)
    return first, max(min(part[1], size), first + 1)


def all_within(parts: tuple[Places, Places], size: int) -> tuple[Places, Places]:
    """The same for several parts."""
    first = np.clip(parts[0], 0, size - 1)
    return first, np.maximum(np.minimum(parts[1], size), first + 1)
