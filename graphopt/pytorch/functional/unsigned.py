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


def divide(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """`a / b` of uint64 that are held in int64, rounded down.

    Half of `a` is no longer negative: its quotient, doubled, is the result or one below it.
    """
    small = torch.where(b > 0, b, 1)
    halved = torch.div((a >> 1) & ~_SIGN, small, rounding_mode="floor") << 1
    rest = (a - halved * small) ^ _SIGN
    quotient = halved + (rest >= (small ^ _SIGN)).to(torch.int64)
    return torch.where(b > 0, quotient, ((a ^ _SIGN) >= (b ^ _SIGN)).to(torch.int64))


def remainder(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """What `divide` leaves."""
    return a - divide(a, b) * b
