"""How far an output must start before its input so that a sliding window may write over what it has read.

Arithmetic on shapes alone: which nodes slide windows is told in `aliases`.

Let the output elements be computed and written one after another in row-major order, t = 0, 1, 2 ..., each
after all inputs it needs are read (into registers). The write at time t touches output element t. Let r(t) be
the smallest input element read at time t or later. Where the output starts D elements before the input, the
write at time t lands on the input element t - D, and harms nobody if that lies before every element still to
be read: t - D < r(t + 1). The smallest safe distance is therefore

    D = max over t of (t - r(t + 1) + 1), at least 0, the last t left out, after which nothing is read.

A window of stride s and padding p that makes output (y, x) of a plane of W columns reads no element of its
planes before the corner

    c(y, x) = max(0, y s_h - p_h) W + max(0, x s_w - p_w)

of their first. Clipping may name an element that dilation steps over; then the true one lies further on, and
the distance stays safe. r is the least corner of all times to come. (That of the next row may lie further
back where padding clips both rows to the first.)

Each output channel of a group reads all of the group's planes: until its last one, r stays at the group's
first element. For depthwise convolution and pooling a group is one channel. Images follow each other as
groups do. (vMCU, Zheng et al. 2024, solve the same inequality for segments of rows.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def safe_distance(
    image: Sequence[int],
    window_image: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    *,
    groups: int,
    channels: int,
    filters: int,
) -> int:
    """Elements by which the output must start before the input.

    Args:
        image: Spatial shape of the input, a size for each axis.
        window_image: Spatial shape of the output.
        strides: Step of the window along each axis, at least 1.
        pads: Padding before each axis, at least 0.
        groups: Groups of channels of all images together.
        channels: Input channels of a group.
        filters: Output channels of a group.
    """
    plane, made = math.prod(image), math.prod(window_image)
    if not plane or not made:
        return 0
    reading = np.zeros((filters, made), dtype=np.int64)
    reading[-1] = _corners(image, window_image, strides, pads)
    to_come = np.minimum.accumulate(reading.reshape(-1)[::-1])[::-1]
    ahead = np.arange(filters * made - 1, dtype=np.int64) - to_come[1:]
    within = int(ahead.max()) + 1 if ahead.size else 0
    # With each group all times grow by what one writes, and all elements by what one reads.
    drift = filters * made - channels * plane
    # After a group's last write the next is read from its first element on.
    between = [drift * (group + 1) for group in (0, groups - 2)] if groups > 1 else []
    return max(0, within, within + drift * (groups - 1), *between)


def _corners(
    image: Sequence[int], window_image: Sequence[int], strides: Sequence[int], pads: Sequence[int]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The first element of a plane that each output element of a plane may need."""
    total = np.zeros((), dtype=np.int64)
    for size, count, stride, pad in zip(image, window_image, strides, pads, strict=True):
        along = np.maximum(0, np.arange(count, dtype=np.int64) * stride - pad)
        total = total[..., None] * size + np.minimum(along, size - 1)
    return total.reshape(-1)
