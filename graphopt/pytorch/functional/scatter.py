"""Writing into a copy of a tensor, with ONNX's rules of indices and of elements written more than once."""

from __future__ import annotations

import math

import torch

from graphopt.pytorch.functional.indexing import wrapped

_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


def scatter_elements(
    x: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor, axis: int = 0, reduction: str = "none"
) -> torch.Tensor:
    """`updates` written into `x` at their own places but for the place along `axis`, which `indices` say.

    Args:
        reduction: "none", or how an update joins what is there: "add", "mul", "max" or "min".
    """
    indices = wrapped(indices, x.shape[axis])
    if reduction == "none":
        return x.scatter(axis, indices, updates)
    return x.scatter_reduce(axis, indices, updates, _REDUCTIONS[reduction])


def scatter_nd(
    x: torch.Tensor, indices: torch.Tensor, updates: torch.Tensor, reduction: str = "none"
) -> torch.Tensor:
    """`updates` written into `x` at the index tuples in the last dimension of `indices`."""
    if reduction in ("none", "add"):
        return x.index_put(tuple(indices.unbind(-1)), updates, accumulate=reduction == "add")
    depth = indices.shape[-1]
    place = torch.zeros_like(indices[..., 0])
    for axis in range(depth):
        place = place * x.shape[axis] + wrapped(indices[..., axis], x.shape[axis])
    rows = x.reshape(math.prod(x.shape[:depth]), -1)
    given = updates.reshape(place.numel(), -1)
    place = place.reshape(-1, 1).expand_as(given)
    return rows.scatter_reduce(0, place, given, _REDUCTIONS[reduction]).reshape(x.shape)


def update_cache(
    cache: torch.Tensor,
    updates: torch.Tensor,
    starts: torch.Tensor | None = None,
    axis: int = -2,
    is_circular: bool = False,
) -> torch.Tensor:
    """A cache with consecutive elements along `axis` replaced.

    Args:
        starts: Where each of the first dimension begins; at 0 if not given.
        is_circular: Whether places beyond the end go on at the beginning.
    """
    axis = axis % cache.dim()
    steps = torch.arange(updates.shape[axis], device=cache.device)
    places = steps.unsqueeze(0)
    if starts is not None:
        places = places + starts.to(torch.int64).unsqueeze(1)
    if is_circular:
        places = places % cache.shape[axis]
    inner = [1] * (cache.dim() - axis - 1)
    places = places.reshape(places.shape[0], *[1] * (axis - 1), places.shape[1], *inner)
    return cache.scatter(axis, places.expand_as(updates), updates)
