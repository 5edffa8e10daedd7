"""The values of one graph with its transposes looked through, and what it costs to keep each in an order.

Every node has a layout; where the order in which a value is made is not the order in which it is read, a
Transpose must stand. The layouts change here, the graph does not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import onnx_ir as ir

from graphopt.ir import Reject, constant_tensor, graph_and_bodies, rank
from graphopt.passes.chains.merge_transposes import permutation
from graphopt.passes.layout._carry import carry, works_along
from graphopt.passes.layout._layout import Layout
from graphopt.passes.layout._perms import (
    Perm,
    between,
    compose,
    identity,
    moved_ones,
    moves_only_ones,
    swaps_last_two,
)
from graphopt.passes.layout._pieces import pieces

NODE = 1 << 16
"""What running one more node costs, in bytes moved: 3 microseconds at 20 GB/s in onnxruntime."""

PIECE = 1 << 6
"""What copying one more piece of a value costs: 3 nanoseconds."""

UNKNOWN_SIZE = 32
"""A size that is not known, for comparisons."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Use:
    """One reading of a value.

    Attributes:
        node: Who reads it; None for the graph's interface.
        index: Number of the input.
        perm: The order in which it is read, as the graph stands.
        value: What is read, as the graph stands: the value itself or a Transpose of it.
    """

    node: ir.Node | None
    index: int
    perm: Perm
    value: ir.Value


class Flow:
    """Values, uses and layouts of one graph.

    Attributes:
        uses: Value -> its uses; values that are Transposes of others do not count, constants neither.
        layouts: Layout of each node that does not work in the order of axes in which it stands.
        transposes: Nodes that are looked through.
    """

    def __init__(self, graph: ir.Graph, opset: int) -> None:
        self.graph = graph
        self.opset = opset
        self.uses: dict[ir.Value, list[Use]] = {}
        self.layouts: dict[ir.Node, Layout] = {}
        self.transposes: list[ir.Node] = []
        self._origins: dict[ir.Value, tuple[ir.Value, Perm]] = {}
        self._pinned = _read_in_bodies(graph)
        self._reads: dict[ir.Node, list[tuple[int, ir.Value, Perm]]] = {}
        for node in graph:
            self._add(node)
        for value in graph.outputs:
            self._add_output(value)

    def origin(self, value: ir.Value) -> tuple[ir.Value, Perm] | None:
        """The value that it is a Transpose of, perhaps itself, and the order; None without a known rank."""
        found = self._origins.get(value)
        if found is None:
            axes = rank(value)
            return None if axes is None else (value, identity(axes))
        return found

    def reads(self, node: ir.Node) -> list[tuple[int, ir.Value, Perm]]:
        """The data of a node: number of the input, the value behind it, the order in which it is read."""
        return self._reads.get(node, [])

    def kept(self, value: ir.Value) -> Perm:
        """The order in which a value is made."""
        layout = self.layouts.get(value.producer())  # type: ignore[arg-type]
        return identity(len(value.shape or ())) if layout is None else layout.outputs

    def wanted(self, use: Use) -> Perm:
        """The order of the value's axes in which it is read."""
        layout = None if use.node is None else self.layouts.get(use.node)
        perm = None if layout is None else layout.perm(use.index)
        return use.perm if perm is None else compose(use.perm, perm)

    def layout_of(self, node: ir.Node | None, port: int, perm: Perm) -> Layout:
        """The layout of a node that reads or makes a value in another order.

        Raises:
            Reject: It has none.
        """
        if node is None or node.graph is not self.graph:
            raise Reject("an input or output of the graph has a fixed order of axes")
        if any(output in self._pinned for output in node.outputs):
            raise Reject("another graph reads it")
        if any(rank(output) is None and output.uses() for output in node.outputs):
            raise Reject("the rank is not known")
        return carry(node, port, perm, self.opset, self.layouts.get(node))

    def move(self, value: ir.Value, made: Perm, wanted: Perm, uses: Iterable[Use]) -> int:
        """What it costs to have a value in another order than it is made in."""
        if made == wanted:
            return 0
        assert value.shape is not None
        dims = [value.shape.dims[axis] for axis in made]
        perm = between(made, wanted)
        if moves_only_ones(perm, dims):
            return NODE // 2
        if swaps_last_two(perm) and all(
            use.node is not None and use.node.op_type == "MatMul" for use in uses
        ):
            return NODE // 8  # runtimes let a MatMul read the operand as it is
        return _bytes(value) + NODE

    def cost(self, value: ir.Value) -> int:
        """What all orders in which a value is read cost."""
        made = self.kept(value)
        groups: dict[Perm, list[Use]] = {}
        for use in self.uses.get(value, ()):
            groups.setdefault(self.wanted(use), []).append(use)
        return sum(self.move(value, made, perm, uses) for perm, uses in groups.items())

    def penalty(self, node: ir.Node, layout: Layout | None) -> int:
        """What it costs that a node works in a layout, transposes not counted."""
        extra = NODE // 2 if layout is not None and layout.adds_node else 0
        if works_along(node, layout):
            extra += 2 * _bytes(node.outputs[0])  # runtimes transpose it themselves, and back
        return extra + PIECE * pieces(node, layout, UNKNOWN_SIZE)

    def total(self, values: Iterable[ir.Value], nodes: Iterable[ir.Node]) -> int:
        """What some values and nodes cost with the layouts as they are."""
        return sum(map(self.cost, values)) + sum(self.penalty(node, self.layouts.get(node)) for node in nodes)

    def unmet(self) -> list[tuple[ir.Value, Use]]:
        """Uses that read a value in another order than it is made in."""
        return [
            (value, use)
            for value, uses in self.uses.items()
            if len(uses) > 0
            for made in [self.kept(value)]
            for use in uses
            if self.wanted(use) != made
        ]

    def _add(self, node: ir.Node) -> None:
        if node.outputs and node.outputs[0] not in self._pinned:
            perm = transposition(node)
            origin = None if perm is None else self.origin(node.inputs[0])  # type: ignore[arg-type]
            if perm is not None and origin is not None and len(perm) == len(origin[1]):
                self._origins[node.outputs[0]] = origin[0], compose(origin[1], perm)
                self.transposes.append(node)
                return
        reads = [
            (index, *origin)
            for index, value in enumerate(node.inputs)
            if value is not None and constant_tensor(value) is None
            for origin in [self.origin(value)]
            if origin is not None
        ]
        self._reads[node] = reads
        for index, value, perm in reads:
            self.uses.setdefault(value, []).append(Use(node, index, perm, node.inputs[index]))  # type: ignore[arg-type]

    def _add_output(self, output: ir.Value) -> None:
        origin = self.origin(output)
        if origin is not None and constant_tensor(output) is None:
            self.uses.setdefault(origin[0], []).append(Use(None, 0, origin[1], output))


