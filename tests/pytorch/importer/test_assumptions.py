"""What a trace assumed about sizes is told, and pools hold for every size."""

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


SIZES = {"x": {0: "n", 2: "h", 3: "w"}}


def notes(model: Any) -> Any:
    return model.meta["graphopt.signature"].notes


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.adaptive_avg_pool2d(x, (3, 5)),
        lambda x: F.adaptive_avg_pool2d(x, (None, 2)),
        lambda x: F.adaptive_max_pool2d(x, 2),
        lambda x: F.adaptive_avg_pool1d(x.flatten(2), 4),
        lambda x: F.interpolate(x, size=(7, x.shape[3] // 2), mode="area"),
        lambda x: F.interpolate(x, scale_factor=0.5, mode="area"),
    ],
    ids=["average", "one axis", "maximum", "one-dimensional", "area", "area by factor"],
)
def test_adaptive_pools_hold_for_sizes_other_than_the_examples(function: Any) -> None:
    model = trace(Function(function), torch.rand(1, 2, 6, 10), SIZES)
    session = Session(model)
    for shape in ((1, 2, 6, 10), (2, 2, 13, 7), (1, 2, 5, 9)):
        x = torch.randn(shape)
        (got,) = session.run({"x": x.numpy()}).values()
        np.testing.assert_allclose(got, function(x).numpy(), rtol=1e-4, atol=1e-5)
    assert not notes(model)


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda x: x if x.shape[3] % 2 == 0 else -x, "(w % 2) == 0"),
        (lambda x: x * int(x.shape[2] * 0.5), "int(0.5*h) == 3"),
        (lambda x: x[0] if x.shape[0] == 1 else x, "n != 1"),
        (lambda x: x if x.shape[2] > x.shape[0] else -x, "h > n"),
    ],
    ids=["parity", "truncated", "one", "two sizes"],
)
def test_a_branch_on_a_size_is_told(function: Any, told: Any) -> None:
    note, *_ = notes(trace(Function(function), torch.rand(3, 2, 6, 10), SIZES))
    assert told in note and "test_assumptions.py:" in note


def test_a_branch_told_as_a_bound_is_told_once() -> None:
    (note,) = notes(trace(Function(lambda x: x * 2 if x.shape[0] > 2 else x), torch.rand(3, 2, 6, 10), SIZES))
    assert note == "the graph holds where 'n' is at least 3"


def test_what_torch_asks_for_itself_is_not_told() -> Any:
    def attend(x: Any) -> Any:
        q = x.flatten(2)
        return F.scaled_dot_product_attention(q[None], q[None], q[None]) + q.view(q.shape[0], q.shape[1], -1)

    assert not notes(trace(Function(attend), torch.rand(3, 2, 6, 10), {"x": {0: "n"}}))
