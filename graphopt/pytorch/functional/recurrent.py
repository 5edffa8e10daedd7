"""Recurrent layers as ONNX defines them, by PyTorch's layers or by a loop over the steps.

A capture that keeps layers whole sees one operator, `graphopt::recurrence`, with any number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F

from graphopt.pytorch.recurrent import gru, kept_whole, lstm, rnn

Activation: TypeAlias = "tuple[str, float, float]"
"""The name of an activation, its alpha and its beta."""

_GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}
"""PyTorch's gates in ONNX's numbering: ifgo of iofg, rzn of zrn."""


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
    """An LSTM, GRU or RNN of any form that ONNX has: by PyTorch's layer, or step by step.

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
    is_plain = sequence_lens is None and p is None and not kept_whole.is_active()
    if is_plain and is_torch_layer(kind, activations, clip, input_forget, linear_before_reset):
        return _torch_layer(kind, x, w, r, b, initial_h, initial_c, direction, activations[0][0])
    operands = (x, w, r, b, sequence_lens, initial_h, initial_c, p)
    names, alphas, betas = zip(*activations, strict=True)
    run = torch.ops.graphopt.recurrence if kept_whole.is_active() else _recurrence
    results: tuple[torch.Tensor, ...] = run(
        kind, *operands, direction, names, alphas, betas, clip, input_forget, linear_before_reset
    )
    return results if kind == "LSTM" else results[:2]


def is_torch_layer(
    kind: str,
    activations: Sequence[Activation],
    clip: float | None,
    input_forget: bool,
    linear_before_reset: bool,
) -> bool:
    """Whether PyTorch's layer of that kind computes the same, where all sequences have all steps."""
    names = [name for name, _, _ in activations]
    if clip is not None or input_forget:
        return False
    if kind == "RNN":
        return len(set(names)) == 1 and names[0] in ("tanh", "relu")
    wanted = ["sigmoid", "tanh", "tanh"] if kind == "LSTM" else ["sigmoid", "tanh"]
    return names == wanted * (len(names) // len(wanted)) and (kind == "LSTM" or linear_before_reset)


def by_direction(y: torch.Tensor, directions: int) -> torch.Tensor:
    """(time, batch, directions * hidden) as (time, directions, batch, hidden)."""
    return y.unflatten(2, (directions, -1)).transpose(1, 2)


def zero_state(x: torch.Tensor, directions: int, hidden: int) -> torch.Tensor:
    """The state before the first step: (directions, batch, hidden)."""
    return x.new_zeros(directions, x.shape[1], hidden)


def _torch_layer(
    kind: str,
    x: torch.Tensor,
    w: torch.Tensor,
    r: torch.Tensor,
    b: torch.Tensor | None,
    initial_h: torch.Tensor | None,
    initial_c: torch.Tensor | None,
    direction: str,
    nonlinearity: str,
) -> tuple[torch.Tensor, ...]:
    """`recurrence` by PyTorch's layers."""
    directions = w.shape[0]
    if direction == "reverse":
        x = x.flip(0)
    zeros = zero_state(x, directions, r.shape[2])
    h, c = (zeros if state is None else state for state in (initial_h, initial_c))
    weights = _torch_weights(kind, w, r, b)
    form = (weights, b is not None, 1, directions == 2, False)
    if kind == "LSTM":
        y, *states = lstm(x, (h, c), *form)
    elif kind == "GRU":
        y, *states = gru(x, h, *form)
    else:
        y, *states = rnn(x, h, *form, nonlinearity)
    if direction == "reverse":
        y = y.flip(0)
    return by_direction(y, directions), *states


def _torch_weights(kind: str, w: torch.Tensor, r: torch.Tensor, b: torch.Tensor | None) -> list[torch.Tensor]:
    """The weights of each direction in PyTorch's order of gates."""
    order = _GATES[kind]
    biases = [] if b is None else b.chunk(2, dim=1)
    parts = []
    for weight in (w, r, *biases):
        gates = weight.chunk(len(order), dim=1)
        parts.append(torch.cat([gates[gate] for gate in order], dim=1))
    return [part[direction] for direction in range(w.shape[0]) for part in parts]


def _recurrence(
    kind: str,
    x: torch.Tensor,
    w: torch.Tensor,
    r: torch.Tensor,
    b: torch.Tensor | None,
    sequence_lens: torch.Tensor | None,
    initial_h: torch.Tensor | None,
    initial_c: torch.Tensor | None,
    p: torch.Tensor | None,
    direction: str,
    names: Sequence[str],
    alphas: Sequence[float],
    betas: Sequence[float],
    clip: float | None,
    input_forget: bool,
    linear_before_reset: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The loop itself; without cells the last result is empty."""
    directions, hidden = w.shape[0], r.shape[2]
    activations = [_activation(*each) for each in zip(names, alphas, betas, strict=True)]
    per_direction = len(activations) // directions
    outputs, last = [], []
    for d in range(directions):
        functions = activations[d * per_direction : (d + 1) * per_direction]
        first = x.new_zeros(x.shape[1], hidden)
        given = (initial_h, initial_c) if kind == "LSTM" else (initial_h,)
        states = tuple(first if state is None else state[d] for state in given)
        biases = (None, None) if b is None else b[d].chunk(2)
        if kind == "LSTM":
            peepholes = None if p is None else p[d].chunk(3)
            step = partial(_lstm_step, functions=functions, peepholes=peepholes, input_forget=input_forget)
        elif kind == "GRU":
            step = partial(_gru_step, functions=functions, linear_before_reset=linear_before_reset)
        else:
            step = partial(_rnn_step, functions=functions)
        step = partial(step, r=r[d], bias=biases[1], clip=clip)
        backward = direction == "reverse" or d == 1
        found, states = _run(F.linear(x, w[d], biases[0]), states, step, sequence_lens, backward)
        outputs.append(found)
        last.append(states)
    h, *c = (torch.stack(each) for each in zip(*last, strict=True))
    return torch.stack(outputs, 1), h, c[0] if c else x.new_empty(0)


def _run(
    x: torch.Tensor,
    states: tuple[torch.Tensor, ...],
    step: Callable[..., tuple[torch.Tensor, ...]],
    sequence_lens: torch.Tensor | None,
    backward: bool,
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Outputs (time, batch, hidden) and last states of one direction; sequences that ended keep theirs."""
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
    *,
    r: torch.Tensor,
    bias: torch.Tensor | None,
    functions: Sequence[Callable[[torch.Tensor], torch.Tensor]],
    peepholes: Sequence[torch.Tensor] | None,
    clip: float | None,
    input_forget: bool,
) -> tuple[torch.Tensor, ...]:
    gate, candidate, output = functions
    hidden, cell = states
    i, o, f, g = (gates + F.linear(hidden, r, bias)).chunk(4, dim=1)
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
    states: tuple[torch.Tensor, ...],
    *,
    r: torch.Tensor,
    bias: torch.Tensor | None,
    functions: Sequence[Callable[[torch.Tensor], torch.Tensor]],
    clip: float | None,
    linear_before_reset: bool,
) -> tuple[torch.Tensor, ...]:
    gate, candidate = functions
    (hidden,) = states
    split = 2 * hidden.shape[1]
    bias_gates, bias_new = (None, None) if bias is None else (bias[:split], bias[split:])
    inner = gates[:, :split] + F.linear(hidden, r[:split], bias_gates)
    z, reset = gate(_clipped(inner, clip)).chunk(2, dim=1)
    if linear_before_reset:
        new = gates[:, split:] + reset * F.linear(hidden, r[split:], bias_new)
    else:
        new = gates[:, split:] + F.linear(reset * hidden, r[split:], bias_new)
    return ((1 - z) * candidate(_clipped(new, clip)) + z * hidden,)


