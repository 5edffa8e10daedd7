"""Arithmetic of sizes: Python integers in eager code, symbolic ones while torch traces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def divide(a: int, b: int) -> int:
    """`a / b` rounded towards zero, as ONNX divides integers."""
    if (a < 0) == (b < 0):
        return a // b
    return -(-a // b)


def smaller(a: int, b: int) -> int:
    """The smaller of two sizes."""
    return torch.sym_min(a, b)  # type: ignore[no-any-return]


def larger(a: int, b: int) -> int:
    """The larger of two sizes."""
    return torch.sym_max(a, b)  # type: ignore[no-any-return]


def choose(condition: bool, yes: int, no: int) -> int:
    """`yes` if the condition holds, otherwise `no`."""
    return yes if condition else no


def as_ints(tensor: torch.Tensor) -> list[Any]:
    """The elements of a tensor of any rank as a flat list of numbers; traced, they are unbacked symbols."""
    return tensor.reshape(-1).tolist()  # type: ignore[no-any-return]


def as_tensor(items: Sequence[int], is_scalar: bool = False, is_bool: bool = False) -> torch.Tensor:
    """Sizes as a tensor, int64 or bool, of rank 1, or 0 for a scalar."""
    dtype = torch.bool if is_bool else torch.int64
    return torch.tensor(items[0] if is_scalar else list(items), dtype=dtype)
