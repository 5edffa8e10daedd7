"""Classical models of ai.onnx.ml on numbers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def select_features(x: Tensor, indices: Tensor) -> Tensor:
    """Elements of the last dimension; a vector counts as one row."""
    rows = x.unsqueeze(0) if x.dim() == 1 else x
    return rows.index_select(-1, indices.reshape(-1).to(torch.int64))


def binarize(x: Tensor, threshold: float = 0.0) -> Tensor:
    """1 where x is above the threshold, 0 elsewhere."""
    return (x > threshold).to(x.dtype)


def normalize(x: Tensor, norm: str = "MAX") -> Tensor:
    """x divided by a norm of its last dimension, "MAX", "L1" or "L2"; rows of zeros stay."""
    wide = x if x.dtype.is_floating_point else x.float()
    if norm == "MAX":
        size = wide.amax(-1, keepdim=True)
    else:
        size = torch.linalg.vector_norm(wide, 1 if norm == "L1" else 2, -1, keepdim=True)
    return torch.where(size == 0, wide, wide / size).float()


def transform(scores: Tensor, name: str) -> Tensor:
    """Scores (batch, targets) as a `post_transform` wants them."""
    if name == "LOGISTIC":
        return torch.sigmoid(scores)
    if name == "SOFTMAX":
        return F.softmax(scores, -1)
    if name == "SOFTMAX_ZERO":
        weights = torch.where(scores == 0, 0.0, torch.exp(scores - scores.amax(-1, keepdim=True)))
        return weights / weights.sum(-1, keepdim=True)
    return scores


def classify(scores: Tensor, labels: Tensor) -> Tensor:
    """The label of the largest score of each row."""
    return labels[scores.argmax(-1)]


def impute(x: Tensor, values: Tensor, replaced: float) -> Tensor:
    """Elements equal to `replaced`, which may be NaN, exchanged for values that broadcast."""
    missing = torch.isnan(x) if replaced != replaced else x == replaced
    return torch.where(missing, values.to(x.dtype), x)


def encode_labels(x: Tensor, keys: Tensor, values: Tensor, default: float) -> Tensor:
    """The value whose key each element is, NaN included; elsewhere the default."""
    found = x.unsqueeze(-1) == keys
    if x.dtype.is_floating_point:
        found = found | (torch.isnan(x).unsqueeze(-1) & torch.isnan(keys))
    picked = values[found.to(torch.int8).argmax(-1)]
    return torch.where(found.any(-1), picked, default).to(values.dtype)


def one_hot(x: Tensor, categories: Tensor) -> Tensor:
    """1 in the place of each element's category in a new last dimension; all 0 if it has none."""
    return (x.to(torch.int64).unsqueeze(-1) == categories).float()
