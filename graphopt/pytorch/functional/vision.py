"""Pooling of regions of interest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from itertools import product

import torch


def roi_align(
    x: torch.Tensor,
    rois: torch.Tensor,
    batch_indices: torch.Tensor,
    output_size: Sequence[int] = (1, 1),
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    maximum: bool = False,
    half_pixel: bool = True,
) -> torch.Tensor:
    """Average or maximum of samples in each cell of a grid over each region (Mask R-CNN, section 3).

    Args:
        x: (N, C, H, W).
        rois: (regions, 4): x and y of the first corner, then of the last.
        batch_indices: (regions), the image that each lies in.
        output_size: Rows and columns of the grid.
        spatial_scale: Factor of the coordinates.
        sampling_ratio: Samples along each edge of a cell; 0 for about one for each element.
        maximum: Whether the largest weighted neighbour of any sample is wanted, not the average.
        half_pixel: Whether whole coordinates are corners of elements, rather than their centers.

    Returns:
        (regions, C, rows, columns).
    """
    height, width = x.shape[2:]
    left, top, right, bottom = (rois * spatial_scale - (0.5 if half_pixel else 0.0)).unbind(1)
    spans = torch.stack([bottom - top, right - left])
    if not half_pixel:
        spans = spans.clamp(min=1.0)
    cells = spans / spans.new_tensor(output_size)[:, None]
    if sampling_ratio:
        counts, most = torch.full_like(cells, sampling_ratio), sampling_ratio
    else:
        counts = cells.ceil().clamp(min=1.0)
        most = int(counts.amax())
    rows = _samples(top, cells[0], counts[0], output_size[0], most, height)
    columns = _samples(left, cells[1], counts[1], output_size[1], most, width)
    planes = x.movedim(1, 3).flatten(0, 2)
    start = batch_indices.long()[:, None, None] * (height * width)
    terms: list[torch.Tensor] = []
    for (row, row_weight), (column, column_weight) in product(rows, columns):
        weight = row_weight[:, :, None] * column_weight[:, None, :]
        term = planes[start + row[:, :, None] * width + column[:, None, :]] * weight[..., None]
        terms.append(term)
    total = reduce(torch.maximum if maximum else torch.add, terms)
    total = total.unflatten(2, (output_size[1], most)).unflatten(1, (output_size[0], most))
    sample = torch.arange(most, device=x.device)
    used = (sample[:, None] < counts[0][:, None, None]) & (sample < counts[1][:, None, None])
    used = used[:, None, :, None, :, None]
    if maximum:
        found = total.masked_fill(~used, float("-inf")).amax((2, 4))
    else:
        found = (total * used).sum((2, 4)) / (counts[0] * counts[1])[:, None, None, None]
    return found.movedim(3, 1)


def _samples(
    start: torch.Tensor, cell: torch.Tensor, counts: torch.Tensor, cells: int, most: int, size: int
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The two neighbours of each sample along one dimension, with weights: each (regions, cells * most)."""
    index = torch.arange(cells, device=start.device)[:, None]
    sample = torch.arange(most, device=start.device) + 0.5
    within = index + sample / counts[:, None, None]
    places = (start[:, None, None] + within * cell[:, None, None]).flatten(1)
    inside = (places >= -1) & (places <= size)
    places = places.clamp(0, size - 1)
    before = places.floor()
    after = places - before
    low = before.long()
    return [(low, (1 - after) * inside), ((low + 1).clamp(max=size - 1), after * inside)]


def max_roi_pool(
    x: torch.Tensor, rois: torch.Tensor, output_size: Sequence[int], spatial_scale: float = 1.0
) -> torch.Tensor:
    """The maximum in each cell of a grid over each region (Fast R-CNN, section 2.1).

    Args:
        x: (N, C, H, W).
        rois: (regions, 5): the image, x and y of the first corner, and of the last.
        output_size: Rows and columns of the grid.
        spatial_scale: Factor of the coordinates.

    Returns:
        (regions, C, rows, columns), zero where a cell is empty.
    """
    corners = (rois[:, 1:] * spatial_scale + 0.5).floor()
    found = x[rois[:, 0].long()]
    for start, end, cells, axis in ((0, 2, output_size[1], 3), (1, 3, output_size[0], 2)):
        inside = _cell_masks(corners[:, start], corners[:, end], cells, x.shape[axis])
        lines = found.movedim(axis, -1).unsqueeze(-2)
        masked = lines.masked_fill(~inside[:, None, None], float("-inf"))
        found = masked.amax(-1).movedim(-1, axis)
    return found.masked_fill(found == float("-inf"), 0.0)


def _cell_masks(start: torch.Tensor, end: torch.Tensor, cells: int, size: int) -> torch.Tensor:
    """Which elements lie in each cell of each region along one dimension: (regions, cells, size)."""
    step = (end - start + 1).clamp(min=1) / cells
    index = torch.arange(cells, device=start.device)
    first = (index * step[:, None]).floor() + start[:, None]
    last = ((index + 1) * step[:, None]).ceil() + start[:, None]
    element = torch.arange(size, device=start.device)
    return (element >= first[..., None]) & (element < last[..., None])
