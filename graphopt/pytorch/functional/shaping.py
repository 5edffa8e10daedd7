"""Shapes at run time: of tensors whose rank is not known before, and fills that PyTorch lacks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F

FARTHEST = (2**31 - 1, 2**63 - 1)
"""What exporters write for the end of a slice that has none."""

EARLIEST = -(2**31)
"""The least index that is worth its digits."""


def shape(x: torch.Tensor, start: int = 0, end: int | None = None) -> torch.Tensor:
    """The sizes of a tensor of unknown rank, int64."""
    return torch.tensor(list(x.shape)[start:end], dtype=torch.int64)


def reshape(x: torch.Tensor, wanted: Sequence[int], keep_zeros: bool = False) -> torch.Tensor:
    """`x` in a shape whose zeros stand for the sizes of `x`, unless they are kept."""
    items = [x.shape[i] if _is_known(n, 0) and not keep_zeros else n for i, n in enumerate(wanted)]
    return x.reshape(items)


def flatten(x: torch.Tensor, axis: int) -> torch.Tensor:
    """The dimensions before `axis` as rows, the others as columns."""
    axis = axis + x.dim() if axis < 0 else axis
    return x.reshape(math.prod(x.shape[:axis]), math.prod(x.shape[axis:]))


def reverse_axes(x: torch.Tensor) -> torch.Tensor:
    """The transpose that turns the order of all axes round."""
    return x.permute(list(reversed(range(x.dim()))))


def squeeze(x: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    """`x` without axes of size one; traced, even where a size is not known to be one."""
    if not torch.compiler.is_compiling():
        return x.squeeze(list(axes))
    for axis in sorted({axis % x.dim() for axis in axes}, reverse=True):
        x = x.select(axis, 0)
    return x


def unsqueeze(x: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    """New axes of size one; they are counted in the result."""
    for axis in sorted(axis % (x.dim() + len(axes)) for axis in axes):
        x = x.unsqueeze(axis)
    return x


def split_evenly(x: torch.Tensor, count: int, axis: int) -> list[torch.Tensor]:
    """`count` parts of equal size, the last one smaller if need be."""
    part = -(-x.shape[axis] // count)
    bounds = [part * i for i in range(count)] + [x.shape[axis]]
    return [x.narrow(axis, start, end - start) for start, end in pairwise(bounds)]


def slices(
    x: torch.Tensor,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
) -> torch.Tensor:
    """Spans of several axes, as ONNX's Slice takes them."""
    axes = range(len(starts)) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        span = slice(max(start, EARLIEST), max(end, EARLIEST), step)
        if step < 0:
            span = slice(mirrored_start(start, x.shape[axis]), mirrored_end(end), -step)
            x = x.flip(axis)
        x = x[(slice(None),) * (axis % x.dim()) + (span,)]
    return x


def mirrored_start(start: int, size: int) -> int:
    """Where a slice with a negative step starts in the flipped tensor: before the beginning is at it."""
    return -1 - start if start >= 0 else torch.sym_min(-1 - start, size - 1)


def mirrored_end(end: int) -> int | None:
    """Where a slice with a negative step ends in the flipped tensor; the farthest is None."""
    return None if end in FARTHEST else -1 - end


def expand(x: torch.Tensor, wanted: Sequence[int]) -> torch.Tensor:
    """`x` broadcast together with a shape: where either is one, the other's size counts.

    Traced, a size that is not known to be one is taken to be that of the result.
    """
    own = (1,) * (len(wanted) - x.dim()) + tuple(x.shape)
    wanted = (1,) * (x.dim() - len(wanted)) + tuple(wanted)
    return x.expand([mine if _is_known(n, 1) else n for mine, n in zip(own, wanted, strict=True)])


def pad(
    x: torch.Tensor,
    pads: Sequence[int],
    axes: Sequence[int] | None = None,
    mode: str = "constant",
    value: float | torch.Tensor = 0,
) -> torch.Tensor:
    """`x` with more elements before and after, or fewer where a pad is negative.

    Args:
        pads: The counts before for each of the axes, then those after.
        axes: All of them if not given.
        mode: "constant" (of `value`), "edge", "reflect" (without the edge) or "wrap".
    """
    axes = list(range(x.dim())) if axes is None else [axis % x.dim() for axis in axes]
    begin = dict(zip(axes, pads[: len(axes)], strict=True))
    end = dict(zip(axes, pads[len(axes) :], strict=True))
    if mode == "constant":
        flat = [each.get(axis, 0) for axis in reversed(range(x.dim())) for each in (begin, end)]
        if not isinstance(value, torch.Tensor):
            return F.pad(x, flat, value=value)
        inside = F.pad(torch.ones_like(x, dtype=torch.bool), flat, value=False)
        return torch.where(inside, F.pad(x, flat), value.reshape(()))
    for axis in axes:
        n = x.shape[axis]
        places = torch.arange(-begin[axis], n + end[axis], device=x.device)
        x = x.index_select(axis, _source(places, n, mode))
    return x


def eye_like(x: torch.Tensor, diagonal: int = 0, dtype: torch.dtype | None = None) -> torch.Tensor:
    """Ones on a diagonal of a matrix of the shape of `x`."""
    rows = torch.arange(x.shape[0], device=x.device).unsqueeze(1)
    columns = torch.arange(x.shape[1], device=x.device)
    return (columns - rows == diagonal).to(x.dtype if dtype is None else dtype)


def reverse_sequence(x: torch.Tensor, lengths: torch.Tensor, time: int, batch: int) -> torch.Tensor:
    """The first elements along `time` in reverse, as many as `lengths` says for each of `batch`."""
    steps = torch.arange(x.shape[time], device=x.device)
    lengths = lengths.to(torch.int64).unsqueeze(1)
    source = torch.where(steps < lengths, lengths - 1 - steps, steps)
    moved = x.movedim((batch, time), (0, 1))
    rows = torch.arange(x.shape[batch], device=x.device).unsqueeze(1)
    return moved[rows, source].movedim((0, 1), (batch, time))


def _source(places: torch.Tensor, n: int, mode: str) -> torch.Tensor:
    """Where the elements at `places`, some of them outside of 0...n-1, are taken from."""
    if mode == "edge":
        return places.clamp(min=0).minimum(torch.full_like(places, n - 1))
    if mode == "wrap":
        return places % torch.full_like(places, n)
    period = torch.full_like(places, 2 * (n - 1)).clamp(min=1)
    places = places % period
    return torch.minimum(places, period - places)


def _is_known(n: int, number: int) -> bool:
    """Whether a size is a number, without asking a symbol that is not known."""
    return isinstance(n, int) and n == number
