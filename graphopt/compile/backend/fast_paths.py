"""PyTorch's fused operators that its ONNX exporter lacks or gets wrong, in simple ones.

Without gradients `nn.MultiheadAttention` and `nn.TransformerEncoderLayer` call one operator for all they do;
a batch norm in training mode writes its statistics. Nothing here runs on a user's data: it is traced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

_OVER_SCORES, _OVER_KEYS = 0, 1
"""Kinds of masks: (queries, keys), and (batch, keys); any other is (batch, heads, queries, keys)."""


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim: int,
    num_head: int,
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    mask: Tensor | None = None,
    need_weights: bool = True,
    average_attn_weights: bool = True,
    mask_type: int | None = None,
) -> tuple[Tensor, Tensor | None]:
    """`torch._native_multi_head_attention`: (batch, length, embed_dim), and the weights or None."""
    weights = qkv_weight.split(embed_dim)
    biases = qkv_bias.split(embed_dim)

    def heads(x: Tensor, part: int) -> Tensor:
        projected = functional.linear(x, weights[part], biases[part])
        return projected.unflatten(-1, (num_head, embed_dim // num_head)).transpose(1, 2)

    q, k, v = heads(query, 0), heads(key, 1), heads(value, 2)
    hidden = None if mask is None else _over_scores(mask.to(torch.bool), mask_type)
    scores = None
    if need_weights:
        products = q @ k.transpose(-1, -2) * (embed_dim // num_head) ** -0.5
        if hidden is not None:
            products = products.masked_fill(hidden, float("-inf"))
        scores = products.softmax(-1)
        mixed = scores @ v
        scores = scores.mean(1) if average_attn_weights else scores
    else:
        shown = None if hidden is None else ~hidden
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=shown)
    return functional.linear(mixed.transpose(1, 2).flatten(2), proj_weight, proj_bias), scores


def encoder_layer(
    src: Tensor,
    embed_dim: int,
    num_heads: int,
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    use_gelu: bool,
    norm_first: bool,
    eps: float,
    norm_weight_1: Tensor,
    norm_bias_1: Tensor,
    norm_weight_2: Tensor,
    norm_bias_2: Tensor,
    ffn_weight_1: Tensor,
    ffn_bias_1: Tensor,
    ffn_weight_2: Tensor,
    ffn_bias_2: Tensor,
    mask: Tensor | None = None,
    mask_type: int | None = None,
) -> Tensor:
    """`torch._transformer_encoder_layer_fwd`: (batch, length, embed_dim)."""
    activation = functional.gelu if use_gelu else functional.relu

    def first_norm(x: Tensor) -> Tensor:
        return functional.layer_norm(x, (embed_dim,), norm_weight_1, norm_bias_1, eps)

    def second_norm(x: Tensor) -> Tensor:
        return functional.layer_norm(x, (embed_dim,), norm_weight_2, norm_bias_2, eps)

    def attend(x: Tensor) -> Tensor:
        projections = (qkv_weight, qkv_bias, proj_weight, proj_bias)
        return attention(
            x, x, x, embed_dim, num_heads, *projections, mask, need_weights=False, mask_type=mask_type
        )[0]

    def feed_forward(x: Tensor) -> Tensor:
        inner = activation(functional.linear(x, ffn_weight_1, ffn_bias_1))
        return functional.linear(inner, ffn_weight_2, ffn_bias_2)

    if norm_first:
        x = src + attend(first_norm(src))
        return x + feed_forward(second_norm(x))
    x = first_norm(src + attend(src))
    return second_norm(x + feed_forward(x))


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`functional.batch_norm`: (batch, channels, ...); in training mode it updates the running statistics."""
    if not training:
        return functional.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    others = [dim for dim in range(input.dim()) if dim != 1]
    variance, mean = torch.var_mean(input, others, correction=0)
    if running_mean is not None and running_var is not None:
        count = input.numel() / input.shape[1]
        running_mean.mul_(1 - momentum).add_(mean * momentum)
        running_var.mul_(1 - momentum).add_(variance * (momentum * count / (count - 1)))
    return functional.batch_norm(input, mean, variance, weight, bias, False, momentum, eps)


def _over_scores(mask: Tensor, kind: int | None) -> Tensor:
    """A mask that broadcasts over scores of (batch, heads, queries, keys)."""
    if kind == _OVER_SCORES:
        return mask[None, None]
    return mask[:, None, None] if kind == _OVER_KEYS else mask


SPELLED_OUT: Mapping[Any, Callable[..., Any]] = {
    torch._native_multi_head_attention: attention,
    torch._transformer_encoder_layer_fwd: encoder_layer,
    functional.batch_norm: batch_norm,
}
"""What to call instead of a fused operator."""
