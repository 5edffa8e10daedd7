"""Counts of sequences of integers, as vectorizers of text make them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F


def count_ngrams(
    x: torch.Tensor, grams: Sequence[Sequence[int]], places: Sequence[int], width: int, most_skipped: int
) -> torch.Tensor:
    """How often each sequence occurs in the last dimension of `x`, float32, each at its place among `width`.

    The elements of a sequence stand at one distance from each other, with at most `most_skipped` between two.
    """
    counts = torch.zeros([*x.shape[:-1], width], dtype=torch.float32, device=x.device)
    for length in sorted({len(gram) for gram in grams}):
        chosen = [index for index, gram in enumerate(grams) if len(gram) == length]
        wanted = torch.tensor([grams[index] for index in chosen], device=x.device)
        found = sum(
            _matches(x, wanted, distance) for distance in range(1, most_skipped + 2 if length > 1 else 2)
        )
        columns = torch.tensor([places[index] for index in chosen], device=x.device)
        counts = counts.index_add(-1, columns, found)
    return counts


def _matches(x: torch.Tensor, grams: torch.Tensor, distance: int) -> torch.Tensor:
    """How often each of (count, length) sequences occurs, with its elements so far apart."""
    length = grams.shape[1]
    beyond = torch.zeros_like(x, dtype=torch.bool)
    matched = torch.ones([*x.shape, 1], dtype=torch.bool, device=x.device)
    for index in range(length):
        step = index * distance
        later = F.pad(x, (0, step))[..., step:]
        outside = F.pad(beyond, (0, step), value=True)[..., step:]
        matched = matched & (later.unsqueeze(-1) == grams[:, index]) & ~outside.unsqueeze(-1)
    return matched.sum(-2, dtype=torch.float32)
