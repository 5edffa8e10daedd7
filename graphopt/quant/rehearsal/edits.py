"""The edits that steps are made of: on the copy alone, whose nodes remember the nodes they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

ORIGINS_KEY = "graphopt.origins"
"""Key in a copied node's `meta`: the nodes of the model that it stands for."""


def origins(node: ir.Node) -> tuple[ir.Node, ...]:
    """The nodes of the model that a node of the copy stands for; none for one that a step made."""
    found: tuple[ir.Node, ...] = node.meta.get(ORIGINS_KEY, ())
    return found


def insert(
    beside: ir.Node,
    op_type: str,
    inputs: Sequence[ir.Value | None],
    *,
    after: bool = False,
    stands_for: Iterable[ir.Node] = (),
    attributes: Mapping[str, Any] | None = None,
    domain: str = "",
) -> ir.Node:
    """A new node before or after another."""
    made = ir.node(op_type, inputs, attributes=attributes or {}, domain=domain)
    made.meta[ORIGINS_KEY] = tuple(stands_for)
    graph = beside.graph
    assert graph is not None
    if after:
        graph.insert_after(beside, made)
    else:
        graph.insert_before(beside, made)
    return made


def drop(node: ir.Node) -> None:
    """Let whatever reads a node's first output read its first input."""
    data = node.inputs[0]
    assert data is not None and node.graph is not None
    replace(node.outputs[0], data)
    remove(node)


def replace(old: ir.Value, new: ir.Value) -> None:
    """Let whatever reads `old`, the graph's outputs included, read `new`."""
    old.replace_all_uses_with(new, replace_graph_outputs=True)


def remove(node: ir.Node) -> None:
    """Take out a node that nobody reads."""
    assert node.graph is not None
    for place in range(len(node.inputs)):
        node.replace_input_with(place, None)
    node.graph.remove(node)


def alike(value: ir.Value, other: ir.Value | None) -> ir.Value:
    """`value`, with the type and shape of another."""
    if other is not None:
        value.type, value.shape = other.type, other.shape
    return value


def literal(array: np.ndarray[Any, Any]) -> ir.Value:
    """A constant of the copy."""
    tensor = ir.Tensor(array)
    node = ir.node("Constant", (), attributes={"value": tensor})
    value = node.outputs[0]
    value.dtype, value.shape = tensor.dtype, ir.Shape(array.shape)
    return value


def dequantized(beside: ir.Node, place: int, zero_point: np.ndarray[Any, Any]) -> None:
    """Put a DQ before a constant input of a node, of codes of the zero point's type and a scale left open."""
    data = beside.inputs[place]
    scale = ir.Value(shape=ir.Shape(()), type=ir.TensorType(ir.DataType.FLOAT))
    made = insert(beside, "DequantizeLinear", [data, scale, literal(zero_point)])
    beside.replace_input_with(place, alike(made.outputs[0], data))
