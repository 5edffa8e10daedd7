"""Which regions onnxruntime runs as fast as a program would: for who cannot measure.

Told from the graph alone, by what was measured (x86-64 with AVX-512 VNNI, one thread). Reads graphs, never
changes them.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from graphopt.ir import attribute_int
from graphopt.native.regions import Region, is_work

FEW_ROWS = 32
"""Floats times weights in blocks: with more rows than this onnxruntime decodes the weights and is faster."""
IN_CODES = 4
"""The `accuracy_level` at which onnxruntime makes codes of the floats as well, and is faster."""


def doubt(region: Region) -> str | None:
    """Why a program is not likely to be faster; None where it is."""
    reasons = [_doubt(node) for node in region.nodes if is_work(node)]
    return reasons[0] if reasons and all(reasons) else None


def _doubt(node: ir.Node) -> str | None:
    if node.op_type != "MatMulNBits":
        return None
    if attribute_int(node, "accuracy_level", 0) == IN_CODES:
        return "onnxruntime multiplies codes where floats are multiplied here"
    data = node.inputs[0]
    dims = None if data is None or data.shape is None else [*data.shape][:-1]
    if dims is None or not all(isinstance(size, int) for size in dims):
        return "onnxruntime is faster with many rows, and how many there are is not known"
    if math.prod(size for size in dims if isinstance(size, int)) > FEW_ROWS:
        return "onnxruntime is faster with many rows"
    return None
