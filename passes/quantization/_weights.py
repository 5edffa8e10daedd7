"""Where constants are weights, and how each use of one can read codes in their place. Changes nothing."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, attribute_float, attribute_int, constant_tensor, rank
from graphopt.passes.operands import an

WEIGHT_INPUTS = {
    "MatMul": (0, 1),
    "Gemm": (0, 1),
    "Conv": (1,),
    "ConvTranspose": (1,),
    "LSTM": (1, 2),
    "GRU": (1, 2),
    "RNN": (1, 2),
    "Gather": (0,),
    "Slice": (0,),
}
"""Operators that are linear in a constant, and the inputs at which it may stand."""
ROWS_LEAST = 64
"""Elements of a row of a table below which it is no embedding: look-ups of scales, sizes and the like."""


class Role(enum.Enum):
    """How a use reads its codes."""

    PRODUCT = "multiplied by codes"
    """The second operand of a product of matrices: there are kernels that multiply by codes."""
    ROWS = "rows of codes"
    """A table of which rows are read: only these are decoded."""
    STORED = "decoded at load"
    """Any other: the constant is decoded as a whole, once, when a runtime loads the model."""


@dataclass(frozen=True)
class Use:
    """One use of a constant as a weight.

    Attributes:
        node: The user.
        index: Which input.
        role: What it can read.
    """

    node: ir.Node
    index: int
    role: Role


def use_of(node: ir.Node, index: int, weight: ir.Value, keep: Collection[str] = ()) -> Use:
    """How a node may read the codes of a constant.

    Args:
        node: A user.
        index: At which input it stands.
        weight: A constant of known shape.
        keep: Names of nodes whose weights are to stay.

    Raises:
        Reject: Only float32 will do.
    """
    if node.domain or index not in WEIGHT_INPUTS.get(node.op_type, ()):
        raise Reject(f"the weights are an operand of {an(node.op_type)} too")
    if (node.name or node.outputs[0].name) in keep:
        raise Reject("its weights are to stay")
    return Use(node, index, _role(node, index, weight))


def _role(node: ir.Node, index: int, weight: ir.Value) -> Role:
    if node.op_type == "Gather":
        by_row = attribute_int(node, "axis", 0) == 0 and (rank(weight) or 0) > 1
        return Role.ROWS if by_row and _row_elements(weight) >= ROWS_LEAST else Role.STORED
    multiplies = node.op_type == "MatMul" or (node.op_type == "Gemm" and is_plain(node))
    return Role.PRODUCT if multiplies and index == 1 and rank(weight) == 2 else Role.STORED


def _row_elements(weight: ir.Value) -> int:
    tensor = constant_tensor(weight)
    assert tensor is not None
    return int(tensor.size) // max(int(tensor.shape.numpy()[0]), 1)


def is_plain(gemm: ir.Node) -> bool:
    """Whether a Gemm is a product with the first operand as it is, and perhaps a sum."""
    summed = len(gemm.inputs) > 2 and gemm.inputs[2] is not None
    factors = [attribute_float(gemm, "alpha", 1.0), attribute_float(gemm, "beta", 1.0) if summed else 1]
    return factors == [1, 1] and not attribute_int(gemm, "transA", 0)


def leading_axes(node: ir.Node, axes: int) -> int:
    """How many of the first axes of a weight are its rows, which a group of weights does not go beyond."""
    if node.op_type in ("LSTM", "GRU", "RNN"):
        return 2
    return 1 if node.op_type.startswith("Conv") else axes - 1


def sums_over_rows(node: ir.Node, index: int) -> bool:
    """Whether a node sums over the first axis of its matrix of weights.

    Blocks lie along the axis that is summed over: OpenVINO 2026.4 takes decoded weights for such.
    """
    if node.op_type not in ("MatMul", "Gemm"):
        return False
    return bool(index) != bool(attribute_int(node, ("transA", "transB")[index], 0))


def finite(array: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> bool:
    """Whether no element is NaN or infinite."""
    return bool(np.isfinite(array).all())