def _rnn_step(
    gates: torch.Tensor,
    states: tuple[torch.Tensor, ...],
    *,
    r: torch.Tensor,
    bias: torch.Tensor | None,
    functions: Sequence[Callable[[torch.Tensor], torch.Tensor]],
    clip: float | None,
) -> tuple[torch.Tensor, ...]:
    return (functions[0](_clipped(gates + F.linear(states[0], r, bias), clip)),)


def _clipped(x: torch.Tensor, clip: float | None) -> torch.Tensor:
    return x if clip is None else x.clamp(-clip, clip)


def _activation(name: str, alpha: float, beta: float) -> Callable[[torch.Tensor], torch.Tensor]:
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


def _shapes(
    kind: str, x: torch.Tensor, w: torch.Tensor, r: torch.Tensor, *_: Any
) -> tuple[torch.Tensor, ...]:
    state = x.new_empty(w.shape[0], x.shape[1], r.shape[2])
    cells = torch.empty_like(state) if kind == "LSTM" else x.new_empty(0)
    return x.new_empty(x.shape[0], *state.shape), state, cells


torch.library.define(
    "graphopt::recurrence",
    "(str kind, Tensor x, Tensor w, Tensor r, Tensor? b, Tensor? sequence_lens, Tensor? initial_h,"
    " Tensor? initial_c, Tensor? p, str direction, str[] names, float[] alphas, float[] betas, float? clip,"
    " bool input_forget, bool linear_before_reset) -> (Tensor, Tensor, Tensor)",
)
torch.library.impl("graphopt::recurrence", "CompositeExplicitAutograd", _recurrence)
torch.library.register_fake("graphopt::recurrence", _shapes)
