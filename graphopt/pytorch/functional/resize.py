"""Resizing as ONNX defines it, one dimension at a time; cropping, padding and rearranging of images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F


def resize(
    x: torch.Tensor,
    axes: Sequence[int],
    scales: Sequence[float] | None = None,
    sizes: Sequence[int] | None = None,
    mode: str = "nearest",
    coordinates: str = "half_pixel",
    rounding: str = "round_prefer_floor",
    cubic_coeff: float = -0.75,
    exclude_outside: bool = False,
    antialias: bool = False,
    aspect_ratio: str = "stretch",
    roi: Sequence[float] | None = None,
    extrapolation_value: float = 0.0,
) -> torch.Tensor:
    """Resample `x` along `axes`, to `sizes` or by `scales`; the arguments are those of ONNX's Resize.

    Args:
        x: Of any rank; integers are computed in float32.
        axes: The dimensions to resize.
        scales: A factor for each of them; None if sizes are given.
        sizes: A size for each of them, before `aspect_ratio` is looked at.
        mode: "nearest", "linear" or "cubic".
        coordinates: How a place in the output is mapped to one in the input.
        rounding: What "nearest" does with places between two elements.
        cubic_coeff: The coefficient `a` of cubic interpolation.
        exclude_outside: Whether filters leave elements outside out, rather than repeat the border.
        antialias: Whether filters are widened when the result is smaller.
        aspect_ratio: "stretch", "not_larger" or "not_smaller".
        roi: Of "tf_crop_and_resize": where the region begins along each of `axes`, then where it ends, in
            parts of the input's size.
        extrapolation_value: What stands outside of the input in "tf_crop_and_resize".
    """
    axes = [axis % x.dim() for axis in axes]
    if sizes is None:
        assert scales is not None
        sizes = [_scaled(x.shape[axis], scale) for axis, scale in zip(axes, scales, strict=True)]
    else:
        scales = [size / x.shape[axis] for axis, size in zip(axes, sizes, strict=True)]
        if aspect_ratio != "stretch":
            common = min(scales) if aspect_ratio == "not_larger" else max(scales)
            scales = [common] * len(axes)
            sizes = [math.floor(x.shape[axis] * common + 0.5) for axis in axes]
    y = x if (x.is_floating_point() and x.element_size() > 2) or mode == "nearest" else x.float()
    for index, axis in enumerate(axes):
        crops = coordinates == "tf_crop_and_resize" and roi is not None
        if not crops and isinstance(scales[index], float) and scales[index] == 1:
            continue
        size = y.shape[axis]
        region = (roi[index], roi[len(axes) + index]) if crops and roi is not None else (0.0, 1.0)
        places = _places(sizes[index], size, scales[index], coordinates, region, x.device)
        if mode == "nearest":
            taps, weights = _nearest(places, rounding), None
        elif antialias:
            kernel = cubic_coeff if mode == "cubic" else None
            taps, weights = None, _antialiased(places, size, scales[index], kernel, exclude_outside)
        elif mode == "linear":
            taps, weights = _linear(places, size)
        else:
            taps, weights = _cubic(places, size, cubic_coeff, exclude_outside)
        y = _weighted(y, axis, taps, weights)
        if crops:
            inside = (places >= 0) & (places <= size - 1)
            y = torch.where(_along(inside, y, axis), y, extrapolation_value)
    return y.to(x.dtype)


def _scaled(size: int, scale: float) -> int:
    if scale == int(scale):
        return size * int(scale)
    if isinstance(size, int):
        return int(np.float32(size) * np.float32(scale))
    return math.floor(size * scale)


def _places(
    count: int,
    size: int,
    scale: float,
    coordinates: str,
    region: tuple[float, float],
    device: torch.device,
) -> torch.Tensor:
    """The place in the input, in elements, of each of `count` elements of the output."""
    steps = torch.arange(count, device=device, dtype=torch.float32)
    if coordinates == "asymmetric":
        return steps / scale
    if coordinates == "align_corners":
        return steps * ((size - 1) / torch.sym_max(count - 1, 1))
    if coordinates == "tf_crop_and_resize":
        start, end = region
        if count == 1:
            return (steps + 0.5) * ((start + end) * (size - 1))
        return start * (size - 1) + steps * ((end - start) * (size - 1) / (count - 1))
    centers = (steps + 0.5) / scale - 0.5
    if coordinates == "half_pixel_symmetric":
        return centers + size / 2 * (1 - count / (scale * size))
    if coordinates == "pytorch_half_pixel" and count == 1:
        return steps
    return centers


def _nearest(places: torch.Tensor, rounding: str) -> torch.Tensor:
    """The element taken for each place: (count, 1)."""
    if rounding == "floor":
        taps = places.floor()
    elif rounding == "ceil":
        taps = places.ceil()
    elif rounding == "round_prefer_ceil":
        taps = (places + 0.5).floor()
    else:
        taps = (places - 0.5).ceil()
    return taps.long()[:, None]


def _linear(places: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The two elements around each place, and their weights: (count, 2)."""
    places = places.clamp(0, size - 1)
    before = places.floor()
    after = places - before
    return before.long()[:, None] + _taps(0, 2, places), torch.stack([1 - after, after], dim=1)


