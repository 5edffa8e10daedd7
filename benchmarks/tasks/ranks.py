"""Rank correlation. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.task import Array


def ranks(values: Sequence[float]) -> Array:
    """The rank of each value from 0, equal values sharing the mean of theirs."""
    array = np.asarray(values, dtype=np.float64)
    _, inverse, counts = np.unique(array, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    shared: Array = (ends - (counts + 1) / 2)[inverse]
    return shared


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Spearman's rank correlation of two equally long lists."""
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])
