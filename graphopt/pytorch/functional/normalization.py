"""Normalizations in forms that PyTorch lacks: statistics as results, broadcast scales, ONNX's variants."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F


def batch_norm(
    x: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor,
    epsilon: float = 1e-5,
) -> torch.Tensor:
    """Normalize channels by statistics (C) that gradients flow into, unlike `F.batch_norm`'s."""
    mean, variance, scale, bias = [
        each.reshape(-1, *[1] * (x.dim() - 2)) for each in (mean, variance, scale, bias)
    ]
    return ((x - mean) * torch.rsqrt(variance + epsilon) * scale + bias).to(x.dtype)


def batch_norm_training(
    x: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
    scale: torch.Tensor,
    bias: torch.Tensor,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Normalize by the statistics of the batch.

    Args:
        x: (N, C, ...).
        mean: (C), the running mean.
        variance: (C), the running variance.
        scale: (C).
        bias: (C).
        epsilon: Added to the variance.
        momentum: The share of the running statistics that is kept.

    Returns:
        The result, and the running mean and (population) variance after this batch.
    """
    axes = [0, *range(2, x.dim())]
    own_variance, own_mean = torch.var_mean(x.to(mean.dtype), axes, correction=0)
    y = batch_norm(x, own_mean, own_variance, scale, bias, epsilon)
    new = 1 - momentum
    return y, mean * momentum + own_mean * new, variance * momentum + own_variance * new


def layer_norm(
    x: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor | None, axis: int = -1, epsilon: float = 1e-5
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Normalize the dimensions from `axis` on, computed in float32 at least.

    Returns:
        The result, the means and the reciprocal standard deviations; these keep the reduced dimensions.
    """
    wide = _at_least_float32(x)
    axes = _trailing(x, axis)
    variance, mean = torch.var_mean(wide, axes, correction=0, keepdim=True)
    deviation = torch.rsqrt(variance + epsilon)
    y = ((wide - mean) * deviation).to(x.dtype) * scale
    return y if bias is None else y + bias, mean, deviation


def rms_norm(x: torch.Tensor, scale: torch.Tensor, axis: int = -1, epsilon: float = 1e-5) -> torch.Tensor:
    """Divide by the root of the mean square over the dimensions from `axis` on, and scale."""
    wide = _at_least_float32(x)
    square = wide.square().mean(_trailing(x, axis), keepdim=True)
    return (wide * torch.rsqrt(square + epsilon)).to(scale.dtype) * scale


def group_norm_by_group(
    x: torch.Tensor, groups: int, scale: torch.Tensor, bias: torch.Tensor, epsilon: float = 1e-5
) -> torch.Tensor:
    """Normalize groups of channels; `scale` and `bias` have one element for each group."""
    normalized = F.group_norm(x, groups, eps=epsilon)
    each = x.shape[1] // groups
    ones = [1] * (x.dim() - 2)
    scale, bias = [t.repeat_interleave(each).reshape(-1, *ones) for t in (scale, bias)]
    return normalized * scale + bias


def local_response_norm(
    x: torch.Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> torch.Tensor:
    """Divide by (k + alpha / size * sum of squares) ** beta over `size` neighbouring channels.

    Args:
        x: (N, C, ...).
        size: Channels in a window; of an even number, the larger half lies behind.
        alpha: The factor of the mean square.
        beta: The exponent.
        k: What is added to the mean square.
    """
    square = x.square().unsqueeze(1).flatten(3)
    before = (size - 1) // 2
    padded = F.pad(square, [0, 0, before, size - 1 - before])
    mean = F.avg_pool2d(padded, (size, 1), stride=1).squeeze(1).reshape(x.shape)
    return x / (mean * alpha + k).pow(beta)


def mean_variance_norm(x: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    """Subtract the mean over `axes` and divide by the standard deviation (the population's)."""
    mean = x.mean(axes, keepdim=True)
    variance = x.square().mean(axes, keepdim=True) - mean.square()
    return (x - mean) / (variance.sqrt() + 1e-9)


def _at_least_float32(x: torch.Tensor) -> torch.Tensor:
    return x.float() if x.element_size() < 4 else x


def _trailing(x: torch.Tensor, axis: int) -> list[int]:
    return list(range(axis, 0) if axis < 0 else range(axis, x.dim()))
