"""The step that makes a Gemm of a MatMul and the Add behind it, between Reshapes where there are batches."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from graphopt.ir import rank, static_shape
from graphopt.quant.pairs import consumers, edges
from graphopt.quant.rehearsal.edits import alike, insert, literal, origins, remove, replace

_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def fuse_matmul_add(graph: ir.Graph) -> None:
    """Make Gemms where the shapes are known and the other term is a row that a Gemm takes as its bias."""
    for product in [node for node in graph if node.op_type == "MatMul" and not node.domain]:
        value = product.outputs[0]
        if edges(value) != 1 or value.is_graph_output() or not consumers(value):
            continue
        add, place = consumers(value)[0]
        if add.op_type == "Add" and not add.domain:
            _fuse(product, add, add.inputs[1 - place])


def _fuse(product: ir.Node, add: ir.Node, bias: ir.Value | None) -> None:
    data, weight = product.inputs[:2]
    if data is None or weight is None or data.dtype not in _FLOATS or rank(weight) != 2:
        return
    flat, shape = rank(data) == 2, static_shape(data)
    assert weight.shape is not None
    inner, columns = weight.shape[0], weight.shape[1]
    if data.shape is None or not (flat or shape is not None):
        return
    if not flat and not (isinstance(inner, int) and isinstance(columns, int)):
        return
    if not _is_bias(bias, columns, data.shape[0] if flat else None):
        return
    assert product.graph is not None
    if shape is not None and not flat:
        rows = literal(np.array([math.prod(shape[:-1]), inner], np.int64))
        data = insert(add, "Reshape", [data, rows]).outputs[0]
    gemm = insert(add, "Gemm", [data, weight, bias], stands_for=origins(product) + origins(add))
    made = gemm.outputs[0]
    if shape is not None and not flat:
        made = insert(add, "Reshape", [made, literal(np.array([*shape[:-1], columns], np.int64))]).outputs[0]
    alike(made, add.outputs[0])
    replace(add.outputs[0], made)
    remove(add)
    remove(product)


def _is_bias(bias: ir.Value | None, columns: int | ir.SymbolicDim, rows: int | ir.SymbolicDim | None) -> bool:
    if bias is None or bias.shape is None:
        return False
    dims = list(bias.shape)
    if len(dims) == 1:
        return bool(dims[0] == columns)
    if rows is None or len(dims) != 2:
        return False
    return (dims[0] == 1 and dims[1] == columns) or (dims[0] == rows and (dims[1] == 1 or dims[1] == columns))
