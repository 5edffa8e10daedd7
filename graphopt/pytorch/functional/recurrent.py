"""Recurrent layers as ONNX defines them: weights in PyTorch's order, and a loop where PyTorch has no such layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F

Activation: TypeAlias = "tuple[str, float, float]"
"""The name of an activation, its alpha and its beta."""

_GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""PyTorch's gates in ONNX's numbering: ifgo of iofg, rzn of zrn."""


def torch_weights(
    kind: str, w: torch.Tensor, r: torch.Tensor, b: torch.Tensor | None = None
) -> list[torch.Tensor]:
    """The weights of an LSTM, GRU or RNN as `torch.lstm` takes them.

    Args:
        kind: "LSTM", "GRU" or "RNN".
        w: (directions, gates * hidden, features).
        r: (directions, gates * hidden, hidden).
        b: (directions, 2 * gates * hidden) or None.
    """
    order = _GATES[kind]
    biases = [] if b is None else b.chunk(2, dim=1)
    parts = [_reordered(each, order) for each in (w, r, *biases)]
    return [part[direction] for direction in range(w.shape[0]) for part in parts]


def _reordered(weight: torch.Tensor, order: Sequence[int]) -> torch.Tensor:
    if len(order) == 1:
        return weight
    gates = weight.chunk(len(order), dim=1)
    return torch.cat([gates[gate] for gate in order], dim=1)


def zero_state(x: torch.Tensor, directions: int, hidden: int, batch_dim: int = 1) -> torch.Tensor:
    """The state before the first step: (directions, batch, hidden)."""
    return x.new_zeros(directions, x.shape[batch_dim], hidden)


def by_direction(y: torch.Tensor, directions: int) -> torch.Tensor:
    """(time, batch, directions * hidden) as (time, directions, batch, hidden)."""
    if directions == 1:
        return y.unsqueeze(1)
    return y.unflatten(2, (directions, -1)).transpose(1, 2)


def recurrence(
    kind: str,
    x: torch.Tensor,
    w: torch.Tensor,
    r: torch.Tensor,
    b: torch.Tensor | None = None,
    sequence_lens: torch.Tensor | None = None,
    initial_h: torch.Tensor | None = None,
    initial_c: torch.Tensor | None = None,
    p: torch.Tensor | None = None,
    *,
    direction: str = "forward",
    activations: Sequence[Activation],
    clip: float | None = None,
    input_forget: bool = False,
    linear_before_reset: bool = False,
) -> tuple[torch.Tensor, ...]:
    """An LSTM, GRU or RNN of any form that ONNX has, step by step.

    Args:
        kind: "LSTM", "GRU" or "RNN".
        x: (time, batch, features).
        w: (directions, gates * hidden, features), gates in ONNX's order.
        r: (directions, gates * hidden, hidden).
        b: (directions, 2 * gates * hidden) or None.
        sequence_lens: (batch), the steps of each sequence; the outputs behind are zero.
        initial_h: (directions, batch, hidden) or None for zeros.
        initial_c: The same for an LSTM's cells.
        p: (directions, 3 * hidden), an LSTM's peepholes: input, output, forget.
        direction: "forward", "reverse" or "bidirectional".
        activations: Those of each direction.
        clip: The largest absolute value of what activations are applied to.
        input_forget: Whether an LSTM forgets as much as it does not take in.
        linear_before_reset: Whether a GRU resets after the product with `r`.

    Returns:
        Outputs (time, directions, batch, hidden), the last hidden states (directions, batch, hidden), and an
        LSTM's last cells.
    """
    directions, hidden = w.shape[0], r.shape[2]
    per_direction = len(activations) // directions
    outputs, last = [], []
    for d in range(directions):
        given = [initial_h, initial_c] if kind == "LSTM" else [initial_h]
        first = x.new_zeros(x.shape[1], hidden)
        states = tuple(first if state is None else state[d] for state in given)
        functions = [_activation(each) for each in activations[d * per_direction :][:per_direction]]
        biases = (None, None) if b is None else b[d].chunk(2)
        peepholes = None if p is None else p[d].chunk(3)
        projected = F.linear(x, w[d], biases[0])

        def step(
            gates: torch.Tensor, states: tuple[torch.Tensor, ...], d: int = d, bias: Any = biases[1]
        ) -> tuple[torch.Tensor, ...]:
            if kind == "LSTM":
                total = gates + F.linear(states[0], r[d], bias)
                return _lstm_step(total, states, functions, peepholes, clip, input_forget)  # noqa: B023
            if kind == "GRU":
                return _gru_step(gates, states[0], r[d], bias, functions, clip, linear_before_reset)  # noqa: B023
            return (functions[0](_clipped(gates + F.linear(states[0], r[d], bias), clip)),)  # noqa: B023

        backward = direction == "reverse" or d == 1
        found, states = _run(projected, states, step, sequence_lens, backward)
        outputs.append(found)
        last.append(states)
    return torch.stack(outputs, 1), *(torch.stack(each) for each in zip(*last, strict=True))


