"""The range that keeps most of a distribution's information when its histogram is quantized.

Szymon Migacz, "8-bit Inference with TensorRT", GTC 2017: of all thresholds, take the one that minimizes the
Kullback-Leibler divergence of the clamped distribution from its quantized form. Here each end of the range
has its own threshold where the scheme is not symmetric.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from graphopt.quant.histogram import Counts

TRIED = 96
"""Thresholds tried between `levels` bins and all of them."""


def best_threshold(counts: Counts, levels: int) -> int:
    """How many bins to keep from the first on, so that `levels` values describe the rest best.

    Args:
        counts: A histogram whose first bin begins at a fixed end (zero, or the other end of the range).
        levels: Values after quantization.

    Returns:
        At least `levels`, and all bins where there are no more.
    """
    if len(counts) <= levels:
        return len(counts)
    sizes = np.unique(np.linspace(levels, len(counts), TRIED).astype(int))
    divergences = [_divergence(counts, int(size), levels) for size in sizes]
    best = np.flatnonzero(np.asarray(divergences) <= min(divergences) * (1 + 1e-9))
    return int(sizes[best[-1]])


def _divergence(counts: Counts, size: int, levels: int) -> float:
    """KL(clamped || quantized) of the first `size` bins; what lies beyond falls into the last one."""
    kept = counts[:size].astype(np.float64)
    clamped = kept.copy()
    clamped[-1] += counts[size:].sum()
    level = np.arange(size) * levels // size
    occupied = kept > 0
    totals = np.bincount(level, kept, levels)
    shared = np.bincount(level, occupied, levels)
    quantized = np.where(occupied, (totals / np.maximum(shared, 1))[level], 0)
    return _kullback_leibler(clamped, quantized)


def _kullback_leibler(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64]) -> float:
    """Sum of p log(p / q), both normalized. Where q alone is empty it counts as 1e-4 of a value."""
    if not p.any() or not q.any():
        return np.inf
    p, q = p / p.sum(), q / q.sum()
    there = p > 0
    floor = 1e-4 / np.count_nonzero(there)
    return float(np.sum(p[there] * np.log(p[there] / np.maximum(q[there], floor))))
