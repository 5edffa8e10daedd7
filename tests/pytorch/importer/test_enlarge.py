"""Examples of size 1 do not tie a trace to that size; attention under a learned mask is traced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from graphopt.execute import Session
from graphopt.pytorch import trace
from graphopt.pytorch.importer.dimensions import Dimension
from graphopt.pytorch.importer.enlarge import enlarged


class Attention(nn.Module):  # type: ignore[misc]  # torch is untyped to mypy
    """Two heads over [batch, length, 8]; `bias` is added to the scores."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(8, 2, batch_first=True)
        self.bias = nn.Parameter(torch.zeros(2, 1, 1))

    def forward(self, x: Any) -> Any:
        batch, length, _ = x.shape
        x, _ = self.inner(x, x, x, need_weights=False)
        heads = x.view(batch, length, 2, 4).transpose(1, 2)
        y = functional.scaled_dot_product_attention(heads, heads, heads, attn_mask=self.bias)
        return y.transpose(1, 2).flatten(2)


@pytest.mark.parametrize("example", [(1, 1), (1, 5), (2, 3)])
def test_a_graph_runs_at_any_size(example: tuple[int, int]) -> None:
    module = Attention().eval()
    model = trace(module, torch.randn(*example, 8), {"x": {0: "batch", 1: "length"}})
    session = Session(model)
    for batch, length in ((1, 1), (3, 2), (1, 4)):
        x = torch.randn(batch, length, 8)
        (found,) = session.run({"x": x.numpy()}).values()
        np.testing.assert_allclose(found, module(x).detach(), rtol=1e-4, atol=1e-5)


def test_dimensions_of_one_name_grow_together() -> None:
    class Sum(nn.Module):  # type: ignore[misc]  # torch is untyped to mypy
        def forward(self, x: Any, y: Any) -> Any:
            return x + y[:, None]

    args = (torch.zeros(1, 1), torch.zeros(1))
    grown = enlarged(Sum(), args, {}, [Dimension(0, 0, "batch"), Dimension(1, 0, "batch")])
    assert grown is not None
    assert [tuple(each.shape) for each in grown[0]] == [(2, 1), (2,)]
    assert [tuple(each.shape) for each in args] == [(1, 1), (1,)]


def test_a_size_that_the_module_demands_stays() -> None:
    class Row(nn.Module):  # type: ignore[misc]  # torch is untyped to mypy
        def forward(self, x: Any) -> Any:
            return x.view(1, -1) + torch.zeros(3)

    x = torch.zeros(1, 3)
    assert enlarged(Row(), (x,), {}, [Dimension(0, 0, "batch")]) is None
    assert enlarged(Row(), (x,), {}, [Dimension(0, 1, "width")]) is None
