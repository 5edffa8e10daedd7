"""What is known of the branches of an If: equal ones, and ones that cannot be taken.

A branch cannot be taken if some node that then surely runs must fail: an LSTM over a tensor of rank 5, say.
Exporters leave such Ifs behind where a model asked for the rank of a tensor. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from graphopt.ir import count_nodes, graphs, infer_shapes, nodes, rank, scalar, subgraphs, symbolic_value
from graphopt.passes.tensors import same_tensor

MAX_NODES = 5000
"""Models with more nodes are not tried: each try infers all shapes again."""

BRANCHES = ("then_branch", "else_branch")

_RANKS = {
    "LSTM": {0: 3, 1: 3, 2: 3, 5: 3, 6: 3},
    "GRU": {0: 3, 1: 3, 2: 3, 5: 3},
    "RNN": {0: 3, 1: 3, 2: 3, 5: 3},
    "Gemm": {0: 2, 1: 2},
}
"""Operator -> input -> the only rank that the standard allows there."""

_SAME_RANK = frozenset({"Conv", "ConvTranspose"})
"""Operators whose first two inputs have one rank."""


def known_condition(node: ir.Node) -> bool | None:
    """The condition of an If (or the first one of a Loop) where it is certain."""
    condition = node.inputs[0]
    number = scalar(condition)
    if number is not None:
        return bool(number)
    elements = symbolic_value(condition)
    if elements is not None and len(elements) == 1 and isinstance(elements[0], int):
        return bool(elements[0])
    return None


def possible_branch(model: ir.Model, node: ir.Node) -> str | None:
    """The only branch of an If that can be taken without a certain failure; None where both may be.

    Tried only where the branches return tensors of different rank.
    """
    ends = zip(*(node.attributes[name].as_graph().outputs for name in BRANCHES), strict=True)
    ranks = [(rank(left), rank(right)) for left, right in ends]
    if not any(left is not None and right is not None and left != right for left, right in ranks):
        return None
    if count_nodes(model) > MAX_NODES:
        return None
    position = next(index for index, each in enumerate(nodes(model)) if each is node)
    possible = [name for name in BRANCHES if not _must_fail(model, position, name)]
    return possible[0] if len(possible) == 1 else None


def _must_fail(model: ir.Model, position: int, branch: str) -> bool:
    trial = model.clone()
    node = next(each for index, each in enumerate(nodes(trial)) if index == position)
    assert node.graph is not None
    tensor = ir.Tensor(np.array(branch == "then_branch"), name="graphopt.assumed")
    condition = ir.Value(
        name=tensor.name, const_value=tensor, type=ir.TensorType(ir.DataType.BOOL), shape=ir.Shape(())
    )
    node.replace_input_with(0, condition)
    infer_shapes(trial)
    return any(_fails(each) for each in _surely_run(node.graph))


def _surely_run(graph: ir.Graph) -> Iterator[ir.Node]:
    """Nodes of a graph, and those of the branches that are surely taken."""
    for node in graph:
        yield node
        if node.op_type == "If" and node.domain == "":
            condition = known_condition(node)
            if condition is not None:
                yield from _surely_run(node.attributes[BRANCHES[0] if condition else BRANCHES[1]].as_graph())


def _fails(node: ir.Node) -> bool:
    if node.domain:
        return False
    found = [rank(value) for value in node.inputs]
    for index, wanted in _RANKS.get(node.op_type, {}).items():
        if index < len(found) and found[index] not in (None, wanted):
            return True
    return node.op_type in _SAME_RANK and None not in found[:2] and found[0] != found[1]


def equal_branches(node: ir.Node) -> bool:
    """Whether both branches of an If compute the same from the same."""
    left, right = (node.attributes[name].as_graph() for name in BRANCHES)
    if len(left) != len(right) or left.initializers or right.initializers:
        return False
    same: dict[ir.Value | None, ir.Value | None] = {}
    for one, other in zip(left, right, strict=True):
        if one.op_identifier() != other.op_identifier() or len(one.outputs) != len(other.outputs):
            return False
        if subgraphs(one) or not _equal_attributes(one, other):
            return False
        if [same.get(value, value) for value in one.inputs] != list(other.inputs):
            return False
        same.update(zip(one.outputs, other.outputs, strict=True))
    return [same.get(value, value) for value in left.outputs] == list(right.outputs)


def _equal_attributes(one: ir.Node, other: ir.Node) -> bool:
    if one.attributes.keys() != other.attributes.keys():
        return False
    for name, left in one.attributes.items():
        right = other.attributes[name]
        if left.type != right.type or left.is_ref() or right.is_ref():
            return False
        if left.type == ir.AttributeType.TENSOR:
            if not same_tensor(left.as_tensor(), right.as_tensor()):
                return False
        elif left.value != right.value:
            return False
    return True


def all_ifs(model: ir.Model, skipped: set[ir.Graph]) -> list[ir.Node]:
    """Every If of the model, outer ones first."""
    return [
        node
        for graph in graphs(model)
        if graph not in skipped
        for node in graph
        if node.op_type == "If" and node.domain == ""
    ]
