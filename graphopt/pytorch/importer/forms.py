"""Calls that torch's exporter has no form for, made as equal calls that it has one for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

_EXTREMA = (torch.amax, torch.amin, torch.Tensor.amax, torch.Tensor.amin)


class usual_forms(TorchFunctionMode):  # type: ignore[misc]
    """A context in which attention has four dimensions, and extrema of all elements name their axes."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace those calls; all others run as they are."""
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            return _attention(func, *args, **kwargs)
        if func in _EXTREMA and len(args) == 1 and args[0].dim() and not kwargs.get("dim"):
            return func(args[0], **{**kwargs, "dim": tuple(range(args[0].dim()))})
        return func(*args, **kwargs)


def _attention(
    func: Callable[..., Any],
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    *rest: Any,
    **options: Any,
) -> Any:
    rank = query.dim()
    if not rank == key.dim() == value.dim() or rank not in (2, 3):
        return func(query, key, value, attn_mask, *rest, **options)
    axes = (0, 0) if rank == 2 else (1,)  # of the heads, which are missing, and of the batch
    for axis in axes:
        query, key, value = query.unsqueeze(axis), key.unsqueeze(axis), value.unsqueeze(axis)
    if attn_mask is not None and attn_mask.dim() == 3:
        attn_mask = attn_mask.unsqueeze(1)
    result = func(query, key, value, attn_mask, *rest, **options)
    for axis in axes:
        result = result.squeeze(axis)
    return result
