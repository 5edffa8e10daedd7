"""From PyTorch into the graph IR: torch.export captures a module, torch.onnx translates its operators."""

from __future__ import annotations

from graphopt.pytorch.importer.trace import trace

__all__ = ["trace"]
