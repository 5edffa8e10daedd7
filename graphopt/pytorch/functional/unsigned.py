"""uint64 by way of int64, which PyTorch computes with."""

from __future__ import annotations

import torch

_SIGN = -(1 << 63)


def as_ordered(x: torch.Tensor) -> torch.Tensor:
    """uint64 as int64 in the same order: 0 becomes the smallest int64."""
    return x.to(torch.int64) ^ _SIGN


def from_ordered(x: torch.Tensor) -> torch.Tensor:
    """The inverse of `as_ordered`."""
    return (x ^ _SIGN).to(torch.uint64)
