"""Recurrent layers, with any of their optional inputs left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import recipe
from graphopt.testing.generate.recipes._parts import has_attribute, typed

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


@recipe("LSTM", "GRU", "RNN", weight=6)
def recurrent(b: Builder, op_type: str) -> None:
    """One direction or two; bias, lengths and states given or not, states also zero."""
    x = typed(b, ir.DataType.FLOAT, 3)
    hidden = b.choices.choose((2, 1, 3))
    direction = b.choices.weighted(("forward", "bidirectional", "reverse"), (4, 2, 1))
    ways, rows = (2 if direction == "bidirectional" else 1), GATES[op_type] * hidden
    length, batch, width = x.shape
    weights = [b.floats([ways, rows, width]), b.floats([ways, rows, hidden])]
    bias = _maybe(b, [ways, 2 * rows])
    lengths = b.ints([length] * batch, ir.DataType.INT32) if b.choices.chance(0.2) else None
    states = [_maybe(b, [ways, batch, hidden]) for _ in range(2 if op_type == "LSTM" else 1)]
    peepholes = [_maybe(b, [ways, 3 * hidden], 0.2)] if op_type == "LSTM" else []
    more: dict[str, Any] = {"hidden_size": hidden, "direction": direction}
    if has_attribute(b, op_type, "linear_before_reset") and b.choices.chance(0.5):
        more["linear_before_reset"] = 1
    outputs = b.choices.integer(1, 3 if op_type == "LSTM" else 2)
    b.op(op_type, x, *weights, bias, lengths, *states, *peepholes, outputs=outputs, **more)


def _maybe(b: Builder, shape: list[int], probability: float = 0.5) -> Known | None:
    if not b.choices.chance(probability):
        return None
    return b.constant(np.zeros(shape, np.float32)) if b.choices.chance(0.4) else b.floats(shape)
