"""Arguments of other classes than torch's tensors, and arguments left out."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from graphopt.pytorch import trace  # noqa: E402


class Scaled(torch.nn.Module):
    def forward(self, x, factor=None):
        return x * 2 if factor is None else x * factor


class Named(torch.Tensor):
    """A class that computes as torch's own does."""


def test_a_tensor_of_a_plain_subclass_is_a_tensor():
    model = trace(Scaled(), torch.ones(2, 3).as_subclass(Named), {"x": {0: "n"}})
    assert [value.name for value in model.graph.inputs] == ["x"]


def test_no_dynamic_shape_may_be_said_of_an_argument_left_out():
    model = trace(Scaled(), torch.ones(2, 3), {"x": {0: "n"}, "factor": None})
    assert str(model.graph.inputs[0].shape) == "[n,3]"
