"""LSTM, GRU and RNN as single operators, which torch.export would unroll into one cell per time step.

The functions compute what torch's do; inside `kept_whole` a capture sees each call as one operator of the
namespace `graphopt`, with any sequence length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from graphopt.errors import TraceError

_NAMES = {torch.lstm: "lstm", torch.gru: "gru", torch.rnn_tanh: "rnn_tanh", torch.rnn_relu: "rnn_relu"}
_OPTIONS = "bool has_biases, int num_layers, bool bidirectional, bool batch_first"


def lstm(
    input: torch.Tensor,
    hx: Sequence[torch.Tensor],
    weights: Sequence[torch.Tensor],
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A stack of LSTM layers, without dropout, as `torch.nn.LSTM` runs it.

    Args:
        input: (time, batch, features), or (batch, time, features) with `batch_first`.
        hx: First hidden and cell state, each (layers * directions, batch, hidden).
        weights: For each layer and direction `w_ih`, `w_hh` and, with `has_biases`, `b_ih`, `b_hh`; rows in
            torch's order of gates: input, forget, cell, output.
        has_biases: Whether `weights` holds biases.
        num_layers: Number of layers.
        bidirectional: Two directions per layer.
        batch_first: The layout of `input` and of the output.

    Returns:
        The outputs of the last layer, (time, batch, directions * hidden), and the last hidden and cell state.
    """
    result: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = torch.lstm(
        input, tuple(hx), list(weights), has_biases, num_layers, 0.0, False, bidirectional, batch_first
    )
    return result


def gru(
    input: torch.Tensor,
    hx: torch.Tensor,
    weights: Sequence[torch.Tensor],
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """A stack of GRU layers, as `lstm`; gates in the order reset, update, new. No cell state."""
    result: tuple[torch.Tensor, torch.Tensor] = torch.gru(
        input, hx, list(weights), has_biases, num_layers, 0.0, False, bidirectional, batch_first
    )
    return result


def rnn(
    input: torch.Tensor,
    hx: torch.Tensor,
    weights: Sequence[torch.Tensor],
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
    nonlinearity: str = "tanh",
) -> tuple[torch.Tensor, torch.Tensor]:
    """A stack of Elman layers, as `lstm`; `nonlinearity` is "tanh" or "relu". No cell state."""
    run = {"tanh": torch.rnn_tanh, "relu": torch.rnn_relu}[nonlinearity]
    result: tuple[torch.Tensor, torch.Tensor] = run(
        input, hx, list(weights), has_biases, num_layers, 0.0, False, bidirectional, batch_first
    )
    return result


class kept_whole(TorchFunctionMode):  # type: ignore[misc]
    """A context in which each recurrent call is recorded as one operator of the namespace `graphopt`.

    Raises:
        TraceError: a call has no single operator: it runs over a PackedSequence, has projections or dropout.
    """

    _depth = 0

    def __enter__(self) -> kept_whole:
        kept_whole._depth += 1
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        kept_whole._depth -= 1
        super().__exit__(*error)

    @classmethod
    def is_active(cls) -> bool:
        """Whether some such context is open."""
        return cls._depth > 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace a recurrent function; all others run as they are."""
        kwargs = kwargs or {}
        name = _NAMES.get(func)
        if name is None or kwargs or len(args) != 9:
            return func(*args, **kwargs)
        if isinstance(args[3], (list, tuple)):  # (data, batch_sizes, hx, weights, ...)
            raise TraceError(
                f"{name} over a PackedSequence cannot be traced: its lengths are data",
                hint="give the padded tensor, and mask the outputs behind each sequence's end",
            )
        input_, hx, weights, has_biases, layers, dropout, training, bidirectional, batch_first = args
        states = hx if name == "lstm" else (hx,)
        per_layer = (4 if has_biases else 2) * (2 if bidirectional else 1)
        if len(weights) != per_layer * layers:
            raise TraceError(
                f"{name} with projections (proj_size) cannot be traced: ONNX has no such operator",
                hint="leave proj_size out, and project the outputs with a Linear layer",
            )
        if training and dropout:
            raise TraceError(f"{name} with dropout in training cannot be traced", hint="pass training=False")
        operator = getattr(torch.ops.graphopt, name)
        return operator(input_, *states, list(weights), has_biases, layers, bidirectional, batch_first)


def _eager(name: str) -> Callable[..., tuple[torch.Tensor, ...]]:
    function = getattr(torch, name)

    def run(input: torch.Tensor, *rest: Any) -> tuple[torch.Tensor, ...]:
        *states, weights, has_biases, layers, bidirectional, batch_first = rest
        hx = tuple(states) if name == "lstm" else states[0]
        result = function(input, hx, weights, has_biases, layers, 0.0, False, bidirectional, batch_first)
        return tuple(result)

    return run


def _shapes(input: torch.Tensor, *rest: Any) -> tuple[torch.Tensor, ...]:
    *states, weights, _, _, bidirectional, _ = rest
    width = weights[1].shape[1] * (2 if bidirectional else 1)
    outputs = input.new_empty((*input.shape[:2], width))
    return (outputs, *(torch.empty_like(state) for state in states))


def _define(name: str) -> None:
    states = ["h0", "c0"] if name == "lstm" else ["h0"]
    tensors = ", ".join(f"Tensor {each}" for each in ("input", *states))
    results = ", ".join(["Tensor"] * (1 + len(states)))
    torch.library.define(f"graphopt::{name}", f"({tensors}, Tensor[] weights, {_OPTIONS}) -> ({results})")
    torch.library.impl(f"graphopt::{name}", "CompositeExplicitAutograd", _eager(name))
    torch.library.register_fake(f"graphopt::{name}", _shapes)


for _name in _NAMES.values():
    _define(_name)
