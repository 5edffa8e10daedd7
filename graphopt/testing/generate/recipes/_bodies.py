"""Graphs inside nodes: grown as any other, over what they see of the graphs around them."""

from __future__ import annotations

import onnx

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.protos import declaration, tensor
from graphopt.testing.generate.recipe import Unfit

DEEPEST = 3
"""Graphs inside each other, the main one not counted."""


def body(b: Builder) -> Builder:
    """An empty graph inside `b`, which may share its constants.

    Raises:
        Unfit: Graphs inside others are not asked for, or there are enough of them.
    """
    depth, around = 0, b.outer
    while around is not None:
        depth, around = depth + 1, around.outer
    if not b.spec.subgraphs or depth >= DEEPEST:
        raise Unfit("no graphs inside this one")
    inner = Builder(b.choices, b.spec, opset=b.opset, ir_version=b.ir_version, outer=b)
    inner.constants = list(b.constants)
    return inner


def fill(inner: Builder, most: int = 3) -> None:
    """Grow a body by a few nodes, now and then none."""
    from graphopt.testing.generate.model import grow  # the table of recipes must be complete

    if not inner.choices.chance(0.1):
        grow(inner, inner.choices.integer(1, most))


def as_graph(inner: Builder, outputs: list[Known]) -> onnx.GraphProto:
    """A body as the attribute of a node; dimensions of its inputs are told now and then."""
    outputs = _each_once(inner, outputs)
    graph = onnx.GraphProto(name=inner.name("body"))
    told = inner.choices.chance(0.3)
    for known in inner.inputs:
        dims = known.shape if told else [None] * known.rank
        graph.input.append(declaration(known, dims if told or inner.choices.chance(0.5) else None))
    graph.node.extend(inner.nodes)
    read = reads(graph) | {known.name for known in outputs}
    graph.initializer.extend(tensor(known) for known in inner.initializers if known.name in read)
    for known in outputs:
        graph.output.append(declaration(known, [None] * known.rank if known.is_tensor else None))
    return graph


def _each_once(inner: Builder, ends: list[Known]) -> list[Known]:
    """Results that are values of their own: onnxruntime leaves one of two that are the same unwritten."""
    names = [each.name for each in ends]
    return [
        inner.op("Identity", each) if each.name in names[:place] else each for place, each in enumerate(ends)
    ]


def reads(graph: onnx.GraphProto) -> set[str]:
    """Names that the nodes of a graph read, those in graphs inside it as well."""
    names = {name for node in graph.node for name in node.input}
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                names |= reads(attribute.g)
    return names


def captured(b: Builder, *graphs: onnx.GraphProto) -> list[Known]:
    """What bodies in `b` read of it and of the graphs around."""
    names = set().union(*map(reads, graphs))
    found: dict[str, Known] = {}
    level: Builder | None = b
    while level is not None:
        for known in (*level.values, *level.constants):
            if known.name in names:
                found[known.name] = known
        level = level.outer
    return list(found.values())


def own(inner: Builder, known: Known) -> Known:
    """A value that a node of the body makes: a result must be one."""
    names = {name for node in inner.nodes for name in node.output}
    return known if known.name in names else inner.op("Identity", known)


def same_names(graph: onnx.GraphProto, other: onnx.GraphProto) -> None:
    """Call the values of one body as those of another are called, as far as both have them."""
    names = {
        old: new
        for node, like in zip(graph.node, other.node, strict=False)
        for old, new in zip(node.output, like.output, strict=False)
        if old and new
    }
    _rename(graph, names)
    for info in graph.output:
        info.name = names.get(info.name, info.name)


def _rename(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _rename(attribute.g, names)
