"""Convolutions as matrix products: each position's patch of the input as a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_GOLDEN = 0.6180339887498949
"""Steps of this share of a whole fall evenly."""


def patches(
    x: Array,
    kernel: Sequence[int],
    *,
    strides: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    at_most: int | None = None,
) -> Array:
    """What a convolution multiplies its weight.reshape(outputs, -1) by: [positions, channels * kernel size].

    Args:
        x: [batch, channels, *spatial]; the channels of one group.
        kernel: Its spatial shape.
        strides: As the standard's Conv has them; all 1 if None.
        dilations: Likewise.
        pads: Zeros before each spatial axis, then after each; none if None.
        at_most: Positions kept, evenly spread and on no rhythm of rows; all if None.
    """
    rank = len(kernel)
    strides, dilations = strides or (1,) * rank, dilations or (1,) * rank
    if pads is not None and any(pads):
        x = np.pad(x, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
    reach = tuple((size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(x, reach, axis=tuple(range(2, 2 + rank)))
    windows = windows[
        (slice(None), slice(None), *(slice(None, None, step) for step in (*strides, *dilations)))
    ]
    # [batch, channels, *positions, *kernel] -> [batch, *positions, channels, *kernel]
    windows = np.moveaxis(windows, 1, 1 + rank)
    positions = windows.shape[: 1 + rank]
    count = int(np.prod(positions))
    chosen = np.arange(count)
    if at_most is not None and at_most < count:
        chosen = np.floor(np.arange(at_most) * _GOLDEN % 1 * count).astype(np.int64)
    return windows[np.unravel_index(chosen, positions)].reshape(len(chosen), -1)
