"""Leave out the initial states of LSTM, GRU and RNN that are zero: that is what the standard assumes.

Exporters spell the zeros as a ConstantOfShape behind a chain of shape arithmetic, which dies with them.

    LSTM(x, w, r, b, , Slice(ConstantOfShape(...)), Slice(ConstantOfShape(...)))  ->  LSTM(x, w, r, b)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, constant, facts, op, rest, rule
from graphopt.pipeline import RewritePass

INITIAL_STATES = (5, 6)
"""The inputs initial_h and, of LSTM alone, initial_c."""

RECURRENCE = 2
"""The input R, by which the state is multiplied."""

LARGEST_STATE_ELEMENTS = 1 << 20
DEEPEST_CHAIN = 32


@rule(op(("LSTM", "GRU", "RNN"), rest("inputs"), name="node"))
def drop_zero_state(tape: Tape, node: ir.Node, inputs: tuple[ir.Value | None, ...]) -> tuple[ir.Value, ...]:
    """LSTM(..., h = 0, c = 0)  ->  LSTM(...)."""
    states = [index for index in INITIAL_STATES if index < len(inputs) and inputs[index] is not None]
    zero = [index for index in states if _is_zero(inputs[index])]
    if not zero:
        raise Reject("an initial state is not known to be zero" if states else "")
    recurrence = constant(inputs[RECURRENCE])
    if recurrence is not None and not np.isfinite(recurrence).all():
        raise Reject("zero states count: they are multiplied by weights that are not finite")
    kept = [None if index in zero else value for index, value in enumerate(inputs)]
    while kept[-1] is None:
        kept.pop()
    return tape.ops(node.op_type, kept, node.attributes, outputs=len(node.outputs))


def _is_zero(value: ir.Value | None, depth: int = DEEPEST_CHAIN) -> bool:
    """Whether every element is known to be zero, whatever the shape."""
    if value is None or depth == 0:
        return False
    producer = value.producer()
    if producer is None or producer.op_type == "Constant":
        array = constant(value)
        return array is not None and array.size <= LARGEST_STATE_ELEMENTS and _is_plus_zero(array)
    if producer.domain:
        return False
    if producer.op_type == "ConstantOfShape":
        fill = producer.attributes.get("value")
        return fill is None or _is_plus_zero(fill.as_tensor().numpy())
    if producer.op_type == "Concat":
        return all(_is_zero(part, depth - 1) for part in producer.inputs)
    return facts(producer).moves and _is_zero(producer.inputs[0], depth - 1)


def _is_plus_zero(array: np.ndarray[Any, np.dtype[Any]]) -> bool:
    """Whether all elements are 0.0; the sign of -0.0 may show in what is computed from it."""
    return not array.any() and not np.signbit(array).any()


@dataclass(frozen=True)
class DropZeroStates(RewritePass):
    """Leave out zero initial states of LSTM, GRU and RNN."""

    name: ClassVar[str] = "drop-zero-states"
    exact: ClassVar[bool] = True
    rules: ClassVar[tuple[Rule, ...]] = (drop_zero_state,)
