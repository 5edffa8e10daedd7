"""Pools over windows, and over all of the spatial dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.exporter.windows import Window, flat_pads, spoken, window_of
from graphopt.pytorch.functional import pooling as functions
from graphopt.pytorch.functional.windows import same_padding

_MAX_POOLS: dict[int, Callable[..., Any]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVG_POOLS: dict[int, Callable[..., Any]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


@translates("MaxPool")
def max_pool(site: Site) -> fx.Node | list[fx.Node]:
    window = _window(site)
    x = site.tensor(0)
    if site.wants(1):
        both = site.call(
            functions.max_pool_with_indices,
            x,
            *_general(site, x, window),
            column_major=True if site.attribute("storage_order", 0) else None,
        )
        return [site.item(both, 0), site.item(both, 1)]
    if not _fits(window) or not _is_float(site):
        return site.call(functions.max_pool, x, *_general(site, x, window))
    return site.call(
        _MAX_POOLS[window.rank],
        x,
        spoken(window.kernel),
        spoken(window.stride),
        padding=spoken(window.begin, default=0),
        dilation=spoken(window.dilation, default=1),
        ceil_mode=True if window.ceil else None,
    )


@translates("AveragePool")
def average_pool(site: Site) -> fx.Node:
    window = _window(site)
    x = site.tensor(0)
    counts_padding = bool(site.attribute("count_include_pad", 0))
    if _fits(window) and all(step == 1 for step in window.dilation):
        return site.call(
            _AVG_POOLS[window.rank],
            x,
            spoken(window.kernel),
            spoken(window.stride),
            padding=spoken(window.begin, default=0),
            ceil_mode=True if window.ceil else None,
            count_include_pad=False if any(window.begin) and not counts_padding else None,
        )
    counted = _padding(site, x, window, ceil=False) if counts_padding else None
    return site.call(functions.avg_pool, x, *_general(site, x, window), counted=counted)


@translates("LpPool")
def lp_pool(site: Site) -> fx.Node:
    window = _window(site)
    x = site.tensor(0)
    return site.call(functions.lp_pool, x, site.attribute("p", 2), *_general(site, x, window))


@translates("GlobalAveragePool")
def global_average_pool(site: Site) -> fx.Node:
    return site.call(torch.mean, site.tensor(0), _spatial(site), keepdim=True)


@translates("GlobalMaxPool")
def global_max_pool(site: Site) -> fx.Node:
    return site.call(torch.amax, site.tensor(0), _spatial(site), keepdim=True)


@translates("GlobalLpPool")
def global_lp_pool(site: Site) -> fx.Node:
    p = site.attribute("p", 2)
    return site.call(torch.linalg.vector_norm, site.tensor(0), p, _spatial(site), keepdim=True)


@translates("MaxUnpool")
def max_unpool(site: Site) -> fx.Node:
    window = _window(site)
    return site.call(
        functions.max_unpool,
        site.tensor(0),
        site.tensor(1),
        window.kernel,
        window.stride,
        padding=flat_pads(window.begin, window.end) if any(window.begin + window.end) else None,
        output_shape=site.ints(2),
    )


def _window(site: Site) -> Window:
    window = window_of(site)
    if window.rank not in _MAX_POOLS:
        site.refuse(f"it has {window.rank} spatial dimensions, not 1, 2 or 3")
    return window


def _fits(window: Window) -> bool:
    """Whether PyTorch takes the padding: the same on both sides, and at most half of the window."""
    if not window.is_symmetric:
        return False
    return all(2 * padding <= size for padding, size in zip(window.begin, window.kernel, strict=True))


def _is_float(site: Site) -> bool:
    dtype = site.dtype(0)
    return dtype is not None and dtype.is_floating_point()


def _general(site: Site, x: fx.Node, window: Window) -> tuple[Any, ...]:
    """Kernel, stride, padding and dilation as the general functions take them."""
    return window.kernel, window.stride, _padding(site, x, window, window.ceil), window.dilation


def _padding(site: Site, x: fx.Node, window: Window, ceil: bool) -> Any:
    """Padding as `F.pad` takes it, after which windows are counted without any."""
    if window.same is None and not ceil:
        return flat_pads(window.begin, window.end)
    shape = site.shape(0)
    sizes = [site.size(x, axis + 2) if shape is None else shape[axis + 2] for axis in range(window.rank)]
    if window.same is not None:
        upper = window.same == "SAME_UPPER"
        return site.call(same_padding, sizes, window.reach, window.stride, upper)
    geometry = (window.reach, window.stride, window.begin, window.end, ceil)
    if shape is not None:
        return functions.last_padding(sizes, *geometry)
    return site.call(functions.last_padding, sizes, *geometry)


def _spatial(site: Site) -> tuple[int, ...]:
    rank = site.rank(0)
    if rank is None:
        site.refuse("the rank of its input is not known")
    return tuple(range(2, rank))
