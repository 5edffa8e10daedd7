"""Attention as ONNX and onnxruntime have it: masks, caches, shared heads, and rotary positions.

Where `F.scaled_dot_product_attention` means exactly the same, graphs call that; here is the rest. Queries,
keys and values are (batch, heads, length, width) throughout.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(batch, length, heads * width) as (batch, heads, length, width)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(batch, heads, length, width) as (batch, length, heads * width)."""
    return x.transpose(1, 2).flatten(2)


def attention_mask(
    query: Tensor,
    key: Tensor,
    mask: Tensor | None = None,
    is_causal: bool = False,
    offset: int | Tensor = 0,
    lengths: Tensor | None = None,
    before: int = -1,
    after: int = -1,
) -> Tensor:
    """What each query attends to: bool, or floats to add where `mask` is floats.

    Args:
        query: Its length counts.
        key: Its length counts.
        mask: Broadcasts to (batch, heads, query length, key length); if shorter along the keys, the rest are
            not attended to. True is attended to.
        is_causal: Whether a query attends to no later key.
        offset: The position of the first query among the keys, one number or (batch).
        lengths: (batch), how many keys are valid.
        before: How many keys before its position a query attends to; -1 for all.
        after: How many after it.
    """
    count, total = query.shape[-2], key.shape[-2]
    columns = torch.arange(total, device=query.device)
    rows = torch.arange(count, device=query.device).unsqueeze(-1)
    rows = rows + (offset.reshape(-1, 1, 1, 1) if isinstance(offset, Tensor) else offset)
    allowed = torch.ones(count, total, dtype=torch.bool, device=query.device)
    if is_causal:
        allowed = allowed & (columns <= rows)
    if before >= 0:
        allowed = allowed & (columns >= rows - before)
    if after >= 0:
        allowed = allowed & (columns <= rows + after)
    if lengths is not None:
        allowed = allowed & (columns < lengths.reshape(-1, 1, 1, 1))
    if mask is None:
        return allowed
    if mask.dtype == torch.bool:
        return F.pad(mask, (0, total - mask.shape[-1])) & allowed
    padded = F.pad(mask.to(query.dtype), (0, total - mask.shape[-1]), value=-math.inf)
    return padded.masked_fill(~allowed, -math.inf)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    scale: float | None = None,
    softcap: float = 0.0,
    precision: torch.dtype | None = None,
    scores: int = 0,
) -> tuple[Tensor, Tensor]:
    """Attention and its scores; a query that attends to nothing gives 0.

    Args:
        query: (batch, heads, query length, width).
        key: (batch, key heads, key length, width); each is shared by as many heads of the query in a row.
        value: (batch, key heads, key length, value width).
        mask: As `attention_mask` gives it.
        scale: Factor of the scores; None is 1 / sqrt(width).
        softcap: Bound of the scores, taken by tanh before the mask; 0 for none.
        precision: The type that softmax is computed in; None is the scores'.
        scores: Which scores to return: 0 scaled products, 1 after softcap, 2 with the mask, 3 after softmax.
    """
    shared = query.shape[1] // key.shape[1]
    if shared != 1:
        key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
    root = math.sqrt(1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    stages = [torch.matmul(query * root, key.mT * root)]
    stages.append(torch.tanh(stages[0] / softcap) * softcap if softcap else stages[0])
    masked = stages[1]
    unattended = None
    if mask is not None:
        added = (
            torch.zeros_like(mask, dtype=query.dtype).masked_fill(~mask, -math.inf)
            if mask.dtype == torch.bool
            else mask
        )
        masked = masked + added
        unattended = (added == -math.inf).all(-1, keepdim=True)
    stages.append(masked)
    weights = F.softmax(masked if precision is None else masked.to(precision), dim=-1)
    if unattended is not None:
        weights = weights.masked_fill(unattended, 0.0)
    stages.append(weights.to(query.dtype))
    return torch.matmul(stages[3], value), stages[scores]


def padding_mask(mask: Tensor, query: Tensor, key: Tensor, value: float) -> Tensor:
    """onnxruntime's masks of keys as floats to add: 0 where attended to, otherwise `value`.

    Args:
        mask: (batch) numbers of valid keys; (2 * batch) their ends, then their beginnings; (batch, keys),
            (batch, queries, keys) or (batch, 1, length, length) of 0 and 1.
        query: (batch, heads, query length, width).
        key: (batch, heads, key length, width).
        value: What is added elsewhere, a large negative number.
    """
    count, total = query.shape[-2], key.shape[-2]
    if mask.dim() == 1:
        columns = torch.arange(total, device=mask.device)
        bounds = mask.reshape(-1, query.shape[0], 1, 1, 1)
        attended = columns < bounds[0]
        if mask.shape[0] != query.shape[0]:
            attended = attended & (columns >= bounds[1])
    elif mask.dim() == 2:
        attended = mask.unsqueeze(1).unsqueeze(1) > 0
    elif mask.dim() == 3:
        attended = mask.unsqueeze(1) > 0
    else:
        attended = mask.narrow(-2, total - count, count).narrow(-1, 0, total) > 0
    zeros = torch.zeros(attended.shape, dtype=query.dtype, device=query.device)
    return zeros.masked_fill(~attended, value)


def rotary_embedding(
    x: Tensor,
    cos: Tensor,
    sin: Tensor,
    positions: Tensor | None = None,
    interleaved: bool = False,
    width: int = 0,
) -> Tensor:
    """Rotate pairs of elements by the angle of their position.

    Args:
        x: (batch, heads, length, width).
        cos: (batch, length, width / 2), or (positions, width / 2) with `positions`.
        sin: Shaped as `cos`.
        positions: (batch, length), or the first one of all.
        interleaved: Whether neighbours are a pair; otherwise an element and the one half the width later.
        width: How many elements are rotated, the first; 0 for all.
    """
    if positions is not None:
        if positions.numel() == 1 and positions.dim() == 1:
            positions = (positions + torch.arange(x.shape[2], device=x.device)).unsqueeze(0)
        cos, sin = F.embedding(positions, cos), F.embedding(positions, sin)
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    rotated, kept = (x[..., :width], x[..., width:]) if width else (x, None)
    if interleaved:
        first, second = rotated[..., 0::2], rotated[..., 1::2]
    else:
        first, second = rotated.chunk(2, -1)
    real, imaginary = first * cos - second * sin, first * sin + second * cos
    y = torch.stack((real, imaginary), -1).flatten(-2) if interleaved else torch.cat((real, imaginary), -1)
    return y if kept is None else torch.cat((y, kept), -1)


def rotary_embedding_of_width(
    x: Tensor, cos: Tensor, sin: Tensor, positions: Tensor, interleaved: bool = False
) -> Tensor:
    """`rotary_embedding` of as many elements as `cos` and `sin` are for."""
    return rotary_embedding(x, cos, sin, positions, interleaved, 2 * cos.shape[-1])


def cache_start(last: Tensor, total: Tensor, query: Tensor) -> Tensor:
    """How many keys each sequence (batch) has before the new ones; none at the first call, which is padded.

    Args:
        last: (batch, ...) place of each sequence's last key, the new ones counted.
        total: One number, how many keys the longest sequence has.
        query: (batch, heads, new length, width).
    """
    count = query.shape[2]
    start = last.reshape(-1).to(torch.int64) + 1 - count
    return torch.where(total.reshape(()) == count, 0, start)


def positions_from(start: Tensor, query: Tensor) -> Tensor:
    """Positions (batch, length) of the queries of sequences that begin after `start` (batch) keys."""
    return start.unsqueeze(-1) + torch.arange(query.shape[2], device=query.device)


def cached(past: Tensor | None, new: Tensor, start: Tensor, total: Tensor) -> Tensor:
    """Keys or values with the new ones written in after the first `start` (batch) of the past ones.

    As long as `total`, one number, or as the past ones if those have more room.
    """
    if past is None:
        return new
    count = new.shape[2]
    room = torch.cat((past, torch.zeros_like(new)), 2)
    places = start.reshape(-1, 1, 1, 1) + torch.arange(count, device=new.device).reshape(1, 1, -1, 1)
    written = room.scatter(2, places.expand_as(new), new)
    return written.narrow(2, 0, torch.sym_max(past.shape[2], int(total)))
