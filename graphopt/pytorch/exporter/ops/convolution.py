"""Convolutions and their transposes in one to three dimensions, deformable ones, and Col2Im."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.exporter.windows import Window, flat_pads, pad, spoken, window_of
from graphopt.pytorch.functional import convolution as functions

_CONVOLUTIONS: dict[int, Callable[..., Any]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: dict[int, Callable[..., Any]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}


@translates("Conv")
def conv(site: Site) -> fx.Node:
    window = _window(site)
    x = site.tensor(0)
    inside = window.is_symmetric
    return site.call(
        _CONVOLUTIONS[window.rank],
        x if inside else pad(site, x, window),
        *_weight_and_bias(site),
        stride=spoken(window.stride, default=1),
        padding=spoken(window.begin, default=0) if inside else None,
        dilation=spoken(window.dilation, default=1),
        groups=_groups(site),
    )


@translates("ConvTranspose")
def conv_transpose(site: Site) -> fx.Node:
    """ONNX pads each side, PyTorch both alike: more at the beginning is `output_padding`, the rest is cut."""
    window = _window(site, resolve=False)
    given = site.attribute("auto_pad", "NOTSET")
    zeros = (0,) * window.rank
    extra = tuple(site.attribute("output_padding") or zeros)
    target = site.attribute("output_shape")
    begin, end = window.begin, window.end
    if target:
        return _conv_transpose_to(site, window, extra, tuple(target)[-window.rank :], given == "SAME_UPPER")
    if given != "NOTSET":
        begin = end = zeros
    if given.startswith("SAME"):
        total = [max(r - s + e, 0) for r, s, e in zip(window.reach, window.stride, extra, strict=True)]
        begin, end = functions.split_padding(total, upper=given == "SAME_UPPER")
    padding, output_padding, crops = [], [], []
    for i in range(window.rank):
        over = begin[i] - end[i] + extra[i]
        if over < max(window.stride[i], window.dilation[i]):
            padding.append(begin[i])
            crops.append((0, min(over, 0)))
        else:
            padding.append(max(end[i] - extra[i], 0))
            crops.append((padding[i] - begin[i], 0))
            over = max(extra[i] - end[i], 0)
        output_padding.append(max(over, 0))
    y = site.call(
        _TRANSPOSED[window.rank],
        site.tensor(0),
        *_weight_and_bias(site),
        stride=spoken(window.stride, default=1),
        padding=spoken(padding, default=0),
        output_padding=spoken(output_padding, default=0),
        groups=_groups(site),
        dilation=spoken(window.dilation, default=1),
    )
    if not any(map(any, crops)):
        return y
    return site.call(F.pad, y, flat_pads(*zip(*crops, strict=True)))


def _conv_transpose_to(
    site: Site, window: Window, extra: tuple[int, ...], target: tuple[int, ...], upper: bool
) -> fx.Node:
    return site.call(
        functions.conv_transpose_to,
        site.tensor(0),
        site.tensor(1),
        site.optional(2),
        target,
        stride=window.stride,
        dilation=window.dilation,
        output_padding=extra if any(extra) else None,
        groups=_groups(site),
        upper=True if upper else None,
    )


@translates("DeformConv")
def deform_conv(site: Site) -> fx.Node:
    window = window_of(site, weight=1)
    if window.rank != 2:
        site.refuse(f"it has {window.rank} spatial dimensions, not 2")
    groups = site.attribute("offset_group", 1)
    return site.call(
        functions.deform_conv2d,
        site.tensor(0),
        site.tensor(1),
        site.tensor(2),
        site.optional(3),
        site.optional(4),
        stride=window.stride,
        padding=flat_pads(window.begin, window.end),
        dilation=window.dilation,
        groups=_groups(site),
        offset_groups=None if groups == 1 else groups,
    )


@translates("Col2Im")
def col2im(site: Site) -> fx.Node:
    image, block = site.ints(1), site.ints(2)
    if not isinstance(block, list) or image is None:
        site.refuse("the number of its spatial dimensions is not known")
    rank = len(block)
    pads = site.attribute("pads") or (0,) * (2 * rank)
    begin, end = tuple(pads[:rank]), tuple(pads[rank:])
    stride = tuple(site.attribute("strides") or (1,) * rank)
    dilation = tuple(site.attribute("dilations") or (1,) * rank)
    if rank == 2 and begin == end:
        return site.call(
            F.fold,
            site.tensor(0),
            image,
            block,
            dilation=spoken(dilation, default=1),
            padding=spoken(begin, default=0),
            stride=spoken(stride, default=1),
        )
    return site.call(
        functions.fold,
        site.tensor(0),
        image,
        block,
        stride=stride,
        begin=begin,
        end=end,
        dilation=dilation,
    )


def _window(site: Site, resolve: bool = True) -> Window:
    window = window_of(site, weight=1, resolve=resolve)
    if window.rank not in _CONVOLUTIONS:
        site.refuse(f"it has {window.rank} spatial dimensions, not 1, 2 or 3")
    return window


def _weight_and_bias(site: Site) -> list[fx.Node]:
    return [site.tensor(index) for index in (1, 2) if site.has(index)]


def _groups(site: Site) -> int | None:
    groups: int = site.attribute("group", 1)
    return None if groups == 1 else groups
