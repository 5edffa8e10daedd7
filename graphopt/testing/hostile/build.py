"""Short ways to write protobufs by hand, well-formed or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import onnx
from onnx import helper, parser

OPSET, IR_VERSION = 17, 8
FLOAT, INT64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
_LENGTH_DELIMITED = 2


def text(graph: str, opset: int = OPSET) -> onnx.ModelProto:
    """A model from the text of its graph, and of functions behind it."""
    header = f'<ir_version: {IR_VERSION}, opset_import: ["" : {opset}, "local" : 1]>'
    model: onnx.ModelProto = parser.parse_model(f"{header} {graph}")
    return model


def body(
    nodes: str, inputs: str = "float[2] x", outputs: str = "float[2] y", initializers: str = ""
) -> bytes:
    """The bytes of a model from the text of its nodes."""
    given = f"<{initializers}>" if initializers else ""
    return data(text(f"g ({inputs}) => ({outputs}) {given} {{ {nodes} }}"))


def data(model: onnx.ModelProto) -> bytes:
    """Its bytes."""
    return bytes(model.SerializeToString())


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Iterable[onnx.ValueInfoProto] = (),
    outputs: Iterable[onnx.ValueInfoProto] = (),
    initializers: Iterable[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    """A model of protobufs, unchecked; by default with a float[2] input x and output y."""
    graph = helper.make_graph(
        list(nodes), "g", list(inputs) or [value("x")], list(outputs) or [value("y")], list(initializers)
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def node(
    op_type: str, inputs: Sequence[str] = ("x",), outputs: Sequence[str] = ("y",), **attributes: Any
) -> onnx.NodeProto:
    """A node of the standard domain."""
    return helper.make_node(op_type, list(inputs), list(outputs), **attributes)


def value(
    name: str, shape: Sequence[int | str | None] | None = (2,), dtype: int = FLOAT
) -> onnx.ValueInfoProto:
    """A declared tensor."""
    return helper.make_tensor_value_info(name, dtype, shape)


def tensor(name: str, dims: Sequence[int], dtype: int = FLOAT, **fields: Any) -> onnx.TensorProto:
    """A tensor with whatever is said of it."""
    return onnx.TensorProto(name=name, dims=dims, data_type=dtype, **fields)


def with_weight(weight: onnx.TensorProto) -> bytes:
    """A model that adds an initializer, given as w, to its input."""
    return data(model([node("Add", ["x", "w"])], initializers=[weight]))


def field(number: int, content: bytes) -> bytes:
    """A length-delimited field of the wire format."""
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(len(content)) + content


def varint(number: int) -> bytes:
    """A number in the wire format, seven bits in each byte."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])
