"""Models as ONNX text, both ways. Text is printed for people; what it cannot hold is told, never guessed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy.typing as npt
import onnx
import onnx.numpy_helper
import onnx.parser
import onnx.printer
import onnx_ir as ir

from graphopt.io import to_proto
from graphopt.io.names import bodies, nested_nodes


def parse_model(
    text: str,
    *,
    opset: int = 18,
    ir_version: int = 9,
    weights: Mapping[str, npt.NDArray[Any]] | None = None,
) -> ir.Model:
    """The model of an ONNX text, which may leave out the header `<ir_version: ..., opset_import: ...>`.

    Args:
        text: A model, or its graph alone.
        opset: Of the standard operators, where the text does not say.
        ir_version: Likewise.
        weights: Inputs of the graph, by name, that become initializers of these elements.

    Raises:
        onnx.parser.ParseError: The text is no model.
        KeyError: Weights of no input.
    """
    text = text.strip()
    if not text.startswith("<"):
        text = f'<ir_version: {ir_version}, opset_import: ["" : {opset}]>\n{text}'
    model = ir.from_proto(onnx.parser.parse_model(text))
    declared = {value.name: value for value in model.graph.inputs}
    for name, array in (weights or {}).items():
        value = declared[name]
        value.const_value = ir.tensor(array, name=name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    return model


def format_model(model: ir.Model | onnx.ModelProto) -> tuple[str, bool]:
    """A model as ONNX text, and whether parsing the text gives the same model again.

    It does for every float, NaN and infinities included, and for bfloat16; the elements of 4-bit and complex
    constants are left out of the text, and names or strings may hold what it cannot say.

    Returns:
        The text ("" for a model that cannot be printed at all), and whether it is the whole model.
    """
    proto = model if isinstance(model, onnx.ModelProto) else to_proto(model)
    try:
        text = onnx.printer.to_text(proto)
    except (RuntimeError, ValueError):  # strings that are not UTF-8
        return "", False
    return text, _is_whole(text, proto)


def _is_whole(text: str, proto: onnx.ModelProto) -> bool:
    try:
        parsed = onnx.parser.parse_model(text)
    except onnx.parser.ParseError:
        return False
    return _normalized(parsed) == _normalized(proto)


def _normalized(proto: onnx.ModelProto) -> bytes:
    """The model with what the text never says left out, and every tensor in one spelling."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    for field in ("producer_name", "producer_version", "domain", "model_version", "doc_string"):
        copy.ClearField(field)
    del copy.metadata_props[:]
    for graph in graph_protos(copy.graph):
        _strip_graph(graph)
    for function in copy.functions:
        function.ClearField("doc_string")
        del function.metadata_props[:]
        del function.value_info[:]
        for node in nested_nodes(function.node):
            _strip_node(node)
            for body in bodies(node):
                _strip_graph(body)
    return bytes(copy.SerializeToString(deterministic=True))


def _strip_graph(graph: onnx.GraphProto) -> None:
    graph.ClearField("doc_string")
    graph.ClearField("name")  # of a body the parser makes one up
    del graph.metadata_props[:]
    del graph.value_info[:]
    for info in (*graph.input, *graph.output):
        info.ClearField("doc_string")
        del info.metadata_props[:]
    for tensor in graph.initializer:
        _spell(tensor)
    for node in graph.node:
        _strip_node(node)


def _strip_node(node: onnx.NodeProto) -> None:
    node.ClearField("doc_string")
    del node.metadata_props[:]
    if not node.domain:
        node.ClearField("domain")
    for attribute in node.attribute:
        for tensor in (*([attribute.t] if attribute.HasField("t") else ()), *attribute.tensors):
            _spell(tensor)
            tensor.ClearField("name")


def _spell(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == onnx.TensorProto.STRING or tensor.HasField("raw_data"):
        tensor.ClearField("doc_string")
        return
    array = onnx.numpy_helper.to_array(tensor)
    tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))


def graph_protos(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and the bodies in it, outer before inner."""
    yield graph
    for node in nested_nodes(graph.node):
        yield from bodies(node)
