"""From an `onnx_ir.Model` to a `ModelProto` as it is written: legal for its IR version, without what only
analysis needs, the same bytes for the same model.

The model is not changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
import onnx_ir as ir

from graphopt.errors import SaveError
from graphopt.io.beyond import put_back
from graphopt.io.names import bodies, nested_nodes
from graphopt.ir import paused_collector
from graphopt.ir.edit import CONSTANT_FLOATS, CONSTANTS_OF_ALL_TYPES

# From this IR version on an initializer need not be a graph input as well.
_FREE_INITIALIZERS_IR_VERSION = 4
# Prefix of the keys under which shape inference keeps its notes in metadata_props.
ANALYSIS_KEYS = "pkg.onnx_shape_inference."


def to_proto(model: ir.Model) -> onnx.ModelProto:
    """Serialize `model` whole, with what was carried beside it since it was loaded.

    Raises:
        SaveError: It holds something that ONNX cannot say.
    """
    try:
        with paused_collector():
            proto = ir.to_proto(model)
    except (RuntimeError, ValueError, TypeError) as error:
        while error.__cause__ is not None:
            error = error.__cause__  # type: ignore[assignment]
        raise SaveError(f"the model cannot be written as ONNX: {error}") from error
    if _has_constants_beyond_nodes(proto):
        proto.ir_version = _FREE_INITIALIZERS_IR_VERSION
    for graph in _graph_protos(proto):
        _drop_repeated_claims(graph)
        _drop_repeated_metadata(graph)
        if proto.ir_version < _FREE_INITIALIZERS_IR_VERSION:
            _initializers_to_constants(graph)
    for function in proto.functions:
        for info in function.value_info:
            _drop_analysis(info)
    put_back(model, proto)
    return proto


def _graph_protos(proto: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    yield proto.graph
    for nodes in (proto.graph.node, *(function.node for function in proto.functions)):
        for node in nested_nodes(nodes):
            if node.attribute:
                yield from bodies(node)


def _drop_repeated_claims(graph: onnx.GraphProto) -> None:
    """Drop claims about values that say no more than the initializer itself, and the notes of analysis."""
    dims = {tensor.name: (tensor.data_type, tuple(tensor.dims)) for tensor in graph.initializer}
    for info in (*graph.input, *graph.output, *graph.value_info):
        _drop_analysis(info)
    kept = [info for info in graph.value_info if not _says_only(info, dims.get(info.name))]
    if len(kept) < len(graph.value_info):
        del graph.value_info[:]
        graph.value_info.extend(kept)


def _drop_repeated_metadata(graph: onnx.GraphProto) -> None:
    """`onnx_ir` writes the metadata of a tensor that it took over unread a second time."""
    attributes = (attribute for node in graph.node for attribute in node.attribute if attribute.HasField("t"))
    for tensor in (*graph.initializer, *(attribute.t for attribute in attributes)):
        if len(tensor.metadata_props) > 1:
            entries = {entry.key: entry.value for entry in tensor.metadata_props}
            del tensor.metadata_props[:]
            for key, value in entries.items():
                tensor.metadata_props.add(key=key, value=value)


def _drop_analysis(info: onnx.ValueInfoProto) -> None:
    for index in reversed(range(len(info.metadata_props))):
        if info.metadata_props[index].key.startswith(ANALYSIS_KEYS):
            del info.metadata_props[index]


def _says_only(info: onnx.ValueInfoProto, known: tuple[int, tuple[int, ...]] | None) -> bool:
    if info.doc_string or info.metadata_props:
        return False
    if known is None:
        return not info.HasField("type")
    tensor = info.type.tensor_type
    said = tensor.elem_type, tuple(dim.dim_value for dim in tensor.shape.dim)
    denoted = info.type.denotation or any(dim.denotation for dim in tensor.shape.dim)
    return said == known and not denoted


def _has_constants_beyond_nodes(proto: onnx.ModelProto) -> bool:
    """Whether an old model holds constants that are neither inputs nor of a type for its Constant nodes."""
    opset = max((entry.version for entry in proto.opset_import if not entry.domain), default=1)
    if proto.ir_version >= _FREE_INITIALIZERS_IR_VERSION or opset >= CONSTANTS_OF_ALL_TYPES:
        return False
    for graph in _graph_protos(proto):
        inputs = {info.name for info in graph.input}
        if any(t.name not in inputs and t.data_type not in CONSTANT_FLOATS for t in graph.initializer):
            return True
    return False


def _initializers_to_constants(graph: onnx.GraphProto) -> None:
    """Before IR version 4 an initializer is a graph input; one that is none becomes a Constant node."""
    inputs = {info.name for info in graph.input}
    free = [tensor for tensor in graph.initializer if tensor.name not in inputs]
    if not free:
        return
    constants = [_constant(tensor) for tensor in free]
    kept: list[Any] = [tensor for tensor in graph.initializer if tensor.name in inputs]
    nodes = list(graph.node)
    del graph.initializer[:], graph.node[:]
    graph.initializer.extend(kept)
    graph.node.extend([*constants, *nodes])


def _constant(tensor: onnx.TensorProto) -> onnx.NodeProto:
    node = onnx.NodeProto(op_type="Constant", output=[tensor.name])
    attribute = node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
    attribute.t.CopyFrom(tensor)
    return node
