"""What an edit leaves behind goes: nodes, weights and functions that nobody uses any more.

Nothing that a graph output depends on is changed.
"""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir import graphs, is_constant_node, nodes, subgraphs


def tidy(model: ir.Model) -> None:
    """Remove nodes, initializers and graph inputs that do not reach an output, and uncalled functions."""
    for graph in reversed(list(graphs(model))):
        _drop_dead(graph)
    drop_unused_values(model)


def drop_unused_values(model: ir.Model) -> None:
    """Remove constants and graph inputs that no node uses, and functions and imports; all else stays."""
    _drop_uncalled(model)
    for graph in graphs(model):
        for node in [node for node in graph if is_constant_node(node) and _is_unused(node.outputs[0])]:
            graph.remove(node)
        for name in [name for name, value in graph.initializers.items() if _is_unused(value)]:
            del graph.initializers[name]
    inputs = model.graph.inputs
    for value in [value for value in inputs if _is_unused(value) and not value.is_initializer()]:
        inputs.remove(value)
    _drop_imports(model)


def _drop_dead(graph: ir.Graph) -> None:
    for node in reversed(graph):
        if not any(output.uses() or output.is_graph_output() for output in node.outputs):
            detach(node)
            graph.remove(node)


def detach(node: ir.Node) -> None:
    """Let `node`, and every node of its bodies, use nothing any more."""
    for index, value in enumerate(node.inputs):
        if value is not None:
            node.replace_input_with(index, None)
    for body in subgraphs(node):
        for inner in body:
            detach(inner)


def _is_unused(value: ir.Value) -> bool:
    return not value.uses() and not value.is_graph_output()


def _drop_uncalled(model: ir.Model) -> None:
    while True:
        called = {node.op_identifier() for node in nodes(model)}
        uncalled = [key for key in model.functions if key not in called]
        if not uncalled:
            return
        for key in uncalled:
            del model.functions[key]


def _drop_imports(model: ir.Model) -> None:
    used = {node.domain for node in nodes(model)} | {""}
    for domain in [domain for domain in model.opset_imports if domain not in used]:
        del model.opset_imports[domain]
