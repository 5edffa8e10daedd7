"""Steps of optimizers, as ai.onnx.preview.training defines them: new values from old, nothing in place."""

from __future__ import annotations

import torch
from torch import Tensor


def adagrad(
    rate: Tensor,
    step: Tensor,
    x: Tensor,
    gradient: Tensor,
    squares: Tensor,
    decay_factor: float = 0.0,
    epsilon: float = 0.0,
    norm_coefficient: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """The tensor and its sum of squared gradients after a step of Adagrad."""
    gradient = norm_coefficient * x + gradient
    squares = squares + gradient * gradient
    adjusted = rate / (1 + step * decay_factor)
    return x - adjusted * gradient / (squares.sqrt() + epsilon), squares


def momentum(
    rate: Tensor,
    step: Tensor,
    x: Tensor,
    gradient: Tensor,
    velocity: Tensor,
    alpha: float,
    beta: float,
    norm_coefficient: float,
    nesterov: bool = False,
) -> tuple[Tensor, Tensor]:
    """The tensor and its velocity after a step with momentum; the first gradient counts in full."""
    gradient = norm_coefficient * x + gradient
    velocity = alpha * velocity + torch.where(step > 0, beta, 1.0).to(x.dtype) * gradient
    change = gradient + alpha * velocity if nesterov else velocity
    return x - rate * change, velocity


def adam(
    rate: Tensor,
    step: Tensor,
    x: Tensor,
    gradient: Tensor,
    mean: Tensor,
    squares: Tensor,
    alpha: float = 0.9,
    beta: float = 0.999,
    epsilon: float = 0.0,
    norm_coefficient: float = 0.0,
    norm_coefficient_post: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """The tensor and its two moments after a step of Adam; step 0 has no correction of bias."""
    gradient = norm_coefficient * x + gradient
    mean = alpha * mean + (1 - alpha) * gradient
    squares = beta * squares + (1 - beta) * gradient * gradient
    corrected = rate * torch.sqrt(1 - torch.pow(beta, step)) / (1 - torch.pow(alpha, step))
    adjusted = torch.where(step > 0, corrected, rate).to(x.dtype)
    x = x - adjusted * mean / (squares.sqrt() + epsilon)
    return (1 - norm_coefficient_post) * x, mean, squares
