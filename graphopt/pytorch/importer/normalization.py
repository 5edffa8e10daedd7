"""The ONNX form of BatchNormalization in eval mode: the one operator, and nothing made of its statistics.

torch's own table also computes what only training reads, in a way that PyTorch 2.6 cannot follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from onnxscript import opset18 as op


def translations() -> Mapping[Callable[..., Any], Callable[..., Any]]:
    """Translation of the operator, for `torch.onnx.export(custom_translation_table=...)`."""
    return {torch.ops.aten._native_batch_norm_legit_no_training.default: _batch_norm}


def _batch_norm(
    x: Any, weight: Any, bias: Any, mean: Any, variance: Any, momentum: float, eps: float
) -> tuple[Any, Any, Any]:
    if weight is None:
        weight = _filled(1.0, mean)
    if bias is None:
        bias = _filled(0.0, mean)
    made = op.BatchNormalization(x, weight, bias, mean, variance, epsilon=eps)
    y = made[0] if isinstance(made, tuple) else made  # PyTorch 2.6 also gives what only training has
    return y, op.Identity(mean), op.Identity(variance)


def _filled(number: float, like: Any) -> Any:
    return op.Expand(op.CastLike(op.Constant(value_float=number), like), op.Shape(like))
