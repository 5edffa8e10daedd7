"""From the graph IR to PyTorch: one torch.fx graph module, trainable and readable."""

from __future__ import annotations

from graphopt.pytorch.exporter.to_fx import to_fx

__all__ = ["to_fx"]
