"""Move transposes to where they cancel, where a node absorbs them, or where the least is transposed.

Before: Conv - Transpose - Add - Relu - Transpose - Conv, as converters from channels-last frameworks write
it. After: Conv - Add - Relu - Conv, the constants transposed. The whole graph is looked at, through residual
Adds, Concats, reductions, reshapes: each node works in the order of axes for which the fewest bytes are
transposed in all, found by minimum cuts, and a rewrite only happens where it makes that sum smaller. Inputs
and outputs of a graph keep their order. Bodies of functions are left alone: they hold no initializers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Changes, Names, Reject, graph_and_bodies, opset
from graphopt.passes.layout._assign import assign
from graphopt.passes.layout._emit import emit
from graphopt.passes.layout._flow import Flow, Use
from graphopt.passes.layout._layout import OUTPUT, Builder
from graphopt.passes.layout._perms import compose, inverse
from graphopt.passes.operands import an
from graphopt.pipeline import Pass

MOVERS = ("Transpose", "Reshape")
MOST_ROUNDS = 16
"""Each makes a graph cheaper, so that there are few."""


@dataclass(frozen=True)
class SinkTransposes(Pass):
    """Move transposes through the whole graph to where they cancel, are absorbed or cost least."""

    name: ClassVar[str] = "sink-transposes"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        names = Names(model)
        for graph in graph_and_bodies(model.graph):
            if not any(node.op_type in MOVERS for node in graph):
                continue
            for _ in range(MOST_ROUNDS):
                flow = Flow(graph, opset(model))
                if not flow.transposes or not assign(flow):
                    break
                for node in flow.layouts:
                    changes.add(f"past {an(node.op_type)}")
                emit(flow, Builder(model, graph, names))
            for value, use in flow.unmet():
                changes.refuse(_reason(flow, value, use), _name(use))


def _reason(flow: Flow, value: ir.Value, use: Use) -> str:
    """Why a Transpose stays between who makes a value and who reads it."""
    made, wanted = flow.kept(value), flow.wanted(use)
    try:
        flow.layout_of(use.node, use.index, compose(inverse(use.perm), made))
        flow.layout_of(value.producer(), OUTPUT, wanted)
    except Reject as rejection:
        return f"{rejection}"
    return "in no other place would less be transposed"


def _name(use: Use) -> str | None:
    producer = use.value.producer()
    return use.value.name if producer is None else producer.name or use.value.name
