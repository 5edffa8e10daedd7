"""Run one node on arrays, as written and by itself."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnx_ir as ir
from onnx import helper

from graphopt.errors import ExecutionError
from graphopt.execute.session import Session
from graphopt.testing.generate.known import Content, value_info


def run_node(
    node: onnx.NodeProto, operands: Mapping[str, Content], *, opset: int, ir_version: int
) -> list[Content]:
    """The outputs of one node, those left out not counted.

    Args:
        node: A node of the standard domain; its bodies may read any of the operands.
        operands: What it reads, by name.
        opset: Version of the standard domain.
        ir_version: Version of the file format.

    Raises:
        ExecutionError: No runtime here takes the node, or it cannot run on these operands.
    """
    ends = [value_info(name, content) for name, content in operands.items()]
    names = [name for name in node.output if name]
    graph = helper.make_graph([node], "node", ends, [onnx.ValueInfoProto(name=name) for name in names])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    try:  # onnxruntime trusts operands that the standard rules out, and may end the process on them
        onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True)
    except (onnx.shape_inference.InferenceError, ValueError) as error:
        raise ExecutionError(str(error)) from error
    results = Session(ir.from_proto(proto)).run(operands)
    return [results[name] for name in names]
