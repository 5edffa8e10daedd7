"""Dropout as ONNX has it: with the mask as an output, and training as a tensor."""

from __future__ import annotations

import torch


def dropout(
    x: torch.Tensor, ratio: torch.Tensor | float, training: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """If `training`, elements dropped with probability `ratio`, the others scaled up; and what was kept."""
    kept = ~training | (torch.rand(x.shape, device=x.device) >= ratio)
    scaled = torch.where(training, x / (1 - ratio), x)
    return torch.where(kept, scaled, 0).to(x.dtype), kept
