"""LSTM, GRU and RNN: PyTorch's layer where its weights are found, else one call for all forms."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from torch import fx

from graphopt.ir import constant
from graphopt.pytorch import recurrent
from graphopt.pytorch.exporter.registry import translates
from graphopt.pytorch.exporter.site import Site
from graphopt.pytorch.functional import recurrent as functions

_GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
"""ONNX's gates in PyTorch's numbering."""

_ACTIVATIONS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}

# Defaults of alpha and beta, for the activations that have them.
_ALPHA = {
    "affine": 1.0,
    "leakyrelu": 0.01,
    "thresholdedrelu": 1.0,
    "scaledtanh": 1.0,
    "hardsigmoid": 0.2,
    "elu": 1.0,
}
_BETA = {"affine": 0.0, "scaledtanh": 1.0, "hardsigmoid": 0.5}


@translates("LSTM", "GRU", "RNN")
def layer(site: Site) -> list[fx.Node]:
    x = site.tensor(0)
    batch_first = bool(site.attribute("layout", 0))
    if batch_first:
        x = site.method("transpose", x, 0, 1)
    weights = _own_weights(site)
    results = _recurrence(site, x) if weights is None else _torch_layer(site, x, weights)
    if not batch_first:
        return results
    y = site.method("permute", results[0], 2, 0, 1, 3)
    return [y, *(site.method("transpose", state, 0, 1) for state in results[1:])]


def _torch_layer(site: Site, x: fx.Node, weights: list[fx.Node]) -> list[fx.Node]:
    kind, directions = site.node.op_type, _directions(site)
    states = [_state(site, x, index) for index in ((5, 6) if kind == "LSTM" else (5,))]
    form = {
        "has_biases": site.has(3),
        "num_layers": 1,
        "bidirectional": directions == 2,
        "batch_first": False,
    }
    if kind == "LSTM":
        found = site.call(recurrent.lstm, x, tuple(states), weights, **form)
    elif kind == "GRU":
        found = site.call(recurrent.gru, x, *states, weights, **form)
    else:
        nonlinearity = _activations(site)[0][0]
        found = site.call(recurrent.rnn, x, *states, weights, **form, nonlinearity=nonlinearity)
    y = site.item(found, 0)
    y = site.call(functions.by_direction, y, 2) if directions == 2 else site.method("unsqueeze", y, 1)
    return [y, *(site.item(found, 1 + index) for index in range(len(states)))]


def _recurrence(site: Site, x: fx.Node) -> list[fx.Node]:
    kind = site.node.op_type
    found = site.call(
        functions.recurrence,
        kind,
        x,
        site.tensor(1),
        site.tensor(2),
        b=site.optional(3),
        sequence_lens=site.optional(4),
        initial_h=_first_state(site, 5),
        initial_c=_first_state(site, 6),
        p=site.optional(7),
        direction=site.attribute("direction"),
        activations=_activations(site),
        clip=site.attribute("clip"),
        input_forget=True if site.attribute("input_forget", 0) else None,
        linear_before_reset=True if site.attribute("linear_before_reset", 0) else None,
    )
    return [site.item(found, index) for index in range(3 if kind == "LSTM" else 2)]


def _is_torch_layer(site: Site) -> bool:
    """Whether PyTorch's layer of that name computes the same."""
    forgets = bool(site.attribute("input_forget", 0))
    resets = bool(site.attribute("linear_before_reset", 0))
    if site.has(4) or site.has(7) or site.attribute("direction", "forward") == "reverse":
        return False
    return functions.is_torch_layer(
        site.node.op_type, _activations(site), site.attribute("clip"), forgets, resets
    )


def _directions(site: Site) -> int:
    return 2 if site.attribute("direction", "forward") == "bidirectional" else 1


def _state(site: Site, x: fx.Node, index: int) -> fx.Node:
    """The first state that input `index` gives, or zeros."""
    given = _first_state(site, index)
    if given is not None:
        return given
    hidden = site.attribute("hidden_size")
    if hidden is None:
        shape = site.shape(2)
        hidden = site.size(site.tensor(2), 2) if shape is None else shape[2]
    return site.call(functions.zero_state, x, _directions(site), hidden)


def _first_state(site: Site, index: int) -> fx.Node | None:
    given = site.optional(index)
    if given is None or not site.attribute("layout", 0):
        return given
    return site.method("transpose", given, 0, 1)


def _activations(site: Site) -> list[functions.Activation]:
    """Name (in lower case), alpha and beta of each activation of each direction."""
    names = site.attribute("activations") or list(_ACTIVATIONS[site.node.op_type]) * _directions(site)
    alphas = list(site.attribute("activation_alpha") or ())
    betas = list(site.attribute("activation_beta") or ())
    found = []
    for name in (name.lower() for name in names):
        alpha = alphas.pop(0) if name in _ALPHA and alphas else _ALPHA.get(name, 0.0)
        beta = betas.pop(0) if name in _BETA and betas else _BETA.get(name, 0.0)
        found.append((name, alpha, beta))
    return found


def _own_weights(site: Site) -> list[fx.Node] | None:
    """Weights that nodes before only put from PyTorch's order of gates into ONNX's; None if they are no such.

    So stand the layers of a traced module (`importer/recurrent.py`): its own parameters are found again.
    """
    if not _is_torch_layer(site):
        return None
    directions = _directions(site)
    columns = []
    for index, halves in ((1, 1), (2, 1), (3, 2)):
        value = site.node.inputs[index] if site.has(index) else None
        if value is None:
            continue
        parts = _joined_from(value, directions, axis=0)
        found = [_joined_from(part, halves, axis=1) for part in parts or ()]
        if not found or any(part is None for part in found):
            return None
        for half in range(halves):
            columns.append([_source(site, part[half]) for part in found if part is not None])
    values = [value for row in zip(*columns, strict=True) for value in row]
    if any(value is None for value in values):
        return None
    return [site.emitter.tensor(value) for value in values if value is not None]


def _joined_from(value: ir.Value, count: int, axis: int) -> list[ir.Value] | None:
    """The `count` values that `value` is a Concat of."""
    if count == 1:
        return [value]
    node = value.producer()
    if node is None or node.op_type != "Concat" or node.attributes["axis"].as_int() != axis:
        return None
    parts = [part for part in node.inputs if part is not None]
    return parts if len(parts) == count else None


def _source(site: Site, value: ir.Value) -> ir.Value | None:
    """The tensor in PyTorch's order, without the axis of directions, that `value` is made from."""
    node, gates = value.producer(), _GATES[site.node.op_type]
    if node is None or node.domain or len(node.inputs) < 2 or node.inputs[0] is None:
        return None
    operand = constant(node.inputs[1])
    if operand is None:
        return None
    if node.op_type == "Unsqueeze" and len(gates) == 1 and operand.tolist() == [0]:
        return node.inputs[0]
    axis = node.attributes.get("axis")
    if node.op_type != "Gather" or (axis is not None and axis.as_int() != 0) or operand.ndim != 2:
        return None
    wanted = np.arange(operand.size).reshape(len(gates), -1)[list(gates)].reshape(1, -1)
    return node.inputs[0] if np.array_equal(operand, wanted) else None
