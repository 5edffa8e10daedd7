"""A form of a large graph that onnxruntime runs without copies of whole weights, for the check of a trace.

onnxruntime transposes a weight, or widens one of 16 bits, before the product that uses it, and does so for
every weight before it frees one. Measured with 100 M parameters: 1.0 to 1.4 times their bytes, here 0.0.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir

LEAN_ABOVE_BYTES = 64 << 20
"""Smaller graphs are run as they are."""

_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def lean(model: ir.Model) -> ir.Model:
    """The same computation, lean in memory; the model itself where it is small.

    Products with a transposed weight become `com.microsoft::FusedMatMul`; those of 16 bits are computed in
    float32 and rounded, as onnxruntime does by itself; and what only rearranges weights comes first, as
    onnxruntime visits the later one of a node's sources first.
    """
    weights = (value.const_value for value in model.graph.initializers.values())
    if sum(tensor.nbytes for tensor in weights if tensor is not None) < LEAN_ABOVE_BYTES:
        return model
    copy = model.clone()
    graph = copy.graph
    for node in [node for node in graph if node.op_type in _PRODUCTS and node.domain == ""]:
        _take_untransposed(node)
        if any(value is not None and _is_half_weight(value) for value in node.inputs):
            _widen(node)
    if any(node.domain == "com.microsoft" for node in graph):
        copy.opset_imports["com.microsoft"] = 1
    early = [node for node in graph if node.inputs and all(v and _is_weight(v) for v in node.inputs)]
    if len(early) < len(graph):
        graph.remove(early)
        graph.insert_before(graph[0], early)
    return copy


def _take_untransposed(node: ir.Node) -> None:
    """MatMul(x, Transpose(weight)) as FusedMatMul(x, weight)."""
    source = node.inputs[1].producer() if node.op_type == "MatMul" and node.inputs[1] is not None else None
    if source is None or source.op_type != "Transpose" or source.inputs[0] is None:
        return
    weight = source.inputs[0]
    swapped = list(source.attributes.get_ints("perm") or (1, 0)) == [1, 0]
    if not _is_weight(weight) or not swapped or weight.dtype not in (ir.DataType.FLOAT, *_HALVES):
        return
    node.domain, node.op_type = "com.microsoft", "FusedMatMul"
    node.attributes.add(ir.AttrInt64("transB", 1))
    node.replace_input_with(1, weight)
    transposed = source.outputs[0]
    if source.graph is not None and not transposed.uses() and not transposed.is_graph_output():
        source.graph.remove(source, safe=True)


def _widen(node: ir.Node) -> None:
    """Compute a product in float32."""
    assert node.graph is not None
    output = node.outputs[0]
    users = list(output.uses())
    dtype = next(v.dtype for v in node.inputs if v is not None and _is_half_weight(v))
    for index, value in enumerate(node.inputs):
        if value is not None:
            node.graph.insert_before(node, cast := _cast(value, ir.DataType.FLOAT))
            node.replace_input_with(index, cast.outputs[0])
    narrow = _cast(output, dtype)
    node.graph.insert_after(node, narrow)
    _redirect(users, narrow.outputs[0])
    for index, value in enumerate(node.graph.outputs):
        if value is output:
            narrow.outputs[0].name, output.name = output.name, f"{output.name}_wide"
            node.graph.outputs[index] = narrow.outputs[0]
    output.type = ir.TensorType(ir.DataType.FLOAT)


def _redirect(users: Iterable[tuple[ir.Node, int]], value: ir.Value) -> None:
    for user, index in users:
        user.replace_input_with(index, value)


def _cast(value: ir.Value, dtype: ir.DataType | None) -> ir.Node:
    assert dtype is not None
    node = ir.Node("", "Cast", [value], [ir.AttrInt64("to", int(dtype))])
    node.outputs[0].type, node.outputs[0].shape = ir.TensorType(dtype), value.shape
    return node


def _is_weight(value: ir.Value) -> bool:
    return value.is_initializer() and not value.is_graph_input()


def _is_half_weight(value: ir.Value) -> bool:
    return _is_weight(value) and value.dtype in _HALVES
