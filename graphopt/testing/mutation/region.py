"""A run of consecutive nodes of a graph: what enters it, what leaves it, and copies of it.

Never changes the graph that it lies in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir import graph_and_bodies, subgraphs
from graphopt.testing.generate.choices import Choices
from graphopt.testing.generate.recipe import Unfit


@dataclass(frozen=True)
class Region:
    """Nodes of one graph that stand together, in order.

    Attributes:
        nodes: The nodes; their subgraphs belong to them.
        inputs: Values from outside that they read, in order of first use, constants among them.
        outputs: Their values that are read outside or are graph outputs; all of the last node's if none is.
    """

    nodes: tuple[ir.Node, ...]
    inputs: tuple[ir.Value, ...]
    outputs: tuple[ir.Value, ...]

    @classmethod
    def of(cls, nodes: Sequence[ir.Node]) -> Region:
        """The region of these nodes."""
        inside = {node for outer in nodes for node in _with_bodies(outer)}
        own = {value for node in inside for value in node.outputs}
        own |= {value for outer in nodes for body in subgraphs(outer) for value in _made_in(body)}
        read = (value for outer in nodes for value in reads(outer))
        inputs = tuple(dict.fromkeys(value for value in read if value not in own))
        outputs = tuple(value for node in nodes for value in node.outputs if _leaves(value, inside))
        return cls(tuple(nodes), inputs, outputs or tuple(nodes[-1].outputs))

    @classmethod
    def choose(cls, graph: ir.Graph, choices: Choices, low: int, high: int) -> Region:
        """Between `low` and `high` consecutive nodes of a graph.

        Raises:
            Unfit: The graph has fewer.
        """
        nodes = list(graph)
        if len(nodes) < low:
            raise Unfit("too few nodes")
        length = choices.integer(low, min(high, len(nodes)))
        start = choices.integer(0, len(nodes) - length)
        return cls.of(nodes[start : start + length])


def reads(node: ir.Node) -> Iterator[ir.Value]:
    """What a node reads, with its subgraphs."""
    for inner in _with_bodies(node):
        for value in inner.inputs:
            if value is not None:
                yield value
    for body in subgraphs(node):
        for graph in graph_and_bodies(body):
            yield from graph.outputs


def _with_bodies(node: ir.Node) -> Iterator[ir.Node]:
    yield node
    for body in subgraphs(node):
        for graph in graph_and_bodies(body):
            yield from graph


def _made_in(body: ir.Graph) -> Iterator[ir.Value]:
    for graph in graph_and_bodies(body):
        yield from graph.inputs
        yield from graph.initializers.values()


def _leaves(value: ir.Value, inside: set[ir.Node]) -> bool:
    if not value.name:
        return False
    return value.is_graph_output() or any(user not in inside for user in value.consumers())


def copy_nodes(nodes: Iterable[ir.Node], made: dict[ir.Value, ir.Value]) -> list[ir.Node]:
    """Copies of nodes and of their bodies.

    Args:
        nodes: In order.
        made: Value -> what stands for it, itself where there is no entry; gains the copies' outputs.
    """
    return [_copy(node, made) for node in nodes]


def _copy(node: ir.Node, made: dict[ir.Value, ir.Value]) -> ir.Node:
    inputs = [None if value is None else made.get(value, value) for value in node.inputs]
    outputs = []
    for value in node.outputs:
        made[value] = _like(value)
        outputs.append(made[value])
    attributes = [_copy_attribute(each, made) for each in node.attributes.values()]
    return ir.Node(
        node.domain, node.op_type, inputs, attributes,
        overload=node.overload, outputs=outputs, version=node.version, name=node.name,
    )  # fmt: skip


def _copy_attribute(attribute: ir.Attr, made: dict[ir.Value, ir.Value]) -> ir.Attr:
    if attribute.type != ir.AttributeType.GRAPH or attribute.is_ref():
        return attribute
    body = attribute.as_graph()
    for value in [*body.inputs, *body.initializers.values()]:
        made[value] = _like(value)
    nodes = [_copy(node, made) for node in body]
    return ir.AttrGraph(
        attribute.name,
        ir.Graph(
            [made[value] for value in body.inputs],
            [made.get(value, value) for value in body.outputs],
            nodes=nodes,
            initializers=[made[value] for value in body.initializers.values()],
            name=body.name,
        ),
    )


def _like(value: ir.Value) -> ir.Value:
    shape = None if value.shape is None else ir.Shape(value.shape.dims)
    return ir.Value(name=value.name, type=value.type, shape=shape, const_value=value.const_value)
