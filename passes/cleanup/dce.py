"""Remove what no output needs: nodes, unused node outputs, initializers and functions.

Graph inputs stay: they are the interface. A node of an unknown operator goes only when nothing uses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Changes, graphs, opset, remove_node
from graphopt.pipeline import Pass

ANNOTATION_KEY = "quant_parameter_tensor_names"  # where onnx_ir keeps a value's quantization annotation


@dataclass(frozen=True)
class DeadCodeElimination(Pass):
    """Remove nodes, outputs, initializers and functions that no output needs."""

    name: ClassVar[str] = "dce"
    exact: ClassVar[bool] = True
    only_removes: ClassVar[bool] = True

    def apply(self, model: ir.Model, changes: Changes) -> None:
        all_graphs = list(graphs(model))
        for graph in reversed(all_graphs):  # bodies first: they may be the last users of outer values
            _remove_dead_nodes(graph, changes)
        for graph in all_graphs:
            _trim_outputs(graph, opset(model), changes)
            _remove_dead_initializers(graph, changes)
        _remove_dead_functions(model, changes)


def _remove_dead_nodes(graph: ir.Graph, changes: Changes) -> None:
    for node in reversed(graph):
        if not any(output.uses() or output.is_graph_output() for output in node.outputs):
            _release_bodies(node)
            remove_node(node)
            changes.add("dead node")


def _release_bodies(node: ir.Node) -> None:
    """Let the nodes in the bodies of a dead node no longer count as users of outer values."""
    for inner in ir.traversal.RecursiveGraphIterator(ir.GraphView((), (), nodes=(node,))):
        if inner is not node:
            for index in range(len(inner.inputs)):
                inner.replace_input_with(index, None)


# Never those of BatchNormalization: they are what puts it into training mode, or what that mode must have.
_TRIMMED_SINCE = {"Dropout": 7, "LayerNormalization": 17, "MaxPool": 8}
_TRIMMED_SINCE |= dict.fromkeys(("GRU", "LSTM", "RNN"), 7)


def _trim_outputs(graph: ir.Graph, version: int, changes: Changes) -> None:
    """Drop trailing optional outputs that nobody uses; a runtime need not compute them."""
    for node in graph:
        used = len(node.outputs)
        if used == 1 or node.domain or version < _TRIMMED_SINCE.get(node.op_type, version + 1):
            continue
        while used > 1 and _is_unused(node.outputs[used - 1]):
            used -= 1
        if used < len(node.outputs):
            # One without a name was left out before, and files do not hold it.
            changes.add("unused output", sum(bool(output.name) for output in node.outputs[used:]))
            node.resize_outputs(used)


def _is_unused(output: ir.Value) -> bool:
    return not output.uses() and not output.is_graph_output()


def _remove_dead_initializers(graph: ir.Graph, changes: Changes) -> None:
    initializers = graph.initializers
    dead = [name for name, value in initializers.items() if _is_unused(value) and not value.is_graph_input()]
    annotated = _named_in_annotations(graph) if dead else frozenset()
    for name in dead:
        if name not in annotated:
            del initializers[name]
            changes.add("dead initializer")


def _named_in_annotations(graph: ir.Graph) -> frozenset[str]:
    """Initializers that quantization annotations name: no node needs to read them."""
    values = (*graph.inputs, *graph.initializers.values(), *(out for node in graph for out in node.outputs))
    return frozenset(name for value in values for name in value.meta.get(ANNOTATION_KEY, {}).values())


def _remove_dead_functions(model: ir.Model, changes: Changes) -> None:
    if not model.functions:
        return
    reached: set[ir.OperatorIdentifier] = set()
    stack = [node.op_identifier() for node in model.graph.all_nodes()]
    while stack:
        key = stack.pop()
        if key in reached or key not in model.functions:
            continue
        reached.add(key)
        stack.extend(node.op_identifier() for node in model.functions[key].all_nodes())
    for key in [key for key in model.functions if key not in reached]:
        del model.functions[key]
        changes.add("dead function")
