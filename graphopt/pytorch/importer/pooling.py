"""Pools that torch.export or torch's exporter fix to one size, by functions that it leaves open."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

_AVERAGES = {
    F.adaptive_avg_pool1d: 1,
    F.adaptive_avg_pool2d: 2,
    F.adaptive_avg_pool3d: 3,
    torch.adaptive_avg_pool1d: 1,
    torch._C._nn.adaptive_avg_pool2d: 2,
    torch._C._nn.adaptive_avg_pool3d: 3,
}
_MAXIMA = {F.adaptive_max_pool1d: 1, F.adaptive_max_pool2d: 2, F.adaptive_max_pool3d: 3}


class open_pools(TorchFunctionMode):  # type: ignore[misc]
    """A context in which pools that ask for their sizes keep dynamic ones."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace those functions; all others run as they are."""
        kwargs = kwargs or {}
        if func is torch.max_pool1d:
            return torch.max_pool1d_with_indices(*args, **kwargs)[0]
        if func is F.max_pool1d and not kwargs.get("return_indices"):
            return F.max_pool1d(*args, **{**kwargs, "return_indices": True})[0]
        if func in _AVERAGES:
            return _adaptive(func, _AVERAGES[func], _average, *args, **kwargs)
        if func in _MAXIMA and not kwargs.get("return_indices") and len(args) < 3:
            rest = {name: value for name, value in kwargs.items() if name != "return_indices"}
            return _adaptive(func, _MAXIMA[func], _maximum, *args, **rest)
        if func is F.interpolate and "area" in (kwargs.get("mode"), *args[3:4]):
            return _area(*args, **kwargs)
        return func(*args, **kwargs)


def _adaptive(
    func: Callable[..., Any], rank: int, pool: Callable[..., Any], input: torch.Tensor, output_size: Any
) -> Any:
    """An adaptive pool; where a size is dynamic, axis by axis, for any size."""
    given = list(output_size) if isinstance(output_size, Iterable) else [output_size] * rank
    sizes = [old if new is None else new for new, old in zip(given, input.shape[-rank:], strict=True)]
    dynamic = any(isinstance(size, torch.SymInt) for size in (*sizes, *input.shape[-rank:]))
    if not dynamic or all(isinstance(size, int) and size == 1 for size in sizes):
        return func(input, output_size)
    for axis, new in zip(range(-rank, 0), given, strict=True):
        if new is not None:
            input = pool(input.movedim(axis, -1), new).movedim(-1, axis)
    return input


def _area(
    input: torch.Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "area",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Resize by areas, which is an adaptive average."""
    rank = input.dim() - 2
    if size is None:
        factors = scale_factor if isinstance(scale_factor, Iterable) else [scale_factor] * rank
        size = [math.floor(old * factor) for old, factor in zip(input.shape[2:], factors, strict=True)]
    pool = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}[rank]
    return _adaptive(pool, rank, _average, input, size)


def _bins(length: Any, count: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Which of `length` elements are in each of `count` bins (a mask, bins first), and how many those are."""
    bins = torch.arange(count).unsqueeze(1)
    first = torch.div(bins * length, count, rounding_mode="floor")
    end = torch.div((bins + 1) * length + count - 1, count, rounding_mode="floor")
    place = torch.arange(length).unsqueeze(0)
    return (place >= first) & (place < end), end - first


def _average(input: torch.Tensor, count: Any) -> torch.Tensor:
    inside, sizes = _bins(input.shape[-1], count)
    return torch.matmul(input, (inside / sizes).to(input.dtype).transpose(0, 1))


def _maximum(input: torch.Tensor, count: Any) -> torch.Tensor:
    inside, _ = _bins(input.shape[-1], count)
    return torch.where(inside, input.unsqueeze(-2), float("-inf")).amax(-1)
