"""Residual blocks of a graph: branches that start from a value and are added to that value again.

Such a branch may go as a whole: what is left is the value itself. Found from the graph alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from graphopt.ir import constant_tensor

WEIGHING = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators of which a branch has at least one: others are not worth the change."""


@dataclasses.dataclass(frozen=True)
class Block:
    """A branch and what it is added to.

    Attributes:
        add: The node that adds them: an Add, or a Sum of several branches and constants.
        skip: The value that the branch starts from, and that is left without it.
        branch: The nodes that go, in the order of the graph.
    """

    add: ir.Node
    skip: ir.Value
    branch: tuple[ir.Node, ...]

    @property
    def name(self) -> str:
        """Of the value that the block makes."""
        return self.add.outputs[0].name or ""


def residual_blocks(model: ir.Model) -> list[Block]:
    """The blocks of a model's main graph, in its order; shapes must be inferred."""
    places = {node: index for index, node in enumerate(model.graph)}
    found = []
    for node in places:
        if node.op_type not in ("Add", "Sum") or node.domain not in ("", "ai.onnx") or None in node.inputs:
            continue
        for index, skip in enumerate(node.inputs):
            ends = [*node.inputs[:index], *node.inputs[index + 1 :]]
            if skip is None or skip in ends or constant_tensor(skip) is not None:
                continue
            branch = _branch(places, node, skip, ends)
            if branch is not None and _same_shape(skip, node.outputs[0]):
                found.append(Block(node, skip, branch))
                break
    return found


def _branch(
    places: Mapping[ir.Node, int], add: ir.Node, skip: ir.Value, ends: Sequence[ir.Value | None]
) -> tuple[ir.Node, ...] | None:
    """The nodes from a value to others, if these read nothing else that is not constant, and nobody else
    reads what they make."""
    nodes: set[ir.Node] = set()
    ahead = [end for end in ends if end is not None]
    first = -1 if skip.producer() is None else places.get(skip.producer(), -1)  # type: ignore[arg-type]
    while ahead:
        value = ahead.pop()
        maker = value.producer()
        if value is skip or constant_tensor(value) is not None:
            continue
        if maker is None or places.get(maker, -1) <= first:
            return None
        if maker not in nodes:
            nodes.add(maker)
            ahead += [each for each in maker.inputs if each is not None]
            if any(isinstance(each, ir.Attr) and each.type in _GRAPHS for each in maker.attributes.values()):
                return None
    for node in nodes:
        for value in node.outputs:
            if value.is_graph_output() or any(
                user not in nodes and user is not add for user in value.consumers()
            ):
                return None
    if not any(node.op_type in WEIGHING for node in nodes):
        return None
    return tuple(sorted(nodes, key=places.__getitem__))


_GRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


def _same_shape(one: ir.Value, other: ir.Value) -> bool:
    return one.shape is not None and other.shape is not None and one.shape.dims == other.shape.dims
