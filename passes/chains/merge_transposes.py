"""Merge and cancel transposes: Transpose of Transpose, also with elementwise nodes between inverse ones.

A Transpose that moves no axis but those of size 1 only changes the shape and becomes a Reshape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import (
    Reject,
    Rule,
    Tape,
    attribute_ints,
    constant_tensor,
    facts,
    op,
    rank,
    rest,
    rule,
    same_dim,
    same_shape,
    var,
)
from graphopt.passes.chains._views import reshaped
from graphopt.passes.operands import keep
from graphopt.pipeline import RewritePass

Dim = int | ir.SymbolicDim

LONGEST_CHAIN = 8
"""Elementwise nodes looked through between two transposes."""


@rule(op("Transpose", op("Transpose", var("x"), shared=True, name="inner"), name="outer"))
def transpose_of_transpose(tape: Tape, x: ir.Value, inner: ir.Node, outer: ir.Node) -> ir.Value:
    """Transpose(Transpose(x))  ->  Transpose(x), or x."""
    first, second = permutation(inner), permutation(outer)
    merged = [first[axis] for axis in second]
    return x if merged == sorted(merged) else tape.op("Transpose", [x], {"perm": merged})


@rule(op("Transpose", var("y"), name="outer"))
def inverse_around_elementwise(tape: Tape, y: ir.Value, outer: ir.Node) -> ir.Value:
    """Transpose(f(g(Transpose(x))))  ->  f(g(x)), f and g of one operand, the transposes inverse."""
    chain: list[ir.Node] = []
    value = y
    while True:
        producer = value.producer()
        if producer is None or value.is_graph_output() or len(value.uses()) != 1:
            raise Reject("")
        if producer.op_type == "Transpose" and producer.domain == "":
            break
        if not is_unary(producer) or producer.graph is not outer.graph or len(chain) == LONGEST_CHAIN:
            raise Reject("")
        chain.append(producer)
        value = producer.inputs[0]  # type: ignore[assignment]
    first, second = permutation(producer), permutation(outer)
    if not chain or [first[axis] for axis in second] != list(range(len(first))):
        raise Reject("")
    x = producer.inputs[0]
    for node in reversed(chain):
        assert x is not None
        x = tape.op(node.op_type, [x, *node.inputs[1:]], node.attributes)
    assert x is not None
    return x


VIEW_OF_X = op("Reshape", var("x"), rest("_"), shared=True, name="first")


@rule(op("Reshape", op("Transpose", VIEW_OF_X, name="middle"), rest("__"), name="last"))
def transpose_between_reshapes(
    tape: Tape, x: ir.Value, first: ir.Node, middle: ir.Node, last: ir.Node
) -> ir.Value:
    """Reshape to joined axes, Transpose, Reshape back  ->  Transpose of all axes."""
    joined, result = first.outputs[0].shape, last.outputs[0].shape
    if x.shape is None or joined is None or result is None:
        raise Reject("a shape is not known")
    groups = _groups(x.shape.dims, joined.dims)
    if groups is None:
        raise Reject("")
    perm = [axis for group in permutation(middle) for axis in groups[group]]
    if not same_shape(ir.Shape([x.shape.dims[axis] for axis in perm]), result):
        raise Reject("")
    return tape.op("Transpose", [x], {"perm": perm})


@rule(op("Transpose", var("x"), name="node"))
def transpose_of_single_elements(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    """Transpose that moves only axes of size 1  ->  Reshape."""
    if x.shape is None or node.outputs[0].shape is None:
        raise Reject("")
    moved = [axis for axis in permutation(node) if x.shape.dims[axis] != 1]
    keep(x, moved == sorted(moved))
    return reshaped(tape, x, node.outputs[0].shape)


def _groups(dims: Sequence[Dim], joined: Sequence[Dim]) -> list[list[int]] | None:
    """For each joined dimension the consecutive axes whose product it is; None if there are none."""
    groups: list[list[int]] = []
    axis = 0
    for whole in joined:
        group: list[int] = []
        product: Dim = 1
        while axis < len(dims) and not (group and same_dim(product, whole)):
            product = dims[axis] * product
            group.append(axis)
            axis += 1
        if not same_dim(product, whole):
            return None
        groups.append(group)
    return groups if axis == len(dims) else None


def permutation(node: ir.Node) -> list[int]:
    """The axes of the input, in the order in which a Transpose puts them."""
    perm = attribute_ints(node, "perm")
    if perm is not None:
        return perm
    axes = rank(node.inputs[0])
    if axes is None:
        raise Reject("the rank is not known")
    return list(reversed(range(axes)))


def is_unary(node: ir.Node) -> bool:
    """Whether each output element depends on the one at its place and on scalar constants alone."""
    if not facts(node).elementwise or not node.inputs or len(node.outputs) != 1:
        return False
    if any(attribute.name == "axis" or attribute.is_ref() for attribute in node.attributes.values()):
        return False
    others = [constant_tensor(value) for value in node.inputs[1:] if value is not None]
    return all(tensor is not None and len(tensor.shape) == 0 for tensor in others)


@dataclass(frozen=True)
class MergeTransposes(RewritePass):
    """Merge and cancel transposes."""

    name: ClassVar[str] = "merge-transposes"
    exact: ClassVar[bool] = True
    rules: ClassVar[tuple[Rule, ...]] = (
        transpose_of_transpose,
        inverse_around_elementwise,
        transpose_between_reshapes,
        transpose_of_single_elements,
    )
