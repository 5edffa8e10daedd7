"""Counts of values in bins that widen as values come in: bounded memory, whatever is counted.

A bin is [k * 2^e, (k + 1) * 2^e). The exponent e is the least for which all values so far fall into `bins`
bins, and two neighbours with an even k in front make one bin of the next e; so the counts follow from the
values alone, not from their order or from how they were cut into arrays.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FINEST = -100
"""Least exponent of a bin's width: values as small as float32's least are counted as if they were larger."""


class Histogram:
    """Counts of finite float32 values.

    Attributes:
        bins: How many bins there are at most.
        low: The lowest value, or zero if that is lower.
        high: The highest value, or zero.
        exponent: Bins are 2^exponent wide.
        first: The k of the first bin.
        counts: Values in each bin, without zeros. The bins reach from `low` to `high`.
        zeros: How many values are zero, which quantization keeps exactly.
    """

    def __init__(self, bins: int = 8192) -> None:
        self.bins = bins
        self.low = 0.0
        self.high = 0.0
        self.exponent = FINEST
        self.first = 0
        self.counts: Counts = np.zeros(1, np.int64)
        self.zeros = 0

    @property
    def width(self) -> float:
        """Width of a bin."""
        return math.ldexp(1.0, self.exponent)

    @property
    def edges(self) -> Floats:
        """Where bins begin, and the last one's end."""
        return np.arange(self.first, self.first + len(self.counts) + 1.0) * self.width

    @property
    def centers(self) -> Floats:
        """The middle of each bin."""
        return self.edges[:-1] + self.width / 2

    def add(self, values: npt.NDArray[Any]) -> None:
        """Count `values`: one dimension, float32, finite, not empty."""
        self._reach(float(values.min()), float(values.max()))
        places = np.floor(values * np.float32(math.ldexp(1.0, -self.exponent))).astype(np.intp)
        places -= self.first
        self.counts += np.bincount(places, minlength=len(self.counts))
        zeros = len(values) - int(np.count_nonzero(values))
        self.counts[-self.first] -= zeros
        self.zeros += zeros

    def magnitudes(self) -> Counts:
        """Counts of absolute values from zero on. (Negative ones on an edge count in the bin nearer zero.)"""
        below, above = self.counts[: -self.first][::-1], self.counts[-self.first :]
        both = np.zeros(max(len(below), len(above)), np.int64)
        both[: len(below)] += below
        both[: len(above)] += above
        return both

    def _reach(self, low: float, high: float) -> None:
        """Widen the bins until they hold `low` to `high` too."""
        self.low, self.high = min(low, self.low), max(high, self.high)
        exponent = self.exponent
        while _bin(self.high, exponent) - _bin(self.low, exponent) >= self.bins:
            exponent += 1
        if self.counts.any():
            for _ in range(exponent - self.exponent):
                self._coarsen()
        self.exponent = exponent
        first, last = _bin(self.low, exponent), _bin(self.high, exponent)
        self.counts = np.pad(self.counts, (self.first - first, last + 1 - self.first - len(self.counts)))
        self.first = first

    def _coarsen(self) -> None:
        """Make one bin of two."""
        lead = self.first % 2
        counts = np.pad(self.counts, (lead, (lead + len(self.counts)) % 2))
        self.counts = counts.reshape(-1, 2).sum(axis=1)
        self.first = (self.first - lead) // 2


def _bin(value: float, exponent: int) -> int:
    return math.floor(math.ldexp(value, -exponent))
