"""How much to take from each layer where they share one rate: what costs least goes first, wherever it is.

Scores are counted in bins of their logarithm, so that memory does not grow with the weights.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Key = TypeVar("Key", bound=Hashable)

LOWEST = -150
"""Binary logarithm of the least score that is told from zero: no float32 is less."""
HIGHEST = 128
BINS = 16
"""Of each power of two."""
SPARED = 0.25
"""The share that is kept of a layer is at least this share of what is kept of all."""


class Ranking(Generic[Key]):
    """Scores of the weights of all layers, or of their blocks."""

    def __init__(self) -> None:
        self._counts: dict[Key, Array] = {}

    def add(self, key: Key, scores: Array) -> None:
        """Take in the scores of a layer, none negative."""
        with np.errstate(divide="ignore"):
            bins = (np.log2(scores.reshape(-1)) - LOWEST) * BINS
        places = np.clip(np.where(bins > 0, bins, 0), 0, (HIGHEST - LOWEST) * BINS - 1).astype(np.int64)
        self._counts[key] = np.bincount(places, minlength=(HIGHEST - LOWEST) * BINS)

    def rates(self, rate: float) -> dict[Key, float]:
        """The share to take from each layer, so that together it is `rate`."""
        if not self._counts:
            return {}
        counts = np.array(list(self._counts.values()))
        sizes = counts.sum(axis=1)
        most = (1 - SPARED * (1 - rate)) * sizes
        below = np.minimum(np.cumsum(counts, axis=1), most[:, None])
        goal = rate * sizes.sum()
        last = min(int(np.searchsorted(below.sum(axis=0), goal)), below.shape[1] - 1)
        until = below[:, last - 1] if last else np.zeros(len(sizes))
        within = below[:, last] - until
        part = (goal - until.sum()) / within.sum() if within.sum() else 0.0
        taken = (until + min(part, 1.0) * within) / np.maximum(sizes, 1)
        return dict(zip(self._counts, map(float, taken), strict=True))
