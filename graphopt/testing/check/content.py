"""What a model computes, as bytes: equal where nothing was changed that a pass must count."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx_ir as ir

from graphopt.io import to_proto
from graphopt.io.names import bodies, nested_nodes
from graphopt.testing.text import graph_protos


def content(proto: onnx.ModelProto) -> bytes:
    """The model without claims about inner values, types of outputs and metadata."""
    copy = _copy(proto)
    for node in _nodes(copy):
        del node.metadata_props[:]
        for attribute in node.attribute:
            if attribute.HasField("t"):
                attribute.t.ClearField("name")
    for function in copy.functions:
        del function.value_info[:]
        del function.metadata_props[:]
    for graph in _graphs(copy):
        del graph.value_info[:]
        del graph.metadata_props[:]
        for initializer in graph.initializer:
            del initializer.metadata_props[:]
        for output in graph.output:
            output.ClearField("type")
            del output.metadata_props[:]
    return bytes(copy.SerializeToString(deterministic=True))


def whole(model: ir.Model | onnx.ModelProto) -> bytes:
    """A model to its last byte, names and metadata included.

    Tensors in attributes go without names, which mean nothing: reading a constant is enough to give it one.
    """
    proto = to_proto(model) if isinstance(model, ir.Model) else _copy(model)
    for node in _nodes(proto):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                attribute.t.ClearField("name")
    return bytes(proto.SerializeToString(deterministic=True))


def _graphs(proto: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    """The main graph, and every body, those in functions too."""
    yield from graph_protos(proto.graph)
    for function in proto.functions:
        for node in nested_nodes(function.node):
            yield from bodies(node)


def _nodes(proto: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node, those of bodies and functions too."""
    yield from nested_nodes(proto.graph.node)
    for function in proto.functions:
        yield from nested_nodes(function.node)


def _copy(proto: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    return copy
