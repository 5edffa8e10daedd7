"""The ONNX form of the recurrent operators of `graphopt.pytorch.recurrent`: one node per layer.

The weights stay the module's own: gates are put in ONNX's order by nodes, which a pass may fold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from onnxscript import opset18 as op

from graphopt.pytorch import recurrent

_GATES = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn_tanh": (0,), "rnn_relu": (0,)}
"""ONNX's gates in torch's numbering: iofc of ifgo, zrh of rzn."""


def translations() -> Mapping[Callable[..., Any], Callable[..., Any]]:
    """Translation of each operator, for `torch.onnx.export(custom_translation_table=...)`."""
    assert recurrent  # its import defines the operators
    table: dict[str, Callable[..., Any]] = {
        "lstm": _lstm,
        "gru": _gru,
        "rnn_tanh": _rnn_tanh,
        "rnn_relu": _rnn_relu,
    }
    return {getattr(torch.ops.graphopt, name).default: function for name, function in table.items()}


def _lstm(
    input: Any,
    h0: Any,
    c0: Any,
    weights: Any,
    has_biases: Any,
    num_layers: Any,
    bidirectional: Any,
    batch_first: Any,
) -> Any:
    return _layers("lstm", input, (h0, c0), weights, has_biases, num_layers, bidirectional, batch_first)


def _gru(
    input: Any, h0: Any, weights: Any, has_biases: Any, num_layers: Any, bidirectional: Any, batch_first: Any
) -> Any:
    return _layers("gru", input, (h0,), weights, has_biases, num_layers, bidirectional, batch_first)


def _rnn_tanh(
    input: Any, h0: Any, weights: Any, has_biases: Any, num_layers: Any, bidirectional: Any, batch_first: Any
) -> Any:
    return _layers("rnn_tanh", input, (h0,), weights, has_biases, num_layers, bidirectional, batch_first)


def _rnn_relu(
    input: Any, h0: Any, weights: Any, has_biases: Any, num_layers: Any, bidirectional: Any, batch_first: Any
) -> Any:
    return _layers("rnn_relu", input, (h0,), weights, has_biases, num_layers, bidirectional, batch_first)


def _layers(
    kind: str,
    x: Any,
    states: Sequence[Any],
    weights: Sequence[Any],
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Any, ...]:
    directions = 2 if bidirectional else 1
    per_direction = 4 if has_biases else 2
    groups = [weights[i : i + per_direction] for i in range(0, len(weights), per_direction)]
    hidden = int(weights[1].shape[1])
    if batch_first:
        x = op.Transpose(x, perm=[1, 0, 2])
    last: list[list[Any]] = [[] for _ in states]
    for layer in range(num_layers):
        start = layer * directions
        packed = [_packed(kind, group, hidden) for group in groups[start : start + directions]]
        w, r, b = (_joined([one[part] for one in packed]) for part in range(3))
        first = [_slice(state, start, directions, num_layers) for state in states]
        y, *finals = _node(kind, x, w, r, b, first, hidden, bidirectional)
        for known, final in zip(last, finals, strict=True):
            known.append(final)
        if bidirectional:
            x = op.Reshape(op.Transpose(y, perm=[0, 2, 1, 3]), _ints(0, 0, -1))
        else:
            x = op.Squeeze(y, _ints(1))
    if batch_first:
        x = op.Transpose(x, perm=[1, 0, 2])
    return (x, *(known[0] if num_layers == 1 else op.Concat(*known, axis=0) for known in last))


def _node(
    kind: str, x: Any, w: Any, r: Any, b: Any, first: Sequence[Any], hidden: int, bidirectional: bool
) -> tuple[Any, ...]:
    options: dict[str, Any] = {
        "hidden_size": hidden,
        "direction": "bidirectional" if bidirectional else "forward",
    }
    if kind == "lstm":
        return tuple(op.LSTM(x, w, r, b, None, *first, **options))
    if kind == "gru":
        return tuple(op.GRU(x, w, r, b, None, *first, linear_before_reset=1, **options))
    activation = "Relu" if kind == "rnn_relu" else "Tanh"
    activations = [activation] * (2 if bidirectional else 1)
    return tuple(op.RNN(x, w, r, b, None, *first, activations=activations, **options))


def _packed(kind: str, group: Sequence[Any], hidden: int) -> tuple[Any, Any, Any]:
    """Weights of one direction in ONNX's order of gates, with the axis of directions in front."""
    gates = _GATES[kind]
    rows = np.concatenate([np.arange(gate * hidden, (gate + 1) * hidden) for gate in gates])
    w, r, *biases = (
        op.Gather(weight, _constant(rows[None]), axis=0) if len(gates) > 1 else op.Unsqueeze(weight, _ints(0))
        for weight in group
    )
    return w, r, op.Concat(*biases, axis=1) if biases else None


def _joined(parts: Sequence[Any]) -> Any:
    if parts[0] is None or len(parts) == 1:
        return parts[0]
    return op.Concat(*parts, axis=0)


def _slice(state: Any, start: int, directions: int, num_layers: int) -> Any:
    if num_layers == 1:
        return state
    return op.Slice(state, _ints(start), _ints(start + directions), _ints(0))


def _ints(*values: int) -> Any:
    return _constant(np.array(values, dtype=np.int64))


def _constant(array: np.ndarray[Any, Any]) -> Any:
    return op.Constant(value=ir.tensor(array.astype(np.int64)))
