"""What the nodes that take up a scale or shift would become; nothing of it is in the graph yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir import Reject
from graphopt.passes.fusion._affine import BINARY
from graphopt.passes.fusion._arrays import Array, aligned, dtype_of, exact, rounded
from graphopt.passes.fusion._carry import Kind
from graphopt.passes.fusion._linear import COPIED_WEIGHT_BYTES, Linear, refuse_big_copy
from graphopt.passes.operands import an

MOST_NODES = 32
"""Nodes looked at for one scale or shift, so that the time stays linear in the size of the graph."""


class Plan:
    """Changes that together take up one scale or shift.

    Attributes:
        graph: The graph whose nodes take part; others never do.
        opset: Version of the standard operator set.
        narrow: Values are float16, where a value that a scale kept small may overflow without it.
        views: New weights and biases of linear nodes.
    """

    def __init__(self, graph: ir.Graph, opset: int, *, narrow: bool) -> None:
        self.graph = graph
        self.opset = opset
        self.narrow = narrow
        self.views: dict[ir.Node, Linear] = {}
        self._seen: set[ir.Node] = set()
        self._constants: dict[tuple[ir.Node, int], Array] = {}

    def visit(self, node: ir.Node) -> None:
        """Take `node` into the region; Reject if a second path leads to it or the region is too large."""
        if node in self._seen:
            raise Reject(f"it reaches {an(node.op_type)} twice")
        if len(self._seen) >= MOST_NODES:
            raise Reject("it reaches too many nodes")
        self._seen.add(node)

    def edit(self, node: ir.Node, index: int, array: Array, kind: Kind) -> None:
        """Scale or shift the constant input `index` of `node`; Reject if it would grow."""
        value = operand(node, index)
        old = self._constants.get((node, index))
        old = exact(value) if old is None else old
        new = old * array if kind is Kind.SCALE else old + array
        if new.size > max(old.size, array.size) or (new.shape != old.shape and node.op_type not in BINARY):
            raise Reject("a constant would grow")
        refuse_big_copy(value)
        self._constants[node, index] = new

    def copy(self) -> Plan:
        """A plan that goes on from here by itself."""
        other = Plan(self.graph, self.opset, narrow=self.narrow)
        other.views, other._seen, other._constants = dict(self.views), set(self._seen), dict(self._constants)
        return other

    def become(self, other: Plan) -> None:
        """Go on as `other`."""
        self.views, self._seen, self._constants = other.views, other._seen, other._constants

    def new_constants(self) -> list[tuple[ir.Node, int, npt.NDArray[Any]]]:
        """New constants by node and input; Reject where one overflows, underflows or grows the file."""
        made: list[tuple[ir.Node, int, npt.NDArray[Any]]] = []
        for (node, index), array in self._constants.items():
            made.append((node, index, rounded(array, dtype_of(operand(node, index)))))
        for node, view in self.views.items():
            for index, new in ((1, view.new_weight()), (2, view.new_bias())):
                if new is not None:
                    made.append((node, index, new))
        _refuse_many_copies(made)
        return made


def _refuse_many_copies(made: Sequence[tuple[ir.Node, int, npt.NDArray[Any]]]) -> None:
    """Reject copies of shared constants that are small each and together let the file grow."""
    variants: dict[ir.Value, list[bytes]] = defaultdict(list)
    for node, index, array in made:
        old = node.inputs[index] if index < len(node.inputs) else None
        if old is not None and len(old.uses()) > 1:
            variants[old].append(array.tobytes())
    grown = 0
    for old, copies in variants.items():
        kept = len(copies) < len(old.uses())
        grown += len(copies[0]) * (len(set(copies)) - (not kept))
    if grown > COPIED_WEIGHT_BYTES:
        raise Reject(f"copies of weights that several nodes use would take {grown} bytes")


def operand(node: ir.Node, index: int) -> ir.Value:
    """Input `index` of `node`; Reject if there is none."""
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None:
        raise Reject(f"{an(node.op_type)} lacks an input")
    return value


def require_fit(array: Array, value: ir.Value) -> None:
    """Reject an array that does not certainly broadcast into the shape of `value`."""
    if array.size == 1:
        return
    if value.shape is None or len(value.shape) < array.ndim:
        raise Reject("the shape of a value on the way is not known")
    dims = zip(aligned(array.shape, len(value.shape)), value.shape.dims, strict=True)
    if not all(size in (1, dim) for size, dim in dims):
        raise Reject("the shape of a value on the way is not known")


def refuse(node: ir.Node, kind: Kind) -> Reject:
    """The refusal to raise where `node` lets nothing of this kind pass."""
    return Reject(f"a {kind.value} does not pass {an(node.op_type)}")
