"""Where rules write down how elements of axes hang together: links, blocks, and views to be decided later.

Every element of every axis of known size is an *atom*, numbered through the whole graph. An atom of a
weight stands for one slice of the weight. Nothing here knows an operator.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir import constant_tensor, subgraphs

Index = npt.NDArray[np.int64]
Dim = int | str
"""A size, or the name of one that is not known; equal names are equal sizes."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """One axis of a value."""

    value: ir.Value
    axis: int


@dataclasses.dataclass(frozen=True)
class Link:
    """Atoms of two axes that stay or go together, pair by pair; a node makes the second of the first.

    Attributes:
        node: That says so.
        source: An axis, mostly of an input.
        target: An axis, mostly of an output.
        sources: Positions on the source's axis.
        targets: Positions on the target's axis, as many.
    """

    node: ir.Node
    source: Axis
    target: Axis
    sources: Index
    targets: Index


@dataclasses.dataclass(frozen=True)
class Sink:
    """Where channels end: a node sums products over an axis of its data and one of its weight.

    Attributes:
        node: The node.
        data: The axis of what it reads.
        weight: The axis of what it multiplies with; of equal length but for grouped convolutions.
    """

    node: ir.Node
    data: Axis
    weight: Axis


@dataclasses.dataclass(frozen=True)
class View:
    """One axis that is several on the other side of a node: of these one may lose elements, the others not.

    Attributes:
        node: The node.
        whole: The one axis.
        factors: The several, from the outermost to the innermost.
    """

    node: ir.Node
    whole: Axis
    factors: tuple[Axis, ...]


@dataclasses.dataclass(frozen=True)
class Block:
    """Why atoms cannot go.

    Attributes:
        reason: In words that follow on "these channels stay, because".
        node: Name of the node, or of the graph's input or output, that says so.
    """

    reason: str
    node: str


class Site:
    """The atoms of a graph, and what its nodes say of them.

    Args:
        model: With inferred shapes; only read. Graphs inside nodes, and functions, are not looked into.
    """

    def __init__(self, model: ir.Model) -> None:
        self.model = model
        self.links: list[Link] = []
        self.sinks: list[Sink] = []
        self.views: list[View] = []
        self.averages: list[Axis] = []
        self.blocks: list[Block] = []
        self.axes: list[Axis] = []
        self._dims: dict[ir.Value, tuple[Dim, ...]] = {}
        self._starts: dict[Axis, int] = {}
        self._told: set[Axis] = set()
        self.count = 0
        self._blocked: list[tuple[Index, int]] = []
        graph = model.graph
        for value in (*graph.inputs, *graph.initializers.values()):
            self._add(value)
        for node in graph:
            for value in node.outputs:
                self._add(value)

    def _add(self, value: ir.Value) -> None:
        if value in self._dims:
            return
        tensor = constant_tensor(value)
        if tensor is not None:
            dims: tuple[Dim, ...] = tuple(tensor.shape.numpy())
        elif value.shape is None:
            return
        else:
            dims = tuple(
                dim if isinstance(dim, int) else dim.value or f"{value.name}[{axis}]"
                for axis, dim in enumerate(value.shape.dims)
            )
        self._dims[value] = dims
        for axis, dim in enumerate(dims):
            if isinstance(dim, int) and dim > 0:
                place = Axis(value, axis)
                self._starts[place] = self.count
                self.axes.append(place)
                self.count += dim

    def dims(self, value: ir.Value | None) -> tuple[Dim, ...] | None:
        """Sizes of a value; None where not even their number is known."""
        return None if value is None else self._dims.get(value)

    def size(self, value: ir.Value | None, axis: int) -> int | None:
        """Size of an axis where it is known."""
        dims = self.dims(value)
        if dims is None or not -len(dims) <= axis < len(dims):
            return None
        dim = dims[axis]
        return dim if isinstance(dim, int) else None

    def place(self, value: ir.Value, axis: int) -> Axis:
        """An axis, counted from the front."""
        return Axis(value, axis + len(self._dims[value]) if axis < 0 else axis)

    def atoms(self, axis: Axis) -> Index | None:
        """The atoms of an axis; None where its size is not known."""
        start = self._starts.get(axis)
        if start is None:
            return None
        size = self._dims[axis.value][axis.axis]
        assert isinstance(size, int)
        return np.arange(start, start + size)

    def link(
        self,
        node: ir.Node,
        source: Axis,
        target: Axis,
        sources: Sequence[int] | Index | None = None,
        targets: Sequence[int] | Index | None = None,
    ) -> None:
        """Say that elements of two axes stay or go together; all of them in order if no positions are given.

        Axes of unknown size have no atoms: where one of the two is known, it is blocked.
        """
        self._told |= {source, target}
        one, other = self.atoms(source), self.atoms(target)
        if one is None or other is None:
            for axis in (source, target):
                self.block(node, axis, f"the size of {axis.value.name!r} is not known")
            return
        first = np.arange(len(one)) if sources is None else np.asarray(sources, np.int64)
        second = np.arange(len(other)) if targets is None else np.asarray(targets, np.int64)
        if len(first) != len(second):
            for axis in (source, target):
                self.block(node, axis, "sizes on both sides differ")
            return
        if source.value.producer() is node and target.value.producer() is not node:
            source, target, first, second = target, source, second, first
        self.links.append(Link(node, source, target, first, second))

    def sink(self, node: ir.Node, data: Axis, weight: Axis) -> None:
        """Say that a node sums products over two axes."""
        self._told |= {data, weight}
        self.sinks.append(Sink(node, data, weight))

    def average(self, axis: Axis) -> None:
        """Say that a node takes a mean over an axis, of which elements that hold zeros may go."""
        self._told.add(axis)
        self.averages.append(axis)

    def view(self, node: ir.Node, whole: Axis, factors: Sequence[Axis]) -> None:
        """Say that one axis is several on the other side."""
        self._told |= {whole, *factors}
        self.views.append(View(node, whole, tuple(factors)))

    def free(self, axis: Axis) -> None:
        """Say that a node lets elements of an axis go, or come from nowhere."""
        self._told.add(axis)

    def block(
        self, node: ir.Node | str, axis: Axis, reason: str, at: Sequence[int] | Index | None = None
    ) -> None:
        """Say that elements of an axis must stay."""
        self._told.add(axis)
        atoms = self.atoms(axis)
        if atoms is None:
            return
        name = node if isinstance(node, str) else node.name or ""
        self.blocks.append(Block(reason, name))
        self._blocked.append((atoms if at is None else atoms[np.asarray(at, np.int64)], len(self.blocks) - 1))

    def visit(self, node: ir.Node, rule: Any) -> None:
        """Let a rule speak of a node; axes that it says nothing of are blocked."""
        self._told = set()
        if rule is not None:
            rule(self, node)
        told = self._told
        inner = [value for graph in subgraphs(node) for value in _captured(graph)]
        for value in dict.fromkeys((*node.inputs, *node.outputs, *inner)):
            if value is None:
                continue
            for axis in self._axes_of(value):
                if axis not in told and self._dims[value][axis.axis] != 1:
                    self.block(node, axis, _why(node, rule))

    def _axes_of(self, value: ir.Value) -> list[Axis]:
        return [Axis(value, axis) for axis in range(len(self._dims.get(value, ())))]

    def block_value(self, value: ir.Value, reason: str) -> None:
        """Say that all of a value must stay."""
        for axis in self._axes_of(value):
            self.block(value.name or "", axis, reason)

    def blocked(self) -> Index:
        """For each atom the number of a block, or -1."""
        found = np.full(self.count, -1, np.int64)
        for atoms, block in reversed(self._blocked):
            found[atoms] = block
        return found


def _captured(graph: ir.Graph) -> Iterator[ir.Value]:
    """Values that a body reads, its own among them."""
    for node in graph:
        yield from (value for value in node.inputs if value is not None)
        for body in subgraphs(node):
            yield from _captured(body)
    yield from graph.outputs


def _why(node: ir.Node, rule: Any) -> str:
    what = node.op_type if not node.domain else f"{node.domain}.{node.op_type}"
    return f"{what} is not known to let any go" if rule is None else f"{what} needs all of them"


def components(count: int, pairs: Iterable[tuple[Index, Index]]) -> Index:
    """For each of `count` atoms the least atom that it is linked with, directly or through others."""
    label = np.arange(count)
    listed = list(pairs)
    if not listed:
        return label
    one = np.concatenate([first for first, _ in listed])
    other = np.concatenate([second for _, second in listed])
    while True:
        left, right = label[one], label[other]
        low, high = np.minimum(left, right), np.maximum(left, right)
        differ = low != high
        if not differ.any():
            return label
        one, other = one[differ], other[differ]
        np.minimum.at(label, high[differ], low[differ])
        while True:
            shorter = label[label]
            if np.array_equal(shorter, label):
                break
            label = shorter
