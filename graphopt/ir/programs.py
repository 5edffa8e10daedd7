"""Compiled regions of a graph: nodes of the operator `graphopt.Program`, which a library teaches onnxruntime.

A node's attribute `program`, a tensor of bytes, holds a saved program with the node's inputs and outputs.
To all else the operator is opaque; only the program knows what it writes, so the model declares the types.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import onnx_ir as ir

from graphopt.ir.graphs import Names, graphs
from graphopt.ir.rewrite import PROVENANCE_KEY, remove_node, replace_value

PROGRAM_DOMAIN = "graphopt"
PROGRAM = "Program"
PROGRAM_VERSION = 1
"""Of the domain, as models import it."""


def is_program(node: ir.Node) -> bool:
    """Whether a node is a compiled region."""
    return node.op_type == PROGRAM and node.domain == PROGRAM_DOMAIN


def holds_programs(model: ir.Model) -> bool:
    """Whether a model has compiled regions."""
    return any(is_program(node) for graph in graphs(model) for node in graph)


def saved_program(node: ir.Node) -> bytes:
    """The bytes of the program that a node runs; none if it has no such attribute."""
    attribute = node.attributes.get("program")
    tensor = None if attribute is None or attribute.type != ir.AttributeType.TENSOR else attribute.value
    return b"" if tensor is None else tensor.tobytes()


def insert_program(
    nodes: Sequence[ir.Node],
    inputs: Sequence[ir.Value],
    outputs: Sequence[ir.Value],
    program: bytes,
    *,
    names: Names,
    stays: Collection[ir.Node] = (),
) -> ir.Node:
    """Let a program take the place of nodes, and of constants that only they read.

    What they wrote keeps its name.

    Args:
        nodes: Of one graph, in topological order; no path leaves them and comes back.
        inputs: What the program reads.
        outputs: Values of theirs that others read, or that are outputs of the graph; of known types.
        program: Its bytes.
        names: Names of the model.
        stays: Those of the nodes that are not taken out.
    """
    graph = nodes[0].graph
    assert isinstance(graph, ir.Graph)
    tensor = ir.Tensor(np.frombuffer(program, np.uint8), name="program")
    node = ir.Node(
        PROGRAM_DOMAIN,
        PROGRAM,
        inputs,
        [ir.AttrTensor("program", tensor)],
        num_outputs=len(outputs),
        name=names.fresh(f"{nodes[0].name or PROGRAM}/{PROGRAM}"),
    )
    node.metadata_props[PROVENANCE_KEY] = ", ".join(each.name for each in nodes if each.name)
    graph.append(node)
    for old, new in zip(outputs, node.outputs, strict=True):
        replace_value(old, new, is_new=True)
    read = [value for each in nodes for value in each.inputs if value is not None]
    for each in reversed(nodes):
        if each not in stays:
            remove_node(each)
    _drop_unused(graph, read)
    graph.sort()
    graph.opset_imports[PROGRAM_DOMAIN] = PROGRAM_VERSION
    return node


def _drop_unused(graph: ir.Graph, values: Sequence[ir.Value]) -> None:
    """Take out what makes values that nobody reads: some runtimes run it nevertheless."""
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if value.uses() or value.is_graph_output() or value.is_graph_input():
            continue
        node = value.producer()
        if node is None:
            graph.initializers.pop(value.name or "", None)
        elif node.graph is graph and not any(each.uses() or each.is_graph_output() for each in node.outputs):
            waiting += (each for each in node.inputs if each is not None)
            remove_node(node)
