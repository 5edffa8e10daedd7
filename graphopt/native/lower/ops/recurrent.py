"""LSTM and GRU, of floats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphopt.ir import attribute_int, attribute_string
from graphopt.native.lower.forms import Form, Known, Stored
from graphopt.native.lower.scope import Scope, Unsupported, identity, known
from graphopt.native.lower.steps import Array, Dims, Value

_LENGTHS = 4


@dataclass(frozen=True)
class _Cell:
    """What is usual of an operator.

    Attributes:
        kind: Of its step.
        gates: So many.
        activations: Of one direction, in lower case.
        states: The inputs with what it begins with.
        peepholes: The input with these.
    """

    kind: str
    gates: int
    activations: tuple[str, ...]
    states: tuple[int, ...]
    peepholes: int | None = None


_LSTM = _Cell("lstm", 4, ("sigmoid", "tanh", "tanh"), (5, 6), 7)
_GRU = _Cell("gru", 3, ("sigmoid", "tanh"), (5,))


def lstm(scope: Scope) -> list[Form]:
    """LSTM with the usual activations, without peepholes."""
    return _recurrence(scope, _LSTM)


def gru(scope: Scope) -> list[Form]:
    """GRU with the usual activations, its reset before or behind the product."""
    return _recurrence(scope, _GRU, reset_behind=attribute_int(scope.node, "linear_before_reset", 0) == 1)


def _recurrence(scope: Scope, cell: _Cell, *, reset_behind: bool = False) -> list[Form]:
    if not scope.floats_too:
        raise Unsupported("it is in float")
    _refuse(scope, cell)
    attributes = _matrices(scope, cell, reset_behind)
    count, rows, _ = attributes["weights"].shape
    backward = attribute_string(scope.node, "direction", "forward") == "reverse"
    if backward:
        attributes["reverse"] = 1
    keep = _is_used(scope, 2)
    if keep:
        attributes["keep"] = 1
    given = [index for index in cell.states if not _none(scope, index)]
    if 0 < len(given) < len(cell.states):
        raise Unsupported("only one of the two states that it begins with")
    if len(scope.dims(0)) != 3:
        raise Unsupported(f"data of {len(scope.dims(0))} axes")
    states = [scope.floats_in(scope.form(index), identity(3)).value for index in given]
    x = scope.floats_in(scope.form(0), identity(3))
    length, batch, _ = x.dims
    dims: Dims = (length, count, batch, rows // cell.gates)
    made = dims
    if keep:
        made = (length + 1 if isinstance(length, int) else None, *dims[1:])
    y = scope.step(cell.kind, [x.value, *states], attributes, "f32", made)
    cells: list[Form] = []
    if keep:
        cells = [_part(scope, y, [-1] * count)]
        y = scope.step("slice", [y], {"axes": [0], "starts": [0], "ends": [-1]}, "f32", dims)
    last = _part(scope, y, [0 if backward or direction else -1 for direction in range(count)])
    return [Stored(y, identity(4)), last, *cells]


def _matrices(scope: Scope, cell: _Cell, reset_behind: bool) -> dict[str, Any]:
    weights, recurrence = _floats(scope, 1), _floats(scope, 2)
    if weights.ndim != 3:
        raise Unsupported(f"weights of {weights.ndim} axes")
    count, rows, _ = weights.shape
    # Of the weights, then of the recurrence.
    biases = np.zeros((count, 2, rows), np.float32)
    if scope.has(3):
        given = _floats(scope, 3)
        if given.shape != (count, 2 * rows):
            raise Unsupported(f"biases of shape {list(given.shape)}, not {[count, 2 * rows]}")
        biases += given.reshape(biases.shape)
    attributes: dict[str, Any] = {"weights": weights, "recurrence": recurrence}
    if reset_behind:  # together with the product
        of_product = biases[:, 1, -rows // cell.gates :]
        attributes["reset_bias"] = of_product.copy()
        of_product[:] = 0
    return {**attributes, "bias": biases.sum(axis=1)}


def _refuse(scope: Scope, cell: _Cell) -> None:
    node = scope.node
    if attribute_int(node, "layout", 0) or attribute_int(node, "input_forget", 0):
        raise Unsupported("a layout or gates that are not the usual ones")
    named = node.attributes.get("activations")
    given = tuple(name.lower() for name in named.as_strings()) if named is not None else ()
    if given not in ((), cell.activations, cell.activations * 2):
        raise Unsupported("other activations than Sigmoid and Tanh")
    if "clip" in node.attributes:
        raise Unsupported("gates that are clamped")
    if not _none(scope, _LENGTHS):
        raise Unsupported("sequences of lengths of their own")
    if cell.peepholes is not None and not _none(scope, cell.peepholes):
        raise Unsupported("peepholes")


def _none(scope: Scope, index: int) -> bool:
    """Whether an input is missing, or zeros."""
    if not scope.has(index):
        return True
    form = scope.form(index)
    return index != _LENGTHS and isinstance(form, Known) and not form.array.any()


def _floats(scope: Scope, index: int) -> Array:
    array = scope.array(index)
    if array.dtype != np.float32:
        raise Unsupported(f"weights of type {array.dtype}")
    return np.ascontiguousarray(array)


def _is_used(scope: Scope, index: int) -> bool:
    outputs = scope.node.outputs
    return index < len(outputs) and bool(outputs[index].uses() or outputs[index].is_graph_output())


def _part(scope: Scope, y: Value, places: Sequence[int]) -> Stored:
    """What lies at these places of `y`, one for each direction: [D, B, H]."""
    _, count, batch, size = y.dims
    parts = []
    for direction, place in enumerate(places):
        end = np.iinfo(np.int64).max if place == -1 else place + 1
        what = {"axes": [0, 1], "starts": [place, direction], "ends": [end, direction + 1]}
        parts.append(scope.step("slice", [y], what, "f32", (1, 1, batch, size)))
    ends = parts[0]
    if len(parts) > 1:
        ends = scope.step("concat", parts, {"axis": 1}, "f32", (1, count, batch, size))
    dims: Dims = (count, batch, size)
    if isinstance(batch, int):
        return Stored(scope.step("reshape", [ends], {"dims": list(dims)}, "f32", dims), identity(3))
    # Of no steps there is no last one: without its size, any batch would do.
    shape = scope.shape_of([len(parts), (y, 2), known(size)])
    return Stored(scope.step("reshape", [ends, shape], {"zeros": 1}, "f32", dims), identity(3))
