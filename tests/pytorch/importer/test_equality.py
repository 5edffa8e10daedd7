"""What the comparison of a graph with its module takes for a difference."""

from __future__ import annotations

from typing import Any

import torch

from graphopt.pytorch import trace


class Encoder(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.layers = torch.nn.TransformerEncoder(layer, 1)

    def forward(self, x: Any, hidden: Any) -> Any:
        return self.layers(x, src_key_padding_mask=hidden)


def test_zeros_of_the_fast_path_of_attention_are_told() -> None:
    hidden = torch.tensor([[False] * 4, [False, False, True, True]])
    model = trace(Encoder(), (torch.randn(2, 4, 8), hidden))
    (note,) = model.meta["graphopt.signature"].notes
    assert "fast path" in note
    assert torch.backends.mha.get_fastpath_enabled()
