"""The range with the least squared error: clamping few large values to round all others more finely.

Numerical search over ranges; how a range becomes a grid of values is the caller's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Grid = Callable[[Array, Array], tuple[Array, Array, Array]]
"""From lowest and highest values of groups to step, and lowest and highest number of steps from zero."""

SHARES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.35, 0.2, 0.1, 0.03, 0.01)
"""What is tried first of a range's two ends."""
NEAR = (0.8, 0.9, 0.95, 1.05, 1.12, 1.25)
"""What is tried then of each end, where they may move apart."""
_CACHED = 1 << 15
"""Elements worked on at a time, few enough to stay in a core's cache."""
_SHORT = 256
"""Elements of a group below which groups, not elements, lie side by side in memory."""


def best_ranges(
    values: Array,
    low: Array,
    high: Array,
    grid: Grid,
    *,
    separate: bool,
    weights: Array | None = None,
    rounds: int = 1,
) -> tuple[Array, Array]:
    """For each group, the best range found within `low` to `high`.

    Args:
        values: [groups, elements], finite float32.
        low: [groups], the whole range's.
        high: [groups].
        grid: What a range means.
        separate: The two ends may move apart.
        weights: [elements], how often each counts; once if None.
        rounds: How often the best range so far is refined.

    Returns:
        Lowest and highest values, [groups]. The whole range where nothing is better.
    """
    best = np.stack([low, high]).astype(np.float64)
    least = np.full(low.shape, np.inf)

    def attempt(shares: Iterable[tuple[float, float]]) -> None:
        """Keep the best of the ranges that multiply the ends of the best so far."""
        nonlocal best, least
        candidates = [
            np.stack([np.maximum(best[0] * lower, low), np.minimum(best[1] * upper, high)])
            for lower, upper in shares
        ]
        for error, candidate in zip(_errors(values, candidates, grid, weights), candidates, strict=True):
            best = np.where(error < least, candidate, best)
            least = np.minimum(error, least)

    attempt((share, share) for share in SHARES)
    for _ in range(rounds):
        if separate:
            attempt((share, 1.0) for share in NEAR)
            attempt((1.0, share) for share in NEAR)
        else:
            attempt((share, share) for share in NEAR)
    return best[0], best[1]


def _errors(
    values: Array, candidates: list[Array], grid: Grid, weights: Array | None
) -> npt.NDArray[np.float64]:
    """Summed squared errors, [candidates, groups]."""
    grids = [tuple(np.asarray(part, np.float32) for part in grid(*candidate)) for candidate in candidates]
    errors = np.zeros((len(candidates), len(values)))
    for group, element in _tiles(values.shape):
        tile = values[group, element]
        short = values.shape[1] < _SHORT
        tile = np.ascontiguousarray(tile.T if short else tile)
        scratch = np.empty_like(tile)
        weight = None if weights is None else weights[element]
        for number, parameters in enumerate(grids):
            step, lowest, highest = (part[group] if short else part[group, np.newaxis] for part in parameters)
            np.divide(tile, step, out=scratch)
            np.rint(scratch, out=scratch)
            np.maximum(scratch, lowest, out=scratch)
            np.minimum(scratch, highest, out=scratch)
            scratch *= step
            scratch -= tile
            if weight is not None:
                errors[number, group] += _weighted(scratch, weight, short)
            else:
                errors[number, group] += np.einsum("ij,ij->j" if short else "ij,ij->i", scratch, scratch)
    return errors


def _weighted(difference: Array, weight: Array, short: bool) -> Array:
    squared = np.square(difference, dtype=np.float64)
    return weight @ squared if short else squared @ weight


def _tiles(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Cuts of [groups, elements] that fit a cache."""
    groups, elements = shape
    width = min(max(elements, 1), _CACHED)
    height = max(_CACHED // width, 1)
    for group in range(0, groups, height):
        for element in range(0, elements, width):
            yield slice(group, group + height), slice(element, element + width)
