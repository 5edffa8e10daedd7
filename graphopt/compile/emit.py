"""Make a model ready to be handed out: the declared interface, no claims about inner values, metadata.

Inferred shapes are claims that served the passes; a file that leaves them out cannot lie about them.
"""

from __future__ import annotations

from collections import Counter

import onnx_ir as ir

from graphopt.ir import (
    SYMBOLIC_VALUE_KEY,
    constant_tensor,
    count_nodes,
    facts,
    graphs,
    is_constant_node,
    is_program,
    nodes,
    saved_program,
)
from graphopt.report import Summary

METADATA_PREFIX = "graphopt."


def forget_claims(model: ir.Model) -> None:
    """Drop types and shapes of inner values, except where only a declaration tells (opaque ones)."""
    for graph in graphs(model):
        for value in graph.inputs:
            value.metadata_props.pop(SYMBOLIC_VALUE_KEY, None)
        for node in graph:
            known = facts(node).known
            for output in node.outputs:
                output.metadata_props.pop(SYMBOLIC_VALUE_KEY, None)
                output.const_value = None
                if output.is_graph_output() and graph is model.graph:
                    continue
                if known:
                    output.shape = None
                    if not output.is_graph_output():
                        output.type = None
                elif output.shape is not None and not output.shape.is_static():
                    output.shape = ir.Shape(
                        [dim if isinstance(dim, int) else None for dim in output.shape.dims]
                    )


def forget_declarations(model: ir.Model) -> bool:
    """Drop types and shapes of inner values, declared ones too; whether there were any.

    Those of what compiled regions write stay: nothing else tells them.
    """
    found = False
    for graph in graphs(model):
        for output in (output for node in graph if not is_program(node) for output in node.outputs):
            if output.is_graph_output() and graph is model.graph:
                continue
            found |= output.type is not None or output.shape is not None
            output.type = output.shape = None
    return found


def stamp(model: ir.Model, entries: dict[str, str]) -> None:
    """Write graphopt's own metadata, replacing what an earlier run left."""
    for key in [key for key in model.metadata_props if key.startswith(METADATA_PREFIX)]:
        del model.metadata_props[key]
    model.metadata_props.update(sorted(entries.items()))


def summarize(model: ir.Model) -> Summary:
    """Count nodes, operators, initializers and their bytes."""
    ops = Counter(node.op_type for node in nodes(model) if not is_constant_node(node))
    tensors = [value.const_value for graph in graphs(model) for value in graph.initializers.values()]
    inner = [constant_tensor(node.outputs[0]) for node in nodes(model) if is_constant_node(node)]
    programs = sum(len(saved_program(node)) for node in nodes(model) if is_program(node))
    return Summary(
        nodes=count_nodes(model),
        ops=dict(sorted(ops.items(), key=lambda item: (-item[1], item[0]))),
        initializers=len(tensors),
        parameter_bytes=programs + sum(tensor.nbytes for tensor in (*tensors, *inner) if tensor is not None),
    )
