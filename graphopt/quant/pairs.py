"""Nodes that quantize and dequantize: which they are, what codes they write or read, who consumes a value.

Reads graphs, never changes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import attribute_int, constant, constant_tensor

QUANTIZE = "QuantizeLinear"
DEQUANTIZE = "DequantizeLinear"
DOMAINS = ("", "com.microsoft")
"""Both operators exist in the standard and, older, in onnxruntime's domain."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Codes:
    """What a Q writes or a DQ reads.

    Attributes:
        dtype: Type of the codes; None where nothing says.
        scale: The scale, if constant.
        zero_point: The zero point, if given and constant.
        given: Whether a zero point is given.
        whole: Whether there is one scale for the tensor.
    """

    dtype: ir.DataType | None
    scale: Array | None
    zero_point: Array | None
    given: bool
    whole: bool

    @property
    def constant(self) -> bool:
        """One constant scale, and one constant zero point if any."""
        return self.whole and self.scale is not None and (self.zero_point is not None or not self.given)

    @property
    def range(self) -> tuple[float, float] | None:
        """The least and the greatest number that the codes stand for, if constant."""
        if not self.constant or self.dtype is None or not self.dtype.is_integer():
            return None
        assert self.scale is not None
        scale, zero = float(self.scale.reshape(-1)[0]), self.zero
        low, high = code_range(self.dtype)
        return scale * (low - zero), scale * (high - zero)

    @property
    def zero(self) -> int:
        """The zero point of constant codes."""
        return 0 if self.zero_point is None else int(self.zero_point.reshape(-1)[0])

    def same(self, other: Codes) -> bool:
        """Whether both spell out one scale and one zero point, the same constants."""
        if not (self.constant and other.constant and self.given and other.given):
            return False
        assert self.scale is not None and other.scale is not None
        return (
            self.dtype == other.dtype
            and self.zero == other.zero
            and self.scale.reshape(-1)[0] == other.scale.reshape(-1)[0]
        )


def code_range(dtype: ir.DataType) -> tuple[int, int]:
    """The least and the greatest code of an integer type."""
    bits, signed = dtype.bitwidth, dtype.is_signed()
    return (-(1 << bits - 1) if signed else 0), (1 << bits - signed) - 1


def is_q(node: ir.Node | None) -> bool:
    """Whether a node quantizes."""
    return node is not None and node.op_type == QUANTIZE and node.domain in DOMAINS


def is_dq(node: ir.Node | None) -> bool:
    """Whether a node dequantizes."""
    return node is not None and node.op_type == DEQUANTIZE and node.domain in DOMAINS


def codes_of(node: ir.Node) -> Codes:
    """The codes of a Q or DQ."""
    scale = node.inputs[1] if len(node.inputs) > 1 else None
    zero = node.inputs[2] if len(node.inputs) > 2 else None
    scales, zeros = constant(scale), constant(zero)
    dtype = _dtype(zero)
    if dtype is None and is_dq(node):
        dtype = _dtype(node.inputs[0])
    if dtype is None and is_q(node):
        named = attribute_int(node, "output_dtype", 0)
        dtype = ir.DataType(named) if named else ir.DataType.UINT8
    whole = _is_single(scale, scales) and not attribute_int(node, "block_size", 0)
    return Codes(dtype, scales, zeros, given=zero is not None, whole=whole)


def consumers(value: ir.Value) -> list[tuple[ir.Node, int]]:
    """Nodes of the value's own graph that read it, with the input's position, in the graph's order."""
    graph = _graph_of(value)
    return [(node, place) for node, place in value.uses() if node.graph is graph]


def is_read_inside(value: ir.Value) -> bool:
    """Whether a body of control flow reads the value from outside."""
    graph = _graph_of(value)
    return any(node.graph is not graph for node, _ in value.uses())


def edges(value: ir.Value) -> int:
    """How many inputs are fed by the value; a body counts as one."""
    return len(consumers(value)) + is_read_inside(value)


def producer(value: ir.Value | None, graph: ir.Graph | ir.Function | None) -> ir.Node | None:
    """The node that makes a value, if it stands in that graph."""
    node = None if value is None else value.producer()
    return node if node is not None and node.graph is graph else None


def _graph_of(value: ir.Value) -> ir.Graph | ir.Function | None:
    node = value.producer()
    return value.graph if node is None else node.graph


def _dtype(value: ir.Value | None) -> ir.DataType | None:
    if value is None:
        return None
    tensor = constant_tensor(value)
    if tensor is not None:
        return tensor.dtype
    node = value.producer()
    if is_q(node):
        assert node is not None
        return codes_of(node).dtype
    return value.dtype


def _is_single(value: ir.Value | None, array: Array | None) -> bool:
    if array is not None:
        return array.ndim == 0 or array.shape == (1,)
    return value is not None and value.shape is not None and tuple(value.shape) in ((), (1,))
