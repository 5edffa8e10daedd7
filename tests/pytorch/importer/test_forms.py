"""Attention of fewer dimensions, and extrema of all elements, are traced for any size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from graphopt.execute import Session
from graphopt.pytorch import trace


class Function(torch.nn.Module):  # type: ignore[misc]
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def masked(x: Any) -> Any:
    mask = torch.ones(x.shape[0], x.shape[1], x.shape[1], dtype=torch.bool).tril()
    return F.scaled_dot_product_attention(x, x + 1, x * 2, attn_mask=mask, scale=0.3)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.scaled_dot_product_attention(x, x + 1, x * 2),
        masked,
        lambda x: F.scaled_dot_product_attention(x[0], x[0] + 1, x[0] * 2),
        lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
        lambda x: x.amax() - torch.amin(x),
        lambda x: x.amax(1) + torch.amin(x, dim=1, keepdim=True).squeeze(1),
    ],
    ids=["three", "mask", "two", "causal", "extrema", "axes"],
)
def test_forms(function: Any) -> None:
    session = Session(trace(Function(function), torch.randn(2, 3, 4), {"x": {0: "n", 1: "t"}}))
    for shape in ((2, 3, 4), (1, 5, 4), (3, 1, 4)):
        x = torch.randn(shape)
        (got,) = session.run({"x": x.numpy()}).values()
        np.testing.assert_allclose(got, function(x).numpy(), rtol=1e-4, atol=1e-5)
