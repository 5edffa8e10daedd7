"""Make Constant nodes initializers, so that every constant of a graph stands in one place.

Before: `c = Constant <value = ...> ()`; after: `c` is an initializer. Constants in functions (which hold no
initializers), sparse ones and graph outputs stay nodes, and so do all before IR version 4, where files hold
no initializers that are not inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Changes, constant_node_tensor, graphs, is_constant_node, remove_node
from graphopt.ir.edit import function_graphs, make_constant
from graphopt.passes.cleanup.freeze_initializers import FIRST_IR_VERSION
from graphopt.pipeline import Pass


@dataclass(frozen=True)
class LiftConstants(Pass):
    """Make Constant nodes initializers of their graph."""

    name: ClassVar[str] = "lift-constants"
    exact: ClassVar[bool] = True

    def apply(self, model: ir.Model, changes: Changes) -> None:
        if model.ir_version < FIRST_IR_VERSION:
            return
        skipped = function_graphs(model)
        for graph in graphs(model):
            if graph in skipped:
                continue
            for node in list(graph):
                if is_constant_node(node):
                    _lift(node, changes)


def _lift(node: ir.Node, changes: Changes) -> None:
    tensor = constant_node_tensor(node)
    if tensor is None:
        changes.refuse("a sparse tensor stays a node", node.name)
    elif node.outputs[0].is_graph_output():
        changes.refuse("a graph output stays a node", node.name)
    else:
        make_constant(node.outputs[0], tensor)
        remove_node(node)
        changes.add("Constant to initializer")