def _cubic(
    places: torch.Tensor, size: int, a: float, exclude_outside: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """The four elements around each place, and their weights: (count, 4)."""
    before = places.floor()
    taps = before.long()[:, None] + _taps(-1, 3, places)
    weights = _cubic_kernel(places[:, None] - taps, a)
    if exclude_outside:
        weights = weights * ((taps >= 0) & (taps < size))
        weights = weights / weights.sum(1, keepdim=True)
    return taps, weights


def _antialiased(
    places: torch.Tensor, size: int, scale: float, cubic_coeff: float | None, exclude_outside: bool
) -> torch.Tensor:
    """Weights of all elements of the input, (count, size), of a filter as wide as the result is coarse."""
    narrow = torch.sym_min(scale, 1.0)
    beyond = 0 if exclude_outside else math.ceil((1 if cubic_coeff is None else 2) / narrow)
    elements = torch.arange(-beyond, size + beyond, device=places.device)
    distances = (elements - places[:, None]) * narrow
    if cubic_coeff is None:
        weights = (1 - distances.abs()).clamp(min=0)
    else:
        weights = _cubic_kernel(distances, cubic_coeff)
    # Outside, the border is repeated.
    kept = weights.new_zeros(weights.shape[0], size).index_add(1, elements.clamp(0, size - 1), weights)
    return kept / kept.sum(1, keepdim=True)


def _cubic_kernel(distances: torch.Tensor, a: float) -> torch.Tensor:
    """Keys' cubic convolution kernel (1981, equation 4 with any coefficient `a`)."""
    t = distances.abs()
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return torch.where(t <= 1, near, torch.where(t < 2, far, 0.0))


def _taps(first: int, end: int, places: torch.Tensor) -> torch.Tensor:
    return torch.arange(first, end, device=places.device)


def _weighted(
    x: torch.Tensor, axis: int, taps: torch.Tensor | None, weights: torch.Tensor | None
) -> torch.Tensor:
    """Elements of `x` along `axis` at `taps`, summed by `weights`; all elements if there are no taps."""
    if taps is None:
        assert weights is not None
        return torch.matmul(x.movedim(axis, -1), weights.to(x.dtype).t()).movedim(-1, axis)
    taps = taps.clamp(min=0).minimum(taps.new_full((), x.shape[axis] - 1))
    if weights is None:
        return x.index_select(axis, taps[:, 0])
    terms = [
        x.index_select(axis, taps[:, i]) * _along(weights[:, i].to(x.dtype), x, axis)
        for i in range(taps.shape[1])
    ]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def _along(values: torch.Tensor, x: torch.Tensor, axis: int) -> torch.Tensor:
    return values.reshape(-1, *[1] * (x.dim() - 1 - axis))


def center_crop_pad(x: torch.Tensor, shape: Sequence[int], axes: Sequence[int]) -> torch.Tensor:
    """Crop or pad with zeros, around the center, so that the sizes along `axes` are those of `shape`."""
    pads = [0] * (2 * x.dim())
    for size, axis in zip(shape, axes, strict=True):
        place = 2 * (x.dim() - 1 - axis % x.dim())
        more = size - x.shape[axis]
        # An odd element is cut from the end, or added there.
        begin = torch.sym_max(more, 0) // 2 - torch.sym_max(-more, 0) // 2
        pads[place : place + 2] = [begin, more - begin]
    return F.pad(x, pads)


def depth_to_space(x: torch.Tensor, block: int) -> torch.Tensor:
    """Move blocks of channels into space, the block's place counting before the channel (ONNX's "DCR").

    Args:
        x: (N, block * block * C, H, W).
        block: The edge of a block.
    """
    batch, channels, height, width = x.shape
    blocks = x.reshape(batch, block, block, channels // (block * block), height, width)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(
        batch, channels // (block * block), height * block, width * block
    )


def space_to_depth(x: torch.Tensor, block: int) -> torch.Tensor:
    """Move blocks of space into channels: what `depth_to_space` puts back."""
    batch, channels, height, width = x.shape
    blocks = x.reshape(batch, channels, height // block, block, width // block, block)
    return blocks.permute(0, 3, 5, 1, 2, 4).reshape(
        batch, channels * block * block, height // block, width // block
    )
