"""What the installed onnxruntime can run at all, found out by trying."""

from __future__ import annotations

import functools

import onnx_ir as ir

from graphopt.errors import ExecutionError
from graphopt.execute.session import Session


@functools.cache
def runs_opset(version: int) -> bool:
    """Whether the installed onnxruntime loads models of opset `version`."""
    value = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(()))
    node = ir.Node("", "Identity", [value], name="identity")
    node.outputs[0].name = "y"
    graph = ir.Graph([value], node.outputs, nodes=[node], opset_imports={"": version}, name="probe")
    try:
        Session(ir.Model(graph, ir_version=8), fallback=False)
    except ExecutionError:
        return False
    return True
