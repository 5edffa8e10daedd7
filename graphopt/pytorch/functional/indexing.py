"""Elements by their indices, with ONNX's rules: indices count from the end where they are negative."""

from __future__ import annotations

import torch


def gather(x: torch.Tensor, indices: torch.Tensor, axis: int = 0) -> torch.Tensor:
    """The slices of `x` along an axis that `indices`, of any rank, name; its shape takes the axis's place."""
    axis = axis % x.dim()
    chosen = x.index_select(axis, wrapped(indices, x.shape[axis]).reshape(-1))
    return chosen.reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])


def wrapped(indices: torch.Tensor, size: int) -> torch.Tensor:
    """Indices of 0...size-1, int64, from ones that may count from the end."""
    indices = indices.to(torch.int64)
    return torch.where(indices < 0, indices + size, indices)
