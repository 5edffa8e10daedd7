"""Activations that torch.nn.functional lacks, or has for fewer shapes and types."""

from __future__ import annotations

import torch


def prelu(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    """`x` where it is not negative, `slope * x` elsewhere; the slope broadcasts to `x`."""
    return torch.where(x < 0, slope * x, x)


def shrink(x: torch.Tensor, threshold: float, bias: float) -> torch.Tensor:
    """`x` moved by `bias` towards zero, and zero where it is within the threshold."""
    moved = torch.where(x < -threshold, x + bias, x - bias)
    return torch.where((x < -threshold) | (x > threshold), moved, 0).to(x.dtype)


def hardmax(x: torch.Tensor, dim: int) -> torch.Tensor:
    """One at the first of the largest elements along a dimension, zero elsewhere."""
    first = torch.argmax(x, dim, keepdim=True)
    return torch.zeros_like(x).scatter(dim, first, 1)
