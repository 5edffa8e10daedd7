"""Elements by their indices, with ONNX's rules: indices count from the end where they are negative."""

from __future__ import annotations

import math

import numpy as np
import torch


def gather(x: torch.Tensor, indices: torch.Tensor, axis: int = 0) -> torch.Tensor:
    """The slices of `x` along an axis that `indices`, of any rank, name; its shape takes the axis's place."""
    axis = axis % x.dim()
    chosen = x.index_select(axis, wrapped(indices, x.shape[axis]).reshape(-1))
    return chosen.reshape(x.shape[:axis] + indices.shape + x.shape[axis + 1 :])


def wrapped(indices: torch.Tensor, size: int) -> torch.Tensor:
    """Indices of 0...size-1, int64, from ones that may count from the end."""
    indices = indices.to(torch.int64)
    return torch.where(indices < 0, indices + size, indices)


def gather_elements(x: torch.Tensor, indices: torch.Tensor, axis: int = 0) -> torch.Tensor:
    """The elements of `x` at the places of `indices`, of the same rank, but for the place along `axis`."""
    return torch.gather(x, axis, wrapped(indices, x.shape[axis]))


def gather_nd(x: torch.Tensor, indices: torch.Tensor, batch_dims: int = 0) -> torch.Tensor:
    """The slices of `x` at the index tuples in the last dimension of `indices`.

    The first `batch_dims` dimensions of both go together.
    """
    if batch_dims == 0:
        return x[tuple(indices.unbind(-1))]
    batch = x.shape[:batch_dims]
    rows = x.reshape(math.prod(batch), *x.shape[batch_dims:])
    tuples = indices.reshape(math.prod(batch), -1, indices.shape[-1])
    row = torch.arange(rows.shape[0], device=x.device).unsqueeze(1)
    chosen = rows[(row, *tuples.unbind(-1))]
    return chosen.reshape(*indices.shape[:-1], *chosen.shape[2:])


def one_hot(indices: torch.Tensor, depth: int, values: torch.Tensor, axis: int = -1) -> torch.Tensor:
    """`values[1]` where the new axis of `depth` has the index, elsewhere, or outside, `values[0]`."""
    axis = axis % (indices.dim() + 1)
    classes = torch.arange(depth, device=indices.device)
    classes = classes.reshape(-1, *[1] * (indices.dim() - axis))
    hot = wrapped(indices, depth).unsqueeze(axis) == classes
    return torch.where(hot, values[1], values[0])


def compress(x: torch.Tensor, condition: torch.Tensor, axis: int | None = None) -> torch.Tensor:
    """The slices of `x` along an axis, or its elements, where `condition`, maybe shorter, holds."""
    if axis is None:
        x, axis = x.reshape(-1), 0
    return x.index_select(axis, condition.nonzero().reshape(-1))


def unique(
    x: torch.Tensor, axis: int | None = None, is_sorted: bool = True
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Distinct elements, or slices along an axis, sorted or in their order of appearance.

    Returns:
        The values; where each appears first; for each element which value it is; how often each appears.
    """
    values, inverse, counts = torch.unique(x, return_inverse=True, return_counts=True, dim=axis)
    inverse = inverse.reshape(-1)
    places = torch.arange(inverse.shape[0], device=x.device)
    first = torch.zeros_like(counts).scatter_reduce(0, inverse, places, "amin", include_self=False)
    if is_sorted:
        return values, first, inverse, counts
    order = torch.argsort(first)
    values = values.index_select(0 if axis is None else axis, order)
    return values, first[order], torch.argsort(order)[inverse], counts[order]


def non_max_suppression(
    boxes: torch.Tensor,
    scores: torch.Tensor,
    most: int,
    iou_threshold: float,
    score_threshold: float | None = None,
    is_centered: bool = False,
) -> torch.Tensor:
    """Boxes left when those that overlap a better one are taken out; nothing can be learned through it.

    Args:
        boxes: [batch, boxes, 4]; two opposite corners (y, x), or a center with width and height.
        scores: [batch, classes, boxes].
        most: How many boxes of a class are kept.
        iou_threshold: Boxes whose intersection over union is larger overlap.
        score_threshold: Only boxes of a larger score count.
        is_centered: Whether boxes are given by their centers.

    Returns:
        int64[selected, 3]: batch, class and box; best first in each class.
    """
    chosen: list[tuple[int, int, int]] = []
    corners = _corners(boxes.detach().cpu().numpy(), is_centered)
    for batch, of_batch in enumerate(scores.detach().cpu().numpy()):
        for class_, of_class in enumerate(of_batch):
            order = np.argsort(-of_class, kind="stable")
            if score_threshold is not None:
                order = order[of_class[order] > np.float32(score_threshold)]
            kept = _kept(corners[batch], order, int(most), np.float32(iou_threshold))
            chosen.extend((batch, class_, box) for box in kept)
    return torch.tensor(chosen, dtype=torch.int64, device=boxes.device).reshape(-1, 3)


def _corners(boxes: np.ndarray, is_centered: bool) -> np.ndarray:
    """[batch, boxes, 4]: the smaller coordinates, then the larger ones."""
    if is_centered:
        half = boxes[..., 2:] / 2
        return np.concatenate([boxes[..., :2] - half, boxes[..., :2] + half], axis=-1)
    first, second = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=-1)


def _kept(corners: np.ndarray, order: np.ndarray, most: int, threshold: np.float32) -> list[int]:
    """The boxes of `order` that overlap none before them that is kept."""
    area = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
    kept: list[int] = []
    while order.size and len(kept) < most:
        best, order = order[0], order[1:]
        kept.append(int(best))
        low = np.maximum(corners[best, :2], corners[order, :2])
        high = np.minimum(corners[best, 2:], corners[order, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        union = area[best] + area[order] - shared
        is_box = (area[best] > 0) & (area[order] > 0) & (union > 0)
        overlap = np.divide(shared, union, out=np.zeros_like(shared), where=is_box)
        order = order[overlap <= threshold]
    return kept
