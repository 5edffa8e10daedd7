"""Padding of sliding windows that depends on the sizes of the input."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F


def same_padding(sizes: Sequence[int], reach: Sequence[int], stride: Sequence[int], upper: bool) -> list[int]:
    """Padding by which there are `ceil(size / stride)` windows, in the order that `F.pad` takes.

    Args:
        sizes: Of the spatial dimensions.
        reach: Elements that a window spans, its gaps counted.
        stride: Steps between windows.
        upper: Whether an odd element goes to the end, rather than to the beginning.
    """
    pads: list[int] = []
    for size, span, step in reversed(list(zip(sizes, reach, stride, strict=True))):
        # (ceil(size / step) - 1) * step + span - size
        total = span - step + (-size) % step
        if span < step:
            total = torch.sym_max(total, 0)
        less = total // 2
        pads += [less, total - less] if upper else [total - less, less]
    return pads


def pad_same(
    x: torch.Tensor, reach: Sequence[int], stride: Sequence[int], upper: bool = True, value: float = 0.0
) -> torch.Tensor:
    """Pad the spatial dimensions of `x` (N, C, ...) so that there are `ceil(size / stride)` windows."""
    return F.pad(x, same_padding(x.shape[2:], reach, stride, upper), value=value)
