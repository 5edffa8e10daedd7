"""Control flow on tensors: plain Python in eager code, torch's own operators while torch traces."""

from __future__ import annotations

from typing import Any

import torch


def branch(
    condition: torch.Tensor | bool, then: torch.nn.Module, otherwise: torch.nn.Module, *operands: Any
) -> Any:
    """The outputs of one of two modules, by a condition of one element.

    Traced with a condition that is data, both branches are kept (`torch.cond`); they must then agree in the
    shapes and types of their outputs.
    """
    if isinstance(condition, torch.Tensor):
        condition = condition.reshape(())
        if torch.compiler.is_compiling():
            return torch.cond(condition, then, otherwise, operands)
    return then(*operands) if condition else otherwise(*operands)
