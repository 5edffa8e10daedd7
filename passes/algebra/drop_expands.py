"""Let operators broadcast by themselves what was expanded for them.

    Mul(x, Expand(s, shape))             ->  Mul(x, s)
    Add(x, Where(Expand(m, shape), 0, c))  ->  Add(x, Where(m, 0, c))

A value that holds a smaller one again and again is replaced by the smaller one, where everything that reads
it, some nodes on, comes to the shape it had. Such values are made by Expand and Tile, and by neutral operands
that broadcast: And with what is always true, a product with ones. Not bit for bit: onnxruntime's Where turns
-0.0 into 0.0 depending on which side is broadcast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    Changes,
    Reject,
    attribute_int,
    constant,
    facts,
    graphs,
    ints,
    remove_node,
    replace_value,
    same_dim,
)
from graphopt.ir.dims import Dim
from graphopt.passes.operands import is_filled_with
from graphopt.pipeline import Pass

MOST_NODES = 32
COMPARISONS = ("GreaterOrEqual", "Greater", "LessOrEqual", "Less")
NOT_BROADCASTING = frozenset({"CastLike", "PRelu", "QuantizeLinear", "DequantizeLinear"})
"""Elementwise operators whose second operand does not take part in the shape as those of a sum do."""
NEUTRAL: dict[str, tuple[float, tuple[int, ...]]] = {
    "And": (True, (0, 1)),
    "Or": (False, (0, 1)),
    "Mul": (1, (0, 1)),
    "Add": (0.0, (0, 1)),
    "Div": (1, (1,)),
    "Sub": (0.0, (1,)),
}
"""Operator -> the operand that changes nothing and the places where it may stand."""


@dataclass(frozen=True)
class DropExpands(Pass):
    """Let operators broadcast by themselves what was expanded for them."""

    name: ClassVar[str] = "drop-expands"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        for graph in graphs(model):
            while (refused := _drop_all(graph, changes)) is None:
                pass  # what was dropped may have been what kept another
            for node, reason in refused.items():
                changes.refuse(reason, node.name)


def _drop_all(graph: ir.Graph, changes: Changes) -> dict[ir.Node, str] | None:
    """Drop what can be dropped; if that was nothing, say why of each node that might have been."""
    refused: dict[ir.Node, str] = {}
    before = changes.count
    for node in list(graph):
        source = None if node.domain else _source(node)
        if source is None or source.shape is None:
            continue
        try:
            smaller = _Smaller(graph)
            smaller.fit(node.outputs[0], source.shape.dims)
            replace_value(node.outputs[0], source)
        except Reject as reason:
            refused[node] = f"{node.op_type}: {reason}"
            continue
        for value, dims in smaller.shapes.items():
            value.shape = ir.Shape(dims)
        remove_node(node)
        changes.add(f"{node.op_type} made implicit")
    return refused if changes.count == before else None


def _source(node: ir.Node) -> ir.Value | None:
    """The smaller value that the output of `node` repeats, None where it does something else."""
    if node.op_type == "Expand":
        return node.inputs[0]
    if node.op_type == "Tile":
        return node.inputs[0] if _tiles_single_elements(node) else None
    if node.op_type in NEUTRAL and len(node.inputs) == 2:
        neutral, places = NEUTRAL[node.op_type]
        for place in places:
            operand, other = node.inputs[place], node.inputs[1 - place]
            if operand is None or other is None:
                continue
            always = node.op_type == "And" and _is_always_true(operand)
            if always or is_filled_with(operand, neutral):
                return other
    return None


def _tiles_single_elements(node: ir.Node) -> bool:
    x, repeats = node.inputs[0], ints(node.inputs[1]) if len(node.inputs) > 1 else None
    if x is None or x.shape is None or repeats is None or len(repeats) != len(x.shape):
        return False
    return all(times == 1 or dim == 1 for times, dim in zip(repeats, x.shape.dims, strict=True))


def _is_always_true(value: ir.Value) -> bool:
    """Whether a condition compares a range that starts at 0 with what never is above it."""
    node = value.producer()
    if (
        node is None
        or node.domain
        or node.op_type not in ("GreaterOrEqual", "Greater", "LessOrEqual", "Less")
    ):
        return False
    high, low = node.inputs if node.op_type.startswith("Greater") else reversed(node.inputs)
    limit, least = constant(low), _least(high)
    if limit is None or least is None or limit.size == 0:
        return False
    return bool(np.all(least >= limit) if node.op_type.endswith("OrEqual") else np.all(least > limit))


def _least(value: ir.Value | None) -> float | None:
    """The least element of a Range by positive steps, views of it included."""
    node = None if value is None else value.producer()
    while node is not None and not node.domain and facts(node).moves and node.op_type != "Concat":
        node = None if node.inputs[0] is None else node.inputs[0].producer()
    if node is None or node.op_type != "Range" or node.domain:
        return None
    start, step = constant(node.inputs[0]), constant(node.inputs[2])
    return None if start is None or step is None or not np.all(step > 0) else float(start.reshape(()))


@dataclass
class _Smaller:
    """What values come to when one of them is replaced by a smaller one.

    Attributes:
        graph: All readers have to stand in it.
        shapes: New shapes of values that shrink on the way.
    """

    graph: ir.Graph
    shapes: dict[ir.Value, Sequence[Dim]] = field(default_factory=dict)

    def fit(self, value: ir.Value, dims: Sequence[Dim]) -> None:
        """Let `value` have `dims`; Reject where a reader would come to something else."""
        if value.is_graph_output():
            raise Reject("its shape reaches an output of the graph")
        self.shapes[value] = dims
        if len(self.shapes) > MOST_NODES:
            raise Reject("its shape reaches too many nodes")
        for use in value.uses():
            self._fit_reader(use.node)

    def _fit_reader(self, node: ir.Node) -> None:
        known = facts(node)
        if node.graph is not self.graph or node.domain or not known.known or len(node.outputs) != 1:
            raise Reject(f"a {node.op_type} reads its shape")
        output = node.outputs[0]
        if output.shape is None:
            raise Reject("the shape of a value on the way is not known")
        if known.elementwise and node.op_type not in NOT_BROADCASTING:
            new: Sequence[Dim] = _broadcast([self._dims(operand) for operand in node.inputs])
        elif node.op_type == "Gather" and attribute_int(node, "axis", 0) == 0:
            table = node.inputs[0]
            if table is None or table in self.shapes:
                raise Reject("a Gather reads its shape")
            new = [*self._dims(node.inputs[1]), *self._dims(table)[1:]]
        elif node.op_type == "MatMul":
            new = self._product(node)
        else:
            raise Reject(f"a {node.op_type} reads its shape")
        if self.shapes.get(output) == new or _same(new, output.shape.dims):
            return
        self.fit(output, new)

    def _dims(self, value: ir.Value | None) -> Sequence[Dim]:
        if value is None:
            return ()
        if value in self.shapes:
            return self.shapes[value]
        if value.shape is None:
            raise Reject("the shape of a value on the way is not known")
        return value.shape.dims

    def _product(self, node: ir.Node) -> Sequence[Dim]:
        left, right = (self._dims(operand) for operand in node.inputs)
        old_left, old_right = (operand.shape for operand in node.inputs if operand is not None)
        assert old_left is not None and old_right is not None
        if min(len(left), len(right)) < 2 or not (
            _same(left[-2:], old_left.dims[-2:]) and _same(right[-2:], old_right.dims[-2:])
        ):
            raise Reject("a MatMul multiplies what was repeated")
        return [*_broadcast([left[:-2], right[:-2]]), left[-2], right[-1]]


def _same(left: Sequence[Dim], right: Sequence[Dim]) -> bool:
    return len(left) == len(right) and all(same_dim(a, b) for a, b in zip(left, right, strict=True))


def _broadcast(shapes: Sequence[Sequence[Dim]]) -> list[Dim]:
    """The shape that operands broadcast to; Reject where two sizes may differ."""
    made: list[Dim] = [1] * max(len(shape) for shape in shapes)
    for shape in shapes:
        for at, dim in enumerate(shape, start=len(made) - len(shape)):
            if dim == 1 or same_dim(dim, made[at]):
                continue
            if made[at] != 1 and isinstance(made[at], int) == isinstance(dim, int):
                raise Reject("two sizes on the way may differ")
            if made[at] == 1 or isinstance(dim, int):
                made[at] = dim
    return made
