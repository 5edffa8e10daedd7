"""Sliding windows of Conv and the pools: ONNX's attributes in PyTorch's form.

Padding that is the same on both sides stays inside the operator; any other becomes an `F.pad` before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import fx

from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.functional import windows as functions


@dataclass(frozen=True)
class Window:
    """A window's geometry, one number for each spatial dimension.

    Attributes:
        kernel: Its size in elements.
        stride: Steps between windows.
        dilation: Steps between elements.
        begin: Padding before the first element; meaningless where `same` is given.
        end: Padding after the last one.
        same: "SAME_UPPER" or "SAME_LOWER" where the padding follows from sizes known only at run time.
        ceil: Whether a last window may reach over the padding.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]
    same: str | None = None
    ceil: bool = False

    @property
    def rank(self) -> int:
        """The number of spatial dimensions."""
        return len(self.kernel)

    @property
    def is_symmetric(self) -> bool:
        """Whether the padding is known, and the same at both ends."""
        return self.same is None and self.begin == self.end and min(self.begin) >= 0

    @property
    def reach(self) -> tuple[int, ...]:
        """Elements between a window's first and last one, both counted."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))


def window_of(site: Site, weight: int | None = None, resolve: bool = True) -> Window:
    """The window of a node.

    Args:
        site: The node.
        weight: The input whose shape gives the window's size where `kernel_shape` is left out.
        resolve: Whether `auto_pad` is to be turned into padding.

    Raises:
        TranslationError: The number of spatial dimensions, or the size of a window that the padding follows
            from, is not known.
    """
    kernel = site.attribute("kernel_shape")
    if kernel is None and weight is not None:
        shape = site.shape(weight)
        kernel = None if shape is None else shape[2:]
    if kernel is None:
        ranks = [rank for rank in (site.rank(0), weight and site.rank(weight)) if rank is not None]
        if not ranks or site.attribute("auto_pad", "NOTSET").startswith("SAME"):
            site.refuse("the size of its window is not known")
        kernel = (0,) * (ranks[0] - 2)
    rank = len(kernel)
    ones = (1,) * rank
    pads = site.attribute("pads") or (0,) * (2 * rank)
    window = Window(
        kernel=tuple(kernel),
        stride=tuple(site.attribute("strides") or ones),
        dilation=tuple(site.attribute("dilations") or ones),
        begin=tuple(pads[:rank]),
        end=tuple(pads[rank:]),
        ceil=bool(site.attribute("ceil_mode", 0)),
    )
    return _with_auto_pad(site, window) if resolve else window


def _with_auto_pad(site: Site, window: Window) -> Window:
    """The window with the padding that `auto_pad` asks for, now if it can be known."""
    given = site.attribute("auto_pad", "NOTSET")
    if given == "NOTSET":
        return window
    zeros = (0,) * window.rank
    if given == "VALID":
        return _replace_padding(window, zeros, zeros, None)
    shape = site.shape(0)
    if shape is None and any(stride != 1 for stride in window.stride):
        return _replace_padding(window, zeros, zeros, given)
    spatial = zeros if shape is None else shape[2:]
    flat = functions.same_padding(spatial, window.reach, window.stride, given == "SAME_UPPER")
    return _replace_padding(window, tuple(flat[-2::-2]), tuple(flat[::-2]), None)


def _replace_padding(window: Window, begin: Sequence[int], end: Sequence[int], same: str | None) -> Window:
    return Window(window.kernel, window.stride, window.dilation, tuple(begin), tuple(end), same, window.ceil)


def pad(site: Site, x: fx.Node, window: Window, value: float = 0.0) -> fx.Node:
    """`x` padded as the window wants, with one value."""
    fill = None if value == 0 else value
    if window.same is not None:
        upper = window.same == "SAME_UPPER"
        return site.call(functions.pad_same, x, window.reach, window.stride, upper=upper, value=fill)
    if not any(window.begin + window.end):
        return x
    return site.call(F.pad, x, flat_pads(window.begin, window.end), value=fill)


def flat_pads(begin: Sequence[Any], end: Sequence[Any]) -> list[Any]:
    """Padding as `F.pad` takes it: pairs of begin and end, the last dimension first."""
    pairs = list(zip(begin, end, strict=True))
    return [size for pair in reversed(pairs) for size in pair]


def spoken(numbers: Sequence[int], default: int | None = None) -> int | tuple[int, ...] | None:
    """Numbers of all dimensions as one writes them: one if they are equal, None if they are default."""
    if all(number == numbers[0] for number in numbers):
        return None if numbers[0] == default else numbers[0]
    return tuple(numbers)
