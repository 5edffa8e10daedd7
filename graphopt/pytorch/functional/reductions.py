"""Reductions and running totals that PyTorch has for fewer types, axes or orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

Dims = Sequence[int]
"""Dimensions to reduce; none stand for all."""


def mean(x: torch.Tensor, dim: Dims, keepdim: bool) -> torch.Tensor:
    """The mean; of integers rounded towards zero."""
    if torch.is_floating_point(x):
        return torch.mean(x, dim=dim, keepdim=keepdim)
    total = torch.sum(x, dim=dim, keepdim=keepdim)
    count = torch.sum(torch.ones_like(x), dim=dim, keepdim=keepdim)
    return torch.div(total, count.clamp(min=1), rounding_mode="trunc").to(x.dtype)


def length(x: torch.Tensor, dim: Dims, keepdim: bool) -> torch.Tensor:
    """The root of the sum of squares; of integers rounded towards zero."""
    if torch.is_floating_point(x):
        return torch.linalg.vector_norm(x, dim=dim, keepdim=keepdim)
    return torch.sqrt(torch.sum(torch.square(x).to(torch.float64), dim=dim, keepdim=keepdim)).to(x.dtype)


def log_sum(x: torch.Tensor, dim: Dims, keepdim: bool) -> torch.Tensor:
    """The logarithm of the sum; of integers rounded towards zero."""
    if torch.is_floating_point(x):
        return torch.log(torch.sum(x, dim=dim, keepdim=keepdim))
    return torch.log(torch.sum(x.to(torch.float64), dim=dim, keepdim=keepdim)).to(x.dtype)


def log_sum_exp(x: torch.Tensor, dim: Dims, keepdim: bool) -> torch.Tensor:
    """The logarithm of the sum of exponentials; of integers rounded towards zero."""
    dims = dim or list(range(x.dim()))
    if torch.is_floating_point(x):
        return torch.logsumexp(x, dim=dims, keepdim=keepdim)
    return torch.logsumexp(x.to(torch.float64), dim=dims, keepdim=keepdim).to(x.dtype)


def product(x: torch.Tensor, dim: Dims, keepdim: bool) -> torch.Tensor:
    """The product over several dimensions, in the type of `x`."""
    dims = sorted((each % x.dim() for each in dim), reverse=True) if dim else reversed(range(x.dim()))
    for each in dims:
        x = torch.prod(x, dim=each, keepdim=keepdim, dtype=x.dtype)
    return x


def extreme_of_none(x: torch.Tensor, largest: bool, dim: Dims, keepdim: bool) -> torch.Tensor:
    """The largest or smallest, which of no elements is the least or greatest of the type."""
    bound: float
    dims = [each % x.dim() for each in dim] if dim else list(range(x.dim()))
    shape = [1 if axis in dims else size for axis, size in enumerate(x.shape)]
    if torch.is_floating_point(x):
        bound = -torch.inf if largest else torch.inf
    elif x.dtype == torch.bool:
        bound = not largest
    else:
        bound = torch.iinfo(x.dtype).min if largest else torch.iinfo(x.dtype).max
    filled = torch.full(shape, bound, dtype=x.dtype, device=x.device)
    if not keepdim:
        filled = filled.reshape([size for axis, size in enumerate(x.shape) if axis not in dims])
    return filled


def last_place(x: torch.Tensor, largest: bool, dim: int, keepdim: bool) -> torch.Tensor:
    """The place of the largest or smallest element; of equal ones the last."""
    find = torch.argmax if largest else torch.argmin
    return x.size(dim) - 1 - find(x.flip(dim), dim=dim, keepdim=keepdim)


def running_sum(x: torch.Tensor, dim: int, exclusive: bool = False, reverse: bool = False) -> torch.Tensor:
    """Sums of the elements up to each one, or before it; `reverse` starts from the end."""
    return _running(torch.cumsum, 0, x, dim, exclusive, reverse)


def running_product(
    x: torch.Tensor, dim: int, exclusive: bool = False, reverse: bool = False
) -> torch.Tensor:
    """Products of the elements up to each one, or before it; `reverse` starts from the end."""
    return _running(torch.cumprod, 1, x, dim, exclusive, reverse)


def _running(
    function: Callable[..., torch.Tensor],
    start: int,
    x: torch.Tensor,
    dim: int,
    exclusive: bool,
    reverse: bool,
) -> torch.Tensor:
    if reverse:
        x = x.flip(dim)
    if exclusive:
        first = torch.full_like(x.narrow(dim, 0, 1), start)
        x = torch.cat([first, x.narrow(dim, 0, x.size(dim) - 1)], dim)
    total = function(x, dim, dtype=x.dtype)
    return total.flip(dim) if reverse else total


def top(x: torch.Tensor, k: int, dim: int, largest: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """The `k` largest or smallest elements and their places, sorted; of equal elements the earlier first.

    `torch.topk` promises no order of equal elements. Traced, it stands for the operator all the same, as what
    is made of the trace has an order of its own.
    """
    if torch.compiler.is_compiling():
        values, places = torch.topk(x, k, dim, largest)
        return values, places
    values, places = torch.sort(x, dim=dim, descending=largest, stable=True)
    return values.narrow(dim, 0, k), places.narrow(dim, 0, k)
