"""Text boxes from a probability map, and how well they match: the postprocessing of DB, for upright lines.

Liao et al., "Real-time Scene Text Detection with Differentiable Binarization" (2020): threshold, connected
components, mean probability, and growing each box by area * ratio / perimeter, because the network was
trained on shrunken ones. Here lines run along the axes, so boxes do as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.task import Array

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels; right and bottom are outside."""

THRESHOLD, MEAN_THRESHOLD = 0.3, 0.5
UNCLIP_RATIO = 1.6
SMALLEST_SIDE = 3


def from_probability(probability: Array) -> list[Box]:
    """The boxes of a probability map [H, W]."""
    found = []
    for runs in components(probability > THRESHOLD):
        rows, starts, stops = runs.T
        box = (float(starts.min()), float(rows.min()), float(stops.max()), float(rows.max() + 1))
        if min(box[2] - box[0], box[3] - box[1]) < SMALLEST_SIDE:
            continue
        inside = np.concatenate([probability[row, start:stop] for row, start, stop in runs])
        if inside.mean() >= MEAN_THRESHOLD:
            found.append(unclip(box, probability.shape))
    return found


def components(mask: Array) -> list[Array]:
    """The connected parts of a mask [H, W], diagonal neighbours included.

    Each part is int64 [runs, 3]: row, first column and the column after the last of a run of pixels.
    """
    edges = np.diff(np.pad(mask.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    stops = np.nonzero(edges == -1)[1]
    parents = list(range(len(rows)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = parents[parents[run]]
            run = parents[run]
        return run

    above: list[int] = []
    here: list[int] = []
    for run, row in enumerate(rows):
        if run and row != rows[run - 1]:
            above, here = (here, []) if row == rows[run - 1] + 1 else ([], [])
        for other in above:
            if starts[other] <= stops[run] and starts[run] <= stops[other]:
                parents[root(run)] = root(other)
        here.append(run)
    roots = np.array([root(run) for run in range(len(rows))], dtype=np.int64)
    runs = np.stack([rows, starts, stops], axis=1)
    return [runs[roots == part] for part in np.unique(roots)]


def unclip(box: Box, shape: Sequence[int]) -> Box:
    """The box grown on all sides by area * ratio / perimeter, within a map of shape [H, W]."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    by = width * height * UNCLIP_RATIO / (2 * (width + height))
    return max(0.0, left - by), max(0.0, top - by), min(shape[1], right + by), min(shape[0], bottom + by)


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (area(a) + area(b) - width * height)


def area(box: Box) -> float:
    """Square pixels."""
    return (box[2] - box[0]) * (box[3] - box[1])


def touching(a: Box, b: Box, gap: float) -> bool:
    """Whether two boxes overlap or lie less than `gap` apart."""
    return a[0] - gap < b[2] and b[0] - gap < a[2] and a[1] - gap < b[3] and b[1] - gap < a[3]


def best_overlaps(expected: Sequence[Box], found: Sequence[Box]) -> list[float]:
    """For each expected box the IoU of the found one that is matched to it, 0 where none is left.

    Greedy from the largest overlap down; each found box is matched once.
    """
    pairs = sorted(
        ((iou(a, b), i, j) for i, a in enumerate(expected) for j, b in enumerate(found)), reverse=True
    )
    best = [0.0] * len(expected)
    matched: set[int] = set()
    taken: set[int] = set()
    for value, i, j in pairs:
        if value > 0 and i not in matched and j not in taken:
            best[i] = value
            matched.add(i)
            taken.add(j)
    return best