def _run(
    x: torch.Tensor,
    states: tuple[torch.Tensor, ...],
    step: Callable[..., tuple[torch.Tensor, ...]],
    sequence_lens: torch.Tensor | None,
    backward: bool,
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """The outputs (time, batch, hidden) and last states of one direction; sequences that ended keep theirs."""
    steps = list(enumerate(x.unbind(0)))
    outputs: list[torch.Tensor] = []
    for t, gates in reversed(steps) if backward else steps:
        new = step(gates, states)
        if sequence_lens is None:
            outputs.append(new[0])
        else:
            runs = (sequence_lens > t).unsqueeze(1)
            new = tuple(torch.where(runs, n, old) for n, old in zip(new, states, strict=True))
            outputs.append(torch.where(runs, new[0], 0.0))
        states = new
    return torch.stack(outputs[::-1] if backward else outputs), states


def _lstm_step(
    gates: torch.Tensor,
    states: tuple[torch.Tensor, ...],
    functions: Sequence[Callable[..., torch.Tensor]],
    peepholes: Sequence[torch.Tensor] | None,
    clip: float | None,
    input_forget: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    gate, candidate, output = functions
    i, o, f, g = gates.chunk(4, dim=1)
    cell = states[1]
    if peepholes is not None:
        i, f = i + peepholes[0] * cell, f + peepholes[2] * cell
    i = gate(_clipped(i, clip))
    f = 1 - i if input_forget else gate(_clipped(f, clip))
    cell = f * cell + i * candidate(_clipped(g, clip))
    if peepholes is not None:
        o = o + peepholes[1] * cell
    return gate(_clipped(o, clip)) * output(cell), cell


def _gru_step(
    gates: torch.Tensor,
    hidden: torch.Tensor,
    r: torch.Tensor,
    bias: torch.Tensor | None,
    functions: Sequence[Callable[..., torch.Tensor]],
    clip: float | None,
    linear_before_reset: bool,
) -> tuple[torch.Tensor]:
    gate, candidate = functions
    size = hidden.shape[1]
    inner, inner_new = gates[:, : 2 * size], gates[:, 2 * size :]
    bias_gates, bias_new = (None, None) if bias is None else (bias[: 2 * size], bias[2 * size :])
    inner = inner + F.linear(hidden, r[: 2 * size], bias_gates)
    z, reset = gate(_clipped(inner, clip)).chunk(2, dim=1)
    if linear_before_reset:
        new = inner_new + reset * F.linear(hidden, r[2 * size :], bias_new)
    else:
        new = inner_new + F.linear(reset * hidden, r[2 * size :], bias_new)
    return ((1 - z) * candidate(_clipped(new, clip)) + z * hidden,)


def _clipped(x: torch.Tensor, clip: float | None) -> torch.Tensor:
    return x if clip is None else x.clamp(-clip, clip)


def _activation(given: Activation) -> Callable[[torch.Tensor], torch.Tensor]:
    name, alpha, beta = given
    return lambda x: _ACTIVATIONS[name.lower()](x, alpha, beta)


_ACTIVATIONS: dict[str, Callable[[torch.Tensor, float, float], torch.Tensor]] = {
    "sigmoid": lambda x, alpha, beta: torch.sigmoid(x),
    "tanh": lambda x, alpha, beta: torch.tanh(x),
    "relu": lambda x, alpha, beta: torch.relu(x),
    "affine": lambda x, alpha, beta: alpha * x + beta,
    "leakyrelu": lambda x, alpha, beta: F.leaky_relu(x, alpha),
    "thresholdedrelu": lambda x, alpha, beta: F.threshold(x, alpha, 0.0),
    "scaledtanh": lambda x, alpha, beta: alpha * torch.tanh(beta * x),
    "hardsigmoid": lambda x, alpha, beta: (alpha * x + beta).clamp(0, 1),
    "elu": lambda x, alpha, beta: F.elu(x, alpha),
    "softsign": lambda x, alpha, beta: F.softsign(x),
    "softplus": lambda x, alpha, beta: F.softplus(x),
}
