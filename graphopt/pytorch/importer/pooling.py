"""Pools that torch.export fixes to one size, by functions that it leaves open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
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
        if func is torch.max_pool1d:
            return torch.max_pool1d_with_indices(*args, **(kwargs or {}))[0]
        return func(*args, **(kwargs or {}))
