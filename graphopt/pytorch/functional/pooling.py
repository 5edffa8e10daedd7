"""Pooling in forms that PyTorch lacks: padded unevenly, over integers, dilated averages, ONNX's indices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

_MAX_POOLS = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def last_padding(
    sizes: Sequence[int],
    reach: Sequence[int],
    stride: Sequence[int],
    begin: Sequence[int],
    end: Sequence[int],
    ceil: bool,
) -> list[int]:
    """Padding for `F.pad` after which windows without padding are just those that ONNX counts.

    With `ceil` a last window may reach over the padding, if it begins before it.
    """
    pads: list[int] = []
    for axis in reversed(range(len(sizes))):
        size, step = sizes[axis] + begin[axis], stride[axis]
        last = end[axis]
        if ceil:
            free = size + last - reach[axis] + step - 1
            count = torch.sym_min(free // step, (size - 1) // step) + 1
            last = (count - 1) * step + reach[axis] - size
        pads += [begin[axis], last]
    return pads


def max_pool(
    x: torch.Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> torch.Tensor:
    """Maxima of windows, of any type of numbers; padding (as `F.pad` takes it) never wins.

    Args:
        x: (N, C, ...).
        kernel_size: Of the windows.
        stride: Steps between windows.
        padding: Of the spatial dimensions, from the last to the first.
        dilation: Steps between a window's elements.
    """
    pool = _MAX_POOLS[len(kernel_size)]
    wide = _padded(_as_float(x), padding, float("-inf"))
    return pool(wide, tuple(kernel_size), tuple(stride), 0, tuple(dilation)).to(x.dtype)


def max_pool_with_indices(
    x: torch.Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    column_major: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Maxima as `max_pool` has them, and where in the whole of `x` each was found.

    Args:
        x: (N, C, ...).
        kernel_size: Of the windows.
        stride: Steps between windows.
        padding: Of the spatial dimensions, from the last to the first.
        dilation: Steps between a window's elements.
        column_major: Whether the first spatial dimension counts fastest, rather than the last.
    """
    pool = _MAX_POOLS[len(kernel_size)]
    padded = _padded(_as_float(x), padding, float("-inf"))
    values, places = pool(padded, tuple(kernel_size), tuple(stride), 0, tuple(dilation), return_indices=True)
    rank = len(kernel_size)
    spatial = x.shape[2:]
    coordinates = []
    for axis in reversed(range(rank)):
        size = places.new_full((), padded.shape[axis + 2])
        coordinates.append(places % size - padding[2 * (rank - 1 - axis)])
        places = places // size
    order = range(rank) if not column_major else reversed(range(rank))
    planes = torch.arange(x.shape[0] * x.shape[1], device=x.device)
    index = planes.reshape(x.shape[0], x.shape[1], *[1] * rank).expand_as(values)
    for axis in order:
        index = index * spatial[axis] + coordinates[rank - 1 - axis]
    return values.to(x.dtype), index


def avg_pool(
    x: torch.Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    counted: Sequence[int] | None = None,
) -> torch.Tensor:
    """Averages of windows over the elements that are counted.

    Args:
        x: (N, C, ...).
        kernel_size: Of the windows.
        stride: Steps between windows.
        padding: Of the spatial dimensions, from the last to the first.
        dilation: Steps between a window's elements.
        counted: The part of the padding that counts; None if none does.
    """
    total = sum_pool(x, kernel_size, stride, padding, dilation)
    ones = x.new_ones(1, 1, *x.shape[2:])
    if counted is not None:
        ones = F.pad(ones, list(counted), value=1.0)
        padding = [size - inside for size, inside in zip(padding, counted, strict=True)]
    return total / sum_pool(ones, kernel_size, stride, padding, dilation)


def lp_pool(
    x: torch.Tensor,
    p: int,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> torch.Tensor:
    """The p-norm of each window: sum(|x| ** p) ** (1 / p)."""
    powers = x.abs().pow(p)
    return sum_pool(powers, kernel_size, stride, padding, dilation).pow(1 / p)


def sum_pool(
    x: torch.Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> torch.Tensor:
    """Sums of windows of `x` (N, C, ...), padded with zeros: a convolution of each channel with ones."""
    padded = _padded(x, padding, 0.0)
    channels = padded.flatten(0, 1).unsqueeze(1)
    ones = x.new_ones(1, 1, *kernel_size)
    summed = _CONVOLUTIONS[len(kernel_size)](channels, ones, None, tuple(stride), 0, tuple(dilation))
    return summed.reshape(x.shape[0], x.shape[1], *summed.shape[2:])


def max_unpool(
    x: torch.Tensor,
    indices: torch.Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
) -> torch.Tensor:
    """Put values back where a max pool found them, zeros elsewhere.

    Args:
        x: (N, C, ...).
        indices: Of the shape of `x`: places in the whole of the pool's input, as small as it can have been.
        kernel_size: Of the pool's windows.
        stride: Steps between them.
        padding: Of the pool, from the last dimension to the first.
        output_shape: (N, C, ...) of the result, where it is larger: the rest is zero.
    """
    rank = len(kernel_size)
    padding = [0] * (2 * rank) if padding is None else padding
    sizes = list(x.shape[:2])
    for axis in range(rank):
        begin, end = padding[2 * (rank - 1 - axis) :][:2]
        sizes.append((x.shape[axis + 2] - 1) * stride[axis] + kernel_size[axis] - begin - end)
    whole = x.new_zeros(math.prod(sizes)).scatter(0, indices.reshape(-1).long(), x.reshape(-1)).reshape(sizes)
    if output_shape is None:
        return whole
    pads: list[int] = []
    for wanted, size in zip(reversed(output_shape), reversed(sizes), strict=True):
        pads += [0, wanted - size]
    return F.pad(whole, pads)


def _as_float(x: torch.Tensor) -> torch.Tensor:
    """`x` in a type of floats that holds its numbers."""
    if x.is_floating_point():
        return x
    return x.double() if x.element_size() > 2 else x.float()


def _padded(x: torch.Tensor, padding: Sequence[int], value: float) -> torch.Tensor:
    if all(isinstance(size, int) and size == 0 for size in padding):
        return x
    return F.pad(x, list(padding), value=value)
