"""LSTM, GRU and RNN stay one node per layer, for any length and batch, with the module's own weights."""
# mypy: allow-subclassing-any

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import graphopt
from graphopt.errors import TraceError
from graphopt.execute import Session
from graphopt.pytorch.signature import SIGNATURE_KEY


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (nn.LSTM, {}),
        (nn.LSTM, {"num_layers": 2, "bidirectional": True, "batch_first": True}),
        (nn.GRU, {"bias": False}),
        (nn.GRU, {"num_layers": 2, "bidirectional": True}),
        (nn.RNN, {"batch_first": True}),
        (nn.RNN, {"nonlinearity": "relu", "bidirectional": True}),
    ],
)
def test_one_node_per_layer_of_any_length(kind: Any, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    module = kind(4, 3, **options)
    model = graphopt.trace(module, torch.randn(5, 2, 4), {"input": {0: "a", 1: "b"}})
    whole = [node for node in model.graph if node.op_type == kind.__name__]
    assert len(whole) == options.get("num_layers", 1)
    for name, parameter in module.named_parameters():
        tensor = model.graph.initializers[name].const_value
        assert tensor is not None and tensor.numpy().ctypes.data == parameter.data_ptr()
    longer = torch.randn(7, 3, 4)
    found = model.meta[SIGNATURE_KEY].rebuild(Session(model).run({"input": longer.numpy()}))
    with torch.no_grad():
        expected = module(longer)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-6)
    last = (found[1], expected[1]) if kind is not nn.LSTM else (found[1][1], expected[1][1])
    np.testing.assert_allclose(*last, rtol=1e-5, atol=1e-6)


def test_states_given_and_half_precision() -> None:
    module = nn.LSTM(4, 3).half()
    states = (torch.randn(1, 2, 3).half(), torch.randn(1, 2, 3).half())
    model = graphopt.trace(module, (torch.randn(5, 2, 4).half(), states))
    assert [value.name for value in model.graph.inputs] == ["input", "hx.0", "hx.1"]
    assert model.graph.outputs[0].dtype is not None and model.graph.outputs[0].dtype.name == "FLOAT16"


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRU(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        outputs, _ = self.cell(pack_padded_sequence(x, torch.tensor([3, 2])))
        return outputs.data


def test_what_has_no_single_operator_is_refused() -> None:
    with pytest.raises(TraceError, match="the lengths of a PackedSequence are data") as caught:
        graphopt.trace(Packed(), torch.randn(3, 2, 4))
    assert caught.value.hint is not None and "padded" in caught.value.hint
    with pytest.raises(TraceError, match=r"projections \(proj_size\) cannot be traced"):
        graphopt.trace(nn.LSTM(4, 3, proj_size=2), torch.randn(3, 2, 4))
