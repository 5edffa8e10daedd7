"""What a node becomes where its data is kept with its axes in another order, and the parts to say it with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    PROVENANCE_KEY,
    Names,
    Reject,
    constant,
    constant_tensor,
    constant_value,
    infer_node,
    rank,
)
from graphopt.passes.layout._perms import Perm, Segment, across, reverse
from graphopt.passes.operands import an

OUTPUT = -1
"""Stands for the outputs of a node where an input's number may stand."""


class Builder:
    """Makes nodes and constants of one graph."""

    def __init__(self, model: ir.Model, graph: ir.Graph, names: Names) -> None:
        self.model = model
        self.graph = graph
        self.names = names
        self._constants: dict[tuple[ir.Value | None, str], ir.Value] = {}

    def const(self, array: np.ndarray[Any, Any], like: ir.Value | None, key: object) -> ir.Value:
        """A constant; one for the same original and the same `key`, which says what was done to it."""
        known = self._constants.get((like, repr(key)))
        if known is not None:
            return known
        name = self.names.fresh((like and like.name) or "constant")
        contiguous = np.ascontiguousarray(array).reshape(array.shape)
        dtype = None if like is None else like.dtype
        value = constant_value(name, contiguous, dtype)
        self.graph.initializers.add(value)
        self._constants[like, repr(key)] = value
        return value

    def node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any],
        before: ir.Node | None,
    ) -> ir.Value:
        """A node of one output in front of another, or behind all."""
        base = (inputs[0] and inputs[0].name) or op_type
        output = ir.Value(name=self.names.fresh(f"{base}/{op_type}"))
        made = ir.Node(
            "", op_type, inputs, ir.convenience.convert_attributes(dict(attributes)), outputs=[output],
            name=output.name,
        )  # fmt: skip
        if before is None:
            self.graph.append(made)
        else:
            made.metadata_props[PROVENANCE_KEY] = (
                before.metadata_props.get(PROVENANCE_KEY) or before.name or ""
            )
            self.graph.insert_before(before, made)
        infer_node(self.model, made)
        return output


@dataclasses.dataclass
class Draft:
    """A node about to be made in the place of another; edits change it.

    Attributes:
        node: The node that it replaces.
        op_type: Its operator.
        inputs: Its inputs, data in the order that the layout asks for.
        attributes: Its attributes.
        builder: Makes what else it needs.
    """

    node: ir.Node
    op_type: str
    inputs: list[ir.Value | None]
    attributes: dict[str, ir.Attr]
    builder: Builder

    def set(self, name: str, value: Any) -> None:
        """Set an attribute."""
        self.attributes[name] = ir.convenience.convert_attribute(name, value)

    def set_const(self, index: int, array: np.ndarray[Any, Any], key: object) -> None:
        """Put a constant in the place of a constant input."""
        self.inputs[index] = self.builder.const(array, self.inputs[index], key)

    def pick(self, index: int, order: Sequence[int]) -> None:
        """Let a vector input, constant or not, come with its elements in another order."""
        value = self.inputs[index]
        array = constant(value)
        if array is not None:
            self.set_const(index, array[list(order)], ("pick", tuple(order)))
            return
        indices = self.builder.const(np.array(order, dtype=np.int64), None, tuple(order))
        self.inputs[index] = self.builder.node("Gather", [value, indices], {"axis": 0}, self.node)


Edit = Callable[[Draft], None]


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """The orders of axes in which a node reads and makes its data.

    Attributes:
        inputs: Order of each data input; inputs that are not named come as they are.
        outputs: Order of all outputs.
        edits: What changes of the node itself.
        others: Constant inputs of other nodes that change with it: node, input, new array of the old.
        adds_node: A further small node is needed.
    """

    inputs: Mapping[int, Perm]
    outputs: Perm
    edits: Sequence[Edit] = ()
    others: Sequence[tuple[ir.Node, int, Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]]] = ()
    adds_node: bool = False

    def perm(self, port: int) -> Perm | None:
        """The order of an input, or of the outputs; None for an input that comes as it is."""
        return self.outputs if port == OUTPUT else self.inputs.get(port)


@dataclasses.dataclass(frozen=True)
class Ask:
    """The question how a node goes on if one of its values is kept in another order.

    Attributes:
        node: The node.
        port: Number of the input, or OUTPUT.
        perm: Its order.
        opset: Version of the standard operator set.
        current: The layout that the node has now; None for that in which it stands.
    """

    node: ir.Node
    port: int
    perm: Perm
    opset: int
    current: Layout | None = None

    def data(self, index: int = 0) -> ir.Value:
        """A data input.

        Raises:
            Reject: It is absent.
        """
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        if value is None:
            raise Reject(f"{an(self.node.op_type)} without its data")
        return value

    def rank(self, index: int = 0) -> int:
        """The rank of a data input.

        Raises:
            Reject: It is not known.
        """
        found = rank(self.data(index))
        if found is None:
            raise Reject("the rank is not known")
        return found

    def primary(self, segments: Sequence[Segment] | None = None) -> tuple[Perm, Perm]:
        """The orders of input 0 and of the outputs; `segments` lead from one to the other, if they differ.

        Raises:
            Reject: The question is about another input, or the order does not pass.
        """
        own = self.rank()
        segments = [((axis,), (axis,)) for axis in range(own)] if segments is None else segments
        what = self.node.op_type
        if constant_tensor(self.node.inputs[0]) is not None:
            raise Reject(f"{an(what)} of a constant")
        if self.port == OUTPUT:
            order = across(reverse(segments), self.perm, what)
            return order, self.perm
        if self.port != 0:
            raise Reject(f"input {self.port} of {an(what)} has a fixed order of axes")
        return self.perm, across(segments, self.perm, what)

    def fixed(self, axes: Sequence[int], perm: Perm) -> None:
        """Require axes to stay where they are.

        Raises:
            Reject: One moves.
        """
        if any(perm[axis] != axis for axis in axes):
            raise Reject(f"{an(self.node.op_type)} has a fixed order of axes")


def same_for_all(ask: Ask, rank_of_all: int) -> Perm:
    """The order asked for, of nodes whose data all have one rank."""
    if len(ask.perm) != rank_of_all:
        raise Reject(f"an operand of {an(ask.node.op_type)} of fewer dimensions")
    return ask.perm


def set_axis(axis: int, perm: Perm, name: str = "axis") -> Edit:
    """The edit that lets an attribute name the same axis in another order."""
    place = perm.index(axis)
    return lambda draft: draft.set(name, place)
