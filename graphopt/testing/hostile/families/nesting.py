"""Depth: control flow in control flow, types in types, protobuf messages beyond what the parser follows."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from graphopt.testing.hostile.build import data, field, model, node, value
from graphopt.testing.hostile.case import Case

# Numbers of fields: ModelProto.graph, GraphProto.node, NodeProto.attribute, AttributeProto.g.
_GRAPH, _NODE, _ATTRIBUTE, _BODY = 7, 1, 5, 6
_TOO_DEEP = "nested more deeply"


def cases() -> Iterator[Case]:
    """Depths from ordinary to absurd."""
    for depth in (1, 10, 20):
        yield Case(f"ifs-{depth}", data(_ifs(depth)))
    yield Case("ifs-31", data(_ifs(31)))
    for depth in (100, 1000, 10_000):
        yield Case(f"ifs-{depth}", _raw_ifs(depth), _TOO_DEEP)
    yield Case("messages-100000", _raw_ifs(100_000), _TOO_DEEP)
    yield Case("unknown-groups", b"\x0b" * 100_000, "is not a readable ONNX model")
    for depth in (2, 20):
        yield Case(f"sequence-types-{depth}", _sequence_type(depth))
    yield Case("loops-8", data(_loops(8)))


def _ifs(depth: int) -> onnx.ModelProto:
    """Ifs in the then-branches of Ifs."""
    made = model([], [value("x"), value("c", (), onnx.TensorProto.BOOL)], [value("y0")])
    graph = made.graph
    for level in range(depth):
        branch = graph.node.add(op_type="If", input=["c"], output=[f"y{level}"])
        other = branch.attribute.add(name="else_branch", type=onnx.AttributeProto.GRAPH).g
        other.node.append(node("Identity", ["x"], [f"e{level}"]))
        other.output.add().CopyFrom(value(f"e{level}"))
        graph = branch.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g
        graph.output.add().CopyFrom(value(f"y{level + 1}"))
    graph.node.append(node("Neg", ["x"], [f"y{depth}"]))
    return made


def _loops(depth: int) -> onnx.ModelProto:
    """Loops of two iterations in the bodies of Loops."""
    made = model([], [value("x")], [value("y0")])
    graph, carried = made.graph, "x"
    for level in range(depth):
        graph.node.append(node("Constant", [], [f"n{level}"], value_int=2))
        loop = graph.node.add(op_type="Loop", input=[f"n{level}", "", carried], output=[f"y{level}"])
        graph = loop.attribute.add(name="body", type=onnx.AttributeProto.GRAPH).g
        graph.input.add().CopyFrom(value(f"i{level}", (), onnx.TensorProto.INT64))
        graph.input.add().CopyFrom(value(f"go{level}", (), onnx.TensorProto.BOOL))
        graph.input.add().CopyFrom(value(f"x{level}"))
        graph.node.append(node("Identity", [f"go{level}"], [f"more{level}"]))
        graph.output.add().CopyFrom(value(f"more{level}", (), onnx.TensorProto.BOOL))
        graph.output.add().CopyFrom(value(f"y{level + 1}"))
        carried = f"x{level}"
    graph.node.append(node("Neg", [carried], [f"y{depth}"]))
    return made


def _raw_ifs(depth: int) -> bytes:
    """Bodies in bodies, written from the inside out."""
    content = b""
    for _ in range(depth):
        content = field(_NODE, field(_ATTRIBUTE, field(_BODY, content)))
    return field(_GRAPH, content)


def _sequence_type(depth: int) -> bytes:
    """A graph input that is a sequence of sequences of ... tensors."""
    made = model([node("Neg")])
    type_ = made.graph.input.add(name="s").type
    for _ in range(depth):
        type_ = type_.sequence_type.elem_type
    type_.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return data(made)
