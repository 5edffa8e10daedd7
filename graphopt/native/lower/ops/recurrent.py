"""LSTM, of floats."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.ir import attribute_int, attribute_string
from graphopt.native.lower.forms import Form, Known, Stored
from graphopt.native.lower.scope import Scope, Unsupported, identity
from graphopt.native.lower.steps import Array, Value

_ACTIVATIONS = ("Sigmoid", "Tanh", "Tanh")


def lstm(scope: Scope) -> list[Form]:
    """LSTM with the usual activations, without peepholes; what it remembers in the end is not told."""
    node = scope.node
    if not scope.floats_too:
        raise Unsupported("it is in float")
    _refuse(scope)
    weights, recurrence = _floats(scope, 1), _floats(scope, 2)
    bias = np.zeros((len(weights), weights.shape[1]), np.float32)
    if scope.has(3):
        # Of weights, then of the recurrence.
        bias += _floats(scope, 3).reshape(len(weights), 2, -1).sum(axis=1)
    attributes: dict[str, Any] = {"weights": weights, "recurrence": recurrence, "bias": bias}
    backward = attribute_string(node, "direction", "forward") == "reverse"
    if backward:
        attributes["reverse"] = 1
    given = [index for index in (5, 6) if not _none(scope, index)]
    if len(given) == 1:
        raise Unsupported("only one of the two states that it begins with")
    states = [scope.floats_in(scope.form(index), identity(3)).value for index in given]
    x = scope.floats_in(scope.form(0), identity(3))
    length, batch, _ = x.dims
    size = weights.shape[1] // 4
    inputs = [x.value, *states]
    y = scope.step("lstm", inputs, attributes, "f32", (length, len(weights), batch, size))
    forms: list[Form] = [Stored(y, identity(4))]
    if len(node.outputs) > 1:
        forms.append(_last(scope, y, backward))
    return forms


def _refuse(scope: Scope) -> None:
    node = scope.node
    if any(value.uses() or value.is_graph_output() for value in node.outputs[2:]):
        raise Unsupported("the cell state in the end")
    if attribute_int(node, "layout", 0) or attribute_int(node, "input_forget", 0):
        raise Unsupported("a layout or gates that are not the usual ones")
    named = node.attributes.get("activations")
    given = [name.lower() for name in named.as_strings()] if named is not None else []
    usual = [name.lower() for name in _ACTIVATIONS]
    if given not in ([], usual, usual * 2):
        raise Unsupported("other activations than Sigmoid and Tanh")
    if "clip" in node.attributes:
        raise Unsupported("gates that are clamped")
    if not _none(scope, 4):
        raise Unsupported("sequences of lengths of their own")
    if not _none(scope, 7):
        raise Unsupported("peepholes")


def _none(scope: Scope, index: int) -> bool:
    """Whether an input is missing, or zeros."""
    if not scope.has(index):
        return True
    form = scope.form(index)
    return index != 4 and isinstance(form, Known) and not form.array.any()


def _floats(scope: Scope, index: int) -> Array:
    array = scope.array(index)
    if array.dtype != np.float32:
        raise Unsupported(f"weights of type {array.dtype}")
    return np.ascontiguousarray(array)


def _last(scope: Scope, y: Value, backward: bool) -> Stored:
    """What each direction, [D, B, H], gives in the end: forward the last of its steps, backward the first."""
    _, count, batch, size = y.dims
    assert isinstance(count, int)
    parts = []
    for direction in range(count):
        first = backward or direction == 1
        what = {
            "axes": [0, 1],
            "starts": [0 if first else -1, direction],
            "ends": [1 if first else np.iinfo(np.int64).max, direction + 1],
        }
        parts.append(scope.step("slice", [y], what, "f32", (1, 1, batch, size)))
    ends = parts[0]
    if count > 1:
        ends = scope.step("concat", parts, {"axis": 1}, "f32", (1, count, batch, size))
    shape = [count, batch if isinstance(batch, int) else -1, size]
    return Stored(scope.step("reshape", [ends], {"dims": shape}, "f32", (count, batch, size)), identity(3))
