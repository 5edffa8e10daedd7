"""Sequence networks in plain PyTorch: recurrent taggers, an encoder, a small Llama, an audio network.

Widths and depths are parameters, so that tests can have them small. Never loads weights.
"""
# mypy: allow-subclassing-any

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Tagger(nn.Module):
    """Embedding, a bidirectional recurrent network `cell` (such as nn.LSTM), a tag for each token."""

    def __init__(
        self, cell: Any = nn.LSTM, words: int = 50, width: int = 12, layers: int = 2, tags: int = 5
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.recurrent = cell(
            width, width, num_layers=layers, bidirectional=True, batch_first=True, dropout=0.1
        )
        self.output = nn.Linear(2 * width, tags)

    def forward(self, tokens: Tensor) -> Tensor:
        states, _ = self.recurrent(self.embedding(tokens))
        return self.output(states)


class SpeechGate(nn.Module):
    """A stream's step: the state of a one-way LSTM goes in and comes out, beside a probability per frame."""

    def __init__(self, features: int = 6, width: int = 10) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(features, width)
        self.output = nn.Linear(width, 1)

    def forward(self, frames: Tensor, hidden: Tensor, cell: Tensor) -> dict[str, Any]:
        states, (hidden, cell) = self.recurrent(frames, (hidden, cell))
        return {"probability": torch.sigmoid(self.output(states)), "state": (hidden, cell)}


class Encoder(nn.Module):
    """BERT-like: embeddings of tokens and positions, blocks normalized last, padding masked out."""

    def __init__(
        self, words: int = 50, width: int = 32, heads: int = 4, layers: int = 2, longest: int = 64
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(words, width)
        self.positions = nn.Embedding(longest, width)
        self.norm = nn.LayerNorm(width)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, activation="gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.pooler = nn.Linear(width, width)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states [batch, length, width] and a vector for each row; `mask` is 1 where a token is."""
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.norm(self.tokens(ids) + self.positions(places))
        x = self.layers(x, src_key_padding_mask=mask == 0)
        weights = mask.unsqueeze(-1).to(x.dtype)
        mean = (x * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return x, torch.tanh(self.pooler(mean))


class RMSNorm(nn.Module):
    """Zhang and Sennrich 2019, in float32 whatever the input is."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return wide.to(x.dtype) * self.weight


def rotate_half(x: Tensor) -> Tensor:
    """The halves of the last dimension exchanged, the second one negated."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)


class LlamaAttention(nn.Module):
    """Causal, with rotary positions (Su et al. 2021) and keys shared by several queries."""

    def __init__(self, width: int, heads: int, groups: int) -> None:
        super().__init__()
        self.heads, self.groups, self.size = heads, groups, width // heads
        self.q_proj = nn.Linear(width, heads * self.size, bias=False)
        self.k_proj = nn.Linear(width, groups * self.size, bias=False)
        self.v_proj = nn.Linear(width, groups * self.size, bias=False)
        self.o_proj = nn.Linear(heads * self.size, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q = self.q_proj(x).view(batch, length, self.heads, self.size).transpose(1, 2)
        k = self.k_proj(x).view(batch, length, self.groups, self.size).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, self.groups, self.size).transpose(1, 2)
        q = q * cos + rotate_half(q) * sin
        k = k * cos + rotate_half(k) * sin
        k = k.repeat_interleave(self.heads // self.groups, dim=1)
        v = v.repeat_interleave(self.heads // self.groups, dim=1)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).reshape(batch, length, -1))


class LlamaLayer(nn.Module):
    """Attention and a SwiGLU network, each normalized first."""

    def __init__(self, width: int, heads: int, groups: int, hidden: int) -> None:
        super().__init__()
        self.input_norm = RMSNorm(width)
        self.attention = LlamaAttention(width, heads, groups)
        self.output_norm = RMSNorm(width)
        self.gate_proj = nn.Linear(width, hidden, bias=False)
        self.up_proj = nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention(self.input_norm(x), cos, sin)
        y = self.output_norm(x)
        return x + self.down_proj(functional.silu(self.gate_proj(y)) * self.up_proj(y))


class Llama(nn.Module):
    """Touvron et al. 2023; gives logits [batch, length, words]. The head shares the embedding's weight."""

    inverse_frequencies: Tensor

    def __init__(
        self,
        words: int = 50,
        width: int = 32,
        heads: int = 4,
        groups: int = 2,
        hidden: int = 48,
        layers: int = 2,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.layers = nn.ModuleList(LlamaLayer(width, heads, groups, hidden) for _ in range(layers))
        self.norm = RMSNorm(width)
        self.head = nn.Linear(width, words, bias=False)
        self.head.weight = self.embedding.weight
        size = width // heads
        frequencies = 10000.0 ** (-torch.arange(0, size, 2).float() / size)
        self.register_buffer("inverse_frequencies", frequencies, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        places = torch.arange(tokens.shape[1], device=tokens.device)
        angles = torch.outer(places.float(), self.inverse_frequencies.float())
        angles = torch.cat((angles, angles), dim=-1)
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.head(self.norm(x))


class DilatedBlock(nn.Module):
    """WaveNet's gate (van den Oord et al. 2016) over a dilated convolution, with GroupNorm."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, 2 * width, 3, padding=dilation, dilation=dilation)
        self.norm = nn.GroupNorm(2, 2 * width)
        self.project = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        content, gate = self.norm(self.conv(x)).chunk(2, dim=1)
        return x + self.project(torch.tanh(content) * torch.sigmoid(gate))


class AudioNet(nn.Module):
    """`wave` [batch, 1, samples] to class probabilities [batch, classes] and an envelope [batch, frames]."""

    def __init__(self, width: int = 8, blocks: int = 2, classes: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv1d(1, width, 8, stride=4)
        self.norm = nn.InstanceNorm1d(width, affine=True)
        self.act = nn.PReLU(width)
        self.blocks = nn.Sequential(*(DilatedBlock(width, 2**index) for index in range(blocks)))
        self.pool = nn.AvgPool1d(4, stride=2, padding=1)
        self.reduce = nn.BatchNorm1d(width)
        self.head = nn.Linear(2 * width, classes)

    def forward(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        x = self.blocks(self.act(self.norm(self.stem(wave))))
        x = functional.elu(self.reduce(self.pool(x)))
        pooled = torch.cat([x.mean(-1), x.amax(-1)], dim=1)
        return functional.softmax(self.head(pooled), dim=-1), x.square().mean(1).sqrt()


def transformers_llama(
    words: int = 50, width: int = 32, heads: int = 4, groups: int = 2, hidden: int = 48, layers: int = 2
) -> nn.Module:
    """`transformers.LlamaForCausalLM` with random weights, as a module of its ids alone."""
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=words,
        hidden_size=width,
        intermediate_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=groups,
        max_position_embeddings=256,
        use_cache=False,
    )
    return CausalLogits(transformers.LlamaForCausalLM(config))


class CausalLogits(nn.Module):
    """A causal language model of transformers, its logits [batch, length, words] alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        return self.model(input_ids=tokens).logits
