"""Recurrent layers: an element of the state has a row of every gate, and a column of the recurrence."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.ir import attribute_int
from graphopt.pruning.site import Axis, Site

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def recurrent(site: Site, node: ir.Node) -> None:
    """X [S, N, I], W [D, G H, I], R [D, G H, H], B [D, 2 G H] give Y [S, D, N, H] and states [D, N, H]."""
    inputs = [*node.inputs, *[None] * 8][:8]
    x, w, r, b, _, *states, peephole = inputs
    hidden = site.size(r, 2)
    if x is None or w is None or r is None or hidden is None or len(site.dims(x) or ()) != 3:
        return
    if attribute_int(node, "layout", 0) or any(site.dims(y) is None for y in node.outputs if y.name):
        return
    gates = GATES[node.op_type]
    all_of = np.tile(np.arange(hidden), gates)
    rows = np.arange(gates * hidden)
    columns = Axis(r, 2)
    site.link(node, Axis(w, 1), columns, rows, all_of)
    site.link(node, Axis(r, 1), columns, rows, all_of)
    if b is not None:
        site.link(node, Axis(b, 1), columns, np.arange(2 * gates * hidden), np.tile(all_of, 2))
    if peephole is not None and site.dims(peephole):
        site.link(node, Axis(peephole, 1), columns, np.arange(3 * hidden), np.tile(np.arange(hidden), 3))
    for value in (*states, *node.outputs):
        dims = site.dims(value)
        if value is not None and dims:
            site.link(node, columns, Axis(value, len(dims) - 1))
            site.link(node, Axis(x, 1), Axis(value, len(dims) - 2))
    if node.outputs and len(site.dims(node.outputs[0]) or ()) == 4:
        site.link(node, Axis(x, 0), Axis(node.outputs[0], 0))
    site.link(node, Axis(x, 2), Axis(w, 2))
    site.sink(node, Axis(x, 2), Axis(w, 2))
    state = node.outputs[0] if site.dims(node.outputs[0]) else node.outputs[1]
    site.sink(node, Axis(state, len(site.dims(state) or ()) - 1), columns)


RULES = dict.fromkeys(GATES, recurrent)
