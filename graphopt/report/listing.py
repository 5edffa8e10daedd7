"""A graph as text, one line a node, weights left out: for reading along, not for loading again."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

_ELEMENTS_SHOWN = 8


def listing(model: ir.Model) -> str:
    """The model's functions and its main graph; the same text for the same model."""
    lines: list[str] = []
    for function in model.functions.values():
        lines += [f"function {function.domain}.{function.name}", *_graph(function.graph, "  ")]
    return "\n".join([*lines, *_graph(model.graph, "")])


def _graph(graph: ir.Graph, indent: str) -> Iterator[str]:
    for value in graph.inputs:
        yield f"{indent}input {_typed(value)}"
    for node in graph:
        outputs = ", ".join(_typed(value) for value in node.outputs)
        inputs = ", ".join("" if value is None else _operand(value) for value in node.inputs)
        operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        bodies: list[tuple[str, ir.Graph]] = []
        written = []
        for name, attribute in node.attributes.items():
            if attribute.is_ref():
                written.append(f"{name}=@{attribute.ref_attr_name}")
            elif attribute.type == ir.AttributeType.GRAPH:
                bodies.append((name, attribute.as_graph()))
            elif attribute.type == ir.AttributeType.GRAPHS:
                bodies += [(name, body) for body in attribute.as_graphs()]
            else:
                written.append(f"{name}={_attribute(attribute)}")
        options = f" {{{', '.join(written)}}}" if written else ""
        yield f"{indent}{outputs} = {operator}({inputs}){options}"
        for name, body in bodies:
            yield f"{indent}  {name}:"
            yield from _graph(body, f"{indent}    ")
    yield f"{indent}return {', '.join(_name(value) for value in graph.outputs)}"


def _typed(value: ir.Value) -> str:
    if value.dtype is None and value.shape is None:
        return _name(value)
    return f"{_name(value)}: {_type(value.dtype, value.shape)}"


def _operand(value: ir.Value) -> str:
    """The name of a value, with its content where that is a small constant."""
    tensor = value.const_value if value.is_initializer() else None
    if tensor is None:
        return _name(value)
    return (
        _tensor(tensor)
        if tensor.size <= _ELEMENTS_SHOWN
        else f"{_name(value)}: {_type(tensor.dtype, tensor.shape)}"
    )


def _attribute(attribute: ir.Attr) -> str:
    if attribute.type == ir.AttributeType.TENSOR:
        return _tensor(attribute.as_tensor())
    value = attribute.value
    if isinstance(value, (list, tuple)):
        more = ", ..." if len(value) > _ELEMENTS_SHOWN else ""
        return f"[{', '.join(str(element) for element in value[:_ELEMENTS_SHOWN])}{more}]"
    return str(value)


def _tensor(tensor: ir.TensorProtocol) -> str:
    if tensor.size > _ELEMENTS_SHOWN:
        return _type(tensor.dtype, tensor.shape)
    return f"{tensor.dtype.name.lower()}({tensor.numpy().tolist()})"


def _type(dtype: ir.DataType | None, shape: ir.ShapeProtocol | None) -> str:
    kind = "?" if dtype is None else dtype.name.lower()
    if shape is None:
        return kind
    return (
        f"{kind}[{', '.join(str(dim if isinstance(dim, int) else dim.value or '?') for dim in shape.dims)}]"
    )


def _name(value: ir.Value) -> str:
    return f"%{value.name}"
