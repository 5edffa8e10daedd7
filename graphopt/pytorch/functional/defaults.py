"""Inputs that may be left out."""

from __future__ import annotations

import torch


def or_default(given: torch.Tensor | None, default: torch.Tensor) -> torch.Tensor:
    """What was given, or the default where nothing was."""
    return default if given is None else given
