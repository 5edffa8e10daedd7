"""What onnxruntime's own operators compute beside those of the standard."""

from __future__ import annotations

import torch
from torch import Tensor


def hard_sigmoid(x: Tensor, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    """`alpha * x + beta` between 0 and 1."""
    return torch.clamp(alpha * x + beta, 0, 1)


def mask_index(ids: Tensor, mask: Tensor | None) -> Tensor:
    """How many positions of each row (batch, length) are valid; 0 where there is no mask."""
    if mask is None:
        return torch.zeros(ids.shape[0], dtype=torch.int32, device=ids.device)
    return mask.sum(1).to(torch.int32)
