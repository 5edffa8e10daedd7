"""What the installed onnxruntime can run at all: which opsets, and which operators of them."""

from __future__ import annotations

import functools
from typing import Any

import onnx
import onnx.defs
import onnx_ir as ir
from onnx import helper

from graphopt.errors import ExecutionError
from graphopt.execute.session import Session
from graphopt.ir.kernels import kernels
from graphopt.ir.opsets import oldest_ir_version


@functools.cache
def runs_opset(version: int) -> bool:
    """Whether the installed onnxruntime loads models of an opset and of the IR version that goes with it."""
    value = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(()))
    node = ir.Node("", "Identity", [value], name="identity")
    node.outputs[0].name = "y"
    graph = ir.Graph([value], node.outputs, nodes=[node], opset_imports={"": version}, name="probe")
    try:
        Session(ir.Model(graph, ir_version=oldest_ir_version(version)), fallback=False)
    except ExecutionError:
        return False
    return True


@functools.cache
def runs_operator(op_type: str, version: int) -> bool:
    """Whether the installed onnxruntime has a CPU kernel for a standard operator as an opset defines it.

    True as well where it does without one because the operator is a function of others that mean the same at
    that opset, and where this onnxruntime does not tell which kernels it has.
    """
    known = kernels()
    if not known or not onnx.defs.has(op_type, domain="", max_inclusive_version=version):
        return True
    schema: Any = onnx.defs.get_schema(op_type, version, "")
    since = schema.since_version
    if any(kernel.serves(since) for kernel in known.get(op_type, ())):
        return True
    if schema.has_context_dependent_function:
        return all(runs_operator(each, since) for each in _operators_within(schema))
    return bool(schema.has_function) and all(
        _definition(node.op_type, since) == _definition(node.op_type, version)
        for node in schema.function_body.node
    )


def _operators_within(schema: Any) -> list[str]:
    """Operators of the function that an operator is on float32; none where it needs to know more."""
    names = [formal.name for formal in schema.inputs[: max(schema.min_input, 1)]]
    node = helper.make_node(schema.name, names, ["out"])
    single = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None).SerializeToString()
    try:
        body = schema.get_context_dependent_function(node.SerializeToString(), [single] * len(names))
    except (RuntimeError, ValueError):
        return []
    made = onnx.FunctionProto.FromString(body).node
    return [each.op_type for each in made if each.op_type not in (schema.name, "Constant")]


def _definition(op_type: str, version: int) -> int:
    return int(onnx.defs.get_schema(op_type, version, "").since_version)
