"""How much a run of a model computes, from the shapes that were seen in one.

The number depends on the model and the shapes alone, never on the machine or its load, so that what is chosen
by it is chosen again. It is rough: bodies and functions count as one node.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx_ir as ir

_MACS_PER_ELEMENT = 16
"""What it costs to write one element, in multiply-accumulates of a well-blocked product."""

Shape = tuple[int, ...]


def work(model: ir.Model, shapes: Mapping[str, Shape]) -> int:
    """Multiply-accumulates of the main graph's products, and a price for each element written.

    Args:
        model: The model, only read.
        shapes: Shapes of values by name, as `Session.run_observed` returns them; nodes without are left out.
    """
    return sum(_work(node, shapes) for node in model.graph)


def _work(node: ir.Node, shapes: Mapping[str, Shape]) -> int:
    inputs = [_shape(value, shapes) for value in node.inputs]
    written = sum(math.prod(shape) for value in node.outputs if (shape := _shape(value, shapes)) is not None)
    return written * _MACS_PER_ELEMENT + _macs(node, inputs, written)


def _macs(node: ir.Node, inputs: list[Shape | None], written: int) -> int:
    data, weight = (*inputs, None, None)[:2]
    if not data or not weight:
        return 0
    match node.op_type:
        case "Conv" | "FusedConv":
            return written * math.prod(weight[1:])
        case "ConvTranspose":
            return math.prod(data) * math.prod(weight[1:])
        case "MatMul" | "MatMulInteger":
            return written * data[-1]
        case "Gemm":
            # M K, K N and M N elements: the root of their product is M K N, whatever is transposed.
            return math.isqrt(written * math.prod(data) * math.prod(weight))
        case "LSTM" | "GRU" | "RNN":
            recurrent = inputs[2] if len(inputs) > 2 else None
            return math.prod(data[:2]) * (math.prod(weight) + math.prod(recurrent or (0,)))
    return 0


def _shape(value: ir.Value | None, shapes: Mapping[str, Shape]) -> Shape | None:
    if value is None:
        return None
    if value.const_value is not None:
        return tuple(value.const_value.shape.numpy())
    return shapes.get(value.name or "")
