"""Operators without a translation, written as the body that the standard defines them by.

The body becomes a function of the model, which the pass `inline` then puts in the operator's place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import onnx.defs
import onnx_ir as ir

from graphopt.ir import infer_shapes, nodes
from graphopt.passes.cleanup.inline import Inline

_DOMAIN = "graphopt.bodies"


def expand(model: ir.Model, is_translated: Callable[[ir.Node], bool]) -> None:
    """Write operators that have no translation as their bodies, until there are translations for all.

    Operators without a body are left as they are.

    Args:
        model: Changed in place; its shapes are known as far as they can be.
        is_translated: Whether an operator can stay as it is.
    """
    while True:
        missing = [node for node in nodes(model) if not is_translated(node)]
        expanded = [node for node in missing if _expand(model, node)]
        if not expanded:
            return
        Inline()(model)
        model.opset_imports.pop(_DOMAIN, None)
        infer_shapes(model)


def _expand(model: ir.Model, node: ir.Node) -> bool:
    """Turn a node into a call of its body, a new function of the model; False if it has no body."""
    version = model.opset_imports.get(node.domain)
    if version is None or not onnx.defs.has(node.op_type, domain=node.domain, max_inclusive_version=version):
        return False
    schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    _state_defaults(node, schema)
    body = _body(node, schema, version)
    if body is None:
        return False
    function = ir.from_proto(body)
    assert isinstance(function, ir.Function)
    function.domain, function.name = _DOMAIN, f"{node.op_type}_{len(model.functions)}"
    for domain in function.opset_imports:
        function.opset_imports[domain] = model.opset_imports.setdefault(
            domain, function.opset_imports[domain]
        )
    model.functions[function.identifier()] = function
    model.opset_imports[_DOMAIN] = 1
    node.domain, node.op_type = _DOMAIN, function.name
    return True


def _body(node: ir.Node, schema: Any, version: int) -> onnx.FunctionProto | None:
    if schema.has_function:
        older = [each for each in schema.function_opset_versions if each <= version] or [version]
        serialized = schema.get_function_with_opset_version(max(older))
    elif schema.has_context_dependent_function:
        types = [b"" if value is None else _type(value).SerializeToString() for value in node.inputs]
        older = [each for each in schema.context_dependent_function_opset_versions if each <= version]
        proto = ir.to_proto(node).SerializeToString()
        serialized = schema.get_context_dependent_function_with_opset_version(
            max(older or [version]), proto, types
        )
    else:
        return None
    body = onnx.FunctionProto()
    body.ParseFromString(serialized)
    del body.output[len(node.outputs) :]
    made = {name for each in body.node for name in each.output}
    # A builder leaves out what it was not asked for, even where that is not the last output.
    return body if made.issuperset(body.output) else None


def _type(value: ir.Value) -> onnx.TypeProto:
    """The type of a value as the standard's builders of bodies want it."""
    proto = onnx.TypeProto()
    if value.dtype is not None:
        proto.tensor_type.elem_type = value.dtype.value
    for dim in value.shape or ():
        entry = proto.tensor_type.shape.dim.add()
        if isinstance(dim, int):
            entry.dim_value = dim
    return proto


def _state_defaults(node: ir.Node, schema: Any) -> None:
    """Give a node the attributes that it leaves to their defaults, as a body refers to them."""
    for name, attribute in schema.attributes.items():
        if name not in node.attributes and attribute.default_value.type != onnx.AttributeProto.UNDEFINED:
            node.attributes[name] = ir.serde.deserialize_attribute(attribute.default_value)
