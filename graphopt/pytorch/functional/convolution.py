"""Convolutions in forms that PyTorch lacks: to a given size, deformable, and columns back to images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
import torch.nn.functional as F


def split_padding(total: Sequence[int], upper: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Padding before and behind; an odd element goes behind if `upper`, otherwise before."""
    less = [size // 2 for size in total]
    more = [size - half for size, half in zip(total, less, strict=True)]
    return (tuple(less), tuple(more)) if upper else (tuple(more), tuple(less))


def conv_transpose_to(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    output_size: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    output_padding: Sequence[int] | None = None,
    groups: int = 1,
    upper: bool = False,
) -> torch.Tensor:
    """Transposed convolution whose padding follows from the size of its result.

    Args:
        x: (N, C, ...).
        weight: (C, C_out / groups, ...).
        bias: (C_out) or None.
        output_size: The spatial sizes of the result.
        stride: Steps between windows.
        dilation: Steps between a window's elements.
        output_padding: Elements added to the end before it is cut.
        groups: Groups of channels.
        upper: Whether an odd element is cut from the end, rather than from the beginning.
    """
    rank = x.dim() - 2
    extra = [0] * rank if output_padding is None else list(output_padding)
    y = (
        torch.conv_transpose1d
        if rank == 1
        else torch.conv_transpose2d
        if rank == 2
        else torch.conv_transpose3d
    )
    full = y(x, weight, None, list(stride), [0] * rank, [0] * rank, groups, list(dilation))
    pads: list[int] = []
    for axis in reversed(range(rank)):
        size = full.shape[axis + 2]
        total = torch.sym_max(size + extra[axis] - output_size[axis], 0)
        begin = total // 2 if upper else total - total // 2
        pads += [-begin, output_size[axis] + begin - size]
    full = F.pad(full, pads)
    return full if bias is None else full + bias.reshape(-1, *[1] * rank)


def deform_conv2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    offset: torch.Tensor,
    bias: torch.Tensor | None = None,
    mask: torch.Tensor | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0, 0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
    offset_groups: int = 1,
) -> torch.Tensor:
    """Convolution whose samples are displaced; outside the input there are zeros.

    Args:
        x: (N, C, H, W).
        weight: (C_out, C / groups, kh, kw).
        offset: (N, offset_groups * kh * kw * 2, H_out, W_out), the displacement along H before that along W.
        bias: (C_out) or None.
        mask: (N, offset_groups * kh * kw, H_out, W_out), factors of the samples, or None.
        stride: Steps between windows.
        padding: As `F.pad` takes it.
        dilation: Steps between a window's elements.
        groups: Groups of channels.
        offset_groups: Groups of channels that share displacements.
    """
    batch, channels, height, width = x.shape
    kernel_h, kernel_w = weight.shape[2:]
    taps = kernel_h * kernel_w
    out_h, out_w = offset.shape[2:]
    offset = offset.reshape(batch * offset_groups, taps, 2, out_h, out_w)
    along = {"dtype": offset.dtype, "device": offset.device}
    tap_y = (torch.arange(kernel_h, **along) * dilation[0]).repeat_interleave(kernel_w)
    tap_x = (torch.arange(kernel_w, **along) * dilation[1]).repeat(kernel_h)
    base_y = torch.arange(out_h, **along) * stride[0] - padding[2]
    base_x = torch.arange(out_w, **along) * stride[1] - padding[0]
    y = offset[:, :, 0] + tap_y[:, None, None] + base_y[:, None]
    z = offset[:, :, 1] + tap_x[:, None, None] + base_x
    samples = _bilinear(x.reshape(batch * offset_groups, -1, height, width), y, z)
    if mask is not None:
        samples = samples * mask.reshape(batch * offset_groups, 1, taps, out_h, out_w)
    samples = samples.reshape(batch, groups, channels // groups * taps, out_h * out_w)
    kernels = weight.reshape(groups, weight.shape[0] // groups, -1)
    result = torch.matmul(kernels, samples).reshape(batch, weight.shape[0], out_h, out_w)
    return result if bias is None else result + bias.reshape(-1, 1, 1)


def _bilinear(x: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Samples (N, C, ...) of `x` (N, C, H, W) at fractional places (N, ...), zero outside."""
    batch, channels, height, width = x.shape
    places = rows.shape[1:]
    rows, columns = rows.reshape(batch, -1), columns.reshape(batch, -1)
    top, left = rows.floor(), columns.floor()
    flat = x.reshape(batch, channels, -1)
    total: torch.Tensor | None = None
    for down, right in product((0, 1), (0, 1)):
        row, column = top + down, left + right
        weight = (1 - (rows - row).abs()) * (1 - (columns - column).abs())
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        index = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
        picked = flat.gather(2, index[:, None].expand(-1, channels, -1))
        term = picked * (weight * inside)[:, None]
        total = term if total is None else total + term
    assert total is not None
    return total.reshape(batch, channels, *places)


def fold(
    columns: torch.Tensor,
    image: Sequence[int],
    block: Sequence[int],
    stride: Sequence[int],
    begin: Sequence[int],
    end: Sequence[int],
    dilation: Sequence[int],
) -> torch.Tensor:
    """Sum columns of sliding blocks into images, in any number of dimensions.

    Args:
        columns: (N, C * elements of a block, number of blocks).
        image: Sizes of the image.
        block: Sizes of a block.
        stride: Steps between blocks.
        begin: Padding before the image, cut off again.
        end: Padding after it.
        dilation: Steps between a block's elements.
    """
    rank = len(block)
    padded = [size + b + e for size, b, e in zip(image, begin, end, strict=True)]
    steps = [1] * rank
    for axis in reversed(range(rank - 1)):
        steps[axis] = steps[axis + 1] * padded[axis + 1]
    index = torch.zeros(1, 1, dtype=torch.int64, device=columns.device)
    for axis in range(rank):
        count = (padded[axis] - dilation[axis] * (block[axis] - 1) - 1) // stride[axis] + 1
        inner = torch.arange(block[axis], device=columns.device) * dilation[axis]
        starts = torch.arange(count, device=columns.device) * stride[axis]
        own = (inner[:, None] + starts) * steps[axis]
        index = (index[:, None, :, None] + own[None, :, None, :]).flatten(2).flatten(0, 1)
    batch, channels = columns.shape[0], columns.shape[1] // index.shape[0]
    flat = columns.new_zeros(batch, channels, steps[0] * padded[0])
    flat = flat.index_add(2, index.reshape(-1), columns.reshape(batch, channels, -1))
    crops: list[int] = []
    for axis in reversed(range(rank)):
        crops += [-begin[axis], -end[axis]]
    return F.pad(flat.reshape(batch, channels, *padded), crops)
