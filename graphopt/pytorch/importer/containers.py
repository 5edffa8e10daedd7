"""Nested arguments and results: what torch has to know of their containers to see the tensors in them."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from graphopt.errors import TraceError
from graphopt.pytorch.arrays import to_tensor

_SCALARS = (bool, int, float, complex, str, bytes, type(None), torch.SymInt, torch.dtype, torch.device)
_LEAVES = (torch.Tensor, *_SCALARS)
"""What may stand at the ends of nested arguments and results."""

_REGISTRARS = {
    "transformers.cache_utils.DynamicCache": (
        "transformers.integrations.executorch",
        "register_dynamic_cache_export_support",
    )
}
"""Class -> module and function with which its library makes it known to torch on request."""


def tensors_of_their_own(nested: Any) -> Any:
    """Arrays as tensors, and a tensor given in two places as two, which may have different sizes later."""
    seen: set[int] = set()

    def own(leaf: Any) -> Any:
        if isinstance(leaf, np.ndarray):
            return to_tensor(leaf)
        if isinstance(leaf, torch.Tensor):
            if _is_only_named(leaf):
                return leaf.as_subclass(torch.Tensor).detach().clone()
            if id(leaf) in seen:
                return leaf.detach().clone()
            seen.add(id(leaf))
        return leaf

    return pytree.tree_map(own, nested)


def _is_only_named(tensor: torch.Tensor) -> bool:
    """Whether a tensor's class is another than torch's, and computes as torch's does."""
    kind = type(tensor)
    if kind in (torch.Tensor, torch.nn.Parameter):
        return False
    function = getattr(kind.__torch_function__, "__func__", None)
    return (
        function is torch.Tensor.__torch_function__.__func__
        and kind.__torch_dispatch__ is torch.Tensor.__torch_dispatch__
    )


def open_up(nested: Any, what: str) -> bool:
    """Let torch see into containers that it does not know yet: dataclasses, caches of transformers.

    Args:
        nested: Arguments or a result.
        what: What it is, for the message.

    Returns:
        Whether there were any.

    Raises:
        TraceError: there are objects of another kind.
    """
    found = False
    while unknown := [leaf for leaf in pytree.tree_leaves(nested) if not isinstance(leaf, _LEAVES)]:
        kind = type(unknown[0])
        if not _register(kind):
            raise TraceError(
                f"{what} is a {kind.__qualname__}, whose tensors torch cannot see",
                hint="use tensors in tuples, lists, dicts or a dataclass, or register the class with "
                "torch.utils._pytree.register_pytree_node",
            )
        found = True
    return found


def _register(kind: type) -> bool:
    if dataclasses.is_dataclass(kind):
        torch.export.register_dataclass(kind)
        return True
    registrar = _REGISTRARS.get(f"{kind.__module__}.{kind.__qualname__}")
    if registrar is None:
        return False
    try:
        getattr(importlib.import_module(registrar[0]), registrar[1])()
    except (ImportError, AttributeError):  # another version of the library
        return False
    return kind in pytree.SUPPORTED_NODES
