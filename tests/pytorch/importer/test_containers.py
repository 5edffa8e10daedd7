"""Arguments of other classes than torch's tensors, and arguments left out."""

from __future__ import annotations

from typing import Any

import torch

from graphopt.pytorch import trace


class Scaled(torch.nn.Module):  # type: ignore[misc]
    def forward(self, x: Any, factor: Any = None) -> Any:
        return x * 2 if factor is None else x * factor


class Named(torch.Tensor):  # type: ignore[misc]
    """A class that computes as torch's own does."""


def test_a_tensor_of_a_plain_subclass_is_a_tensor() -> None:
    model = trace(Scaled(), torch.ones(2, 3).as_subclass(Named), {"x": {0: "n"}})
    assert [value.name for value in model.graph.inputs] == ["x"]


def test_no_dynamic_shape_may_be_said_of_an_argument_left_out() -> None:
    model = trace(Scaled(), torch.ones(2, 3), {"x": {0: "n"}, "factor": None})
    assert str(model.graph.inputs[0].shape) == "[n,3]"