def transposition(node: ir.Node) -> Perm | None:
    """The permutation that a node is: a Transpose, or a Reshape that only moves axes of size 1."""
    if node.domain or any(attribute.is_ref() for attribute in node.attributes.values()):
        return None
    value = node.inputs[0] if node.inputs else None
    if value is None or constant_tensor(value) is not None:
        return None
    if node.op_type == "Transpose":
        if value.shape is None:
            return None
        perm = tuple(permutation(node))
        return perm if sorted(perm) == list(range(len(value.shape))) else None
    if node.op_type == "Reshape" and value.shape is not None and node.outputs[0].shape is not None:
        return moved_ones(value.shape.dims, node.outputs[0].shape.dims)
    return None


def _read_in_bodies(graph: ir.Graph) -> set[ir.Value]:
    """The values of a graph that graphs inside its nodes read."""
    inner = [body for body in graph_and_bodies(graph) if body is not graph]
    read = {value for body in inner for node in body for value in node.inputs if value is not None}
    read.update(value for body in inner for value in body.outputs)
    return {value for value in read if value.graph is graph}


def _bytes(value: ir.Value) -> int:
    """The size of a value of known rank."""
    assert value.shape is not None
    size = 4
    if value.dtype is not None and value.dtype != ir.DataType.STRING:
        size = max(value.dtype.bitwidth // 8, 1)
    for dim in value.shape.dims:
        size *= dim if isinstance(dim, int) else UNKNOWN_SIZE
    return size
