"""Pools that torch.export fixes to one size, by functions that it leaves open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode


class open_pools(TorchFunctionMode):  # type: ignore[misc]
    """A context in which `max_pool1d`, which asks for its sizes, keeps dynamic ones."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace that function; all others run as they are."""
        kwargs = kwargs or {}
        if func is torch.max_pool1d:
            return torch.max_pool1d_with_indices(*args, **kwargs)[0]
        if func is F.max_pool1d and not kwargs.get("return_indices"):
            return F.max_pool1d(*args, **{**kwargs, "return_indices": True})[0]
        return func(*args, **kwargs)
