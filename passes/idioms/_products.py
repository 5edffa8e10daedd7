"""Batched matrix products as attention has them: their factors, without scales, in whichever order of axes.

Changes nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from graphopt.ir import attribute_ints, attribute_string, constant_tensor, rank, same_dim, scalar

MOST_STEPS = 24
"""Nodes between the two products that are looked at."""


@dataclasses.dataclass(frozen=True, slots=True)
class Operand:
    """A factor of a product.

    Attributes:
        value: What it is read from.
        perm: How its axes are to be ordered, with batch dimensions first, rows and columns behind.
        rank: Number of dimensions.
        lead: Leading dimensions that replace all but the last two, or None.
    """

    value: ir.Value
    perm: tuple[int, ...]
    lead: tuple[object, ...] | None = None

    def dim(self, index: int) -> object:
        """Size or name of a dimension, counted from the end of the ordered value; None if not known."""
        if self.lead is not None and index < -2:
            return self.lead[index + 2]
        shape = self.value.shape
        return None if shape is None else shape.dims[self.perm[index]]

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.perm) if self.lead is None else len(self.lead) + 2


def read_product(node: ir.Node) -> tuple[Operand, Operand] | None:
    """Both factors of a batched product of matrices, rows by columns each: left @ right^T, right computed.

    Queries may be constant, as those are that a model has learned.
    """
    if node.domain != "" or node.op_type not in ("MatMul", "Einsum") or len(node.inputs) != 2:
        return None
    left, right = node.inputs
    if left is None or right is None or constant_tensor(right):
        return None
    if node.op_type == "Einsum":
        return _einsum_product(node, left, right)
    dims = rank(left)
    if dims is None or dims < 3 or dims != rank(right):
        return None
    straight = tuple(range(dims))
    return Operand(left, straight), Operand(right, swapped(straight))


def read_weighting(node: ir.Node) -> tuple[ir.Value, Operand, tuple[int, ...]] | None:
    """Weights [..., rows, columns] and values [..., columns, depth] of a product, and its result's order."""
    if node.domain != "" or node.op_type not in ("MatMul", "Einsum") or len(node.inputs) != 2:
        return None
    weights, values = node.inputs
    if weights is None or values is None or constant_tensor(weights):
        return None
    if node.op_type == "MatMul":
        dims = rank(values)
        if dims is None or dims < 3 or dims != rank(weights):
            return None
        straight = tuple(range(dims))
        return _turned_weighting(weights, values) or (weights, Operand(values, straight), straight)
    return _einsum_weighting(node, weights, values) or _einsum_weighting(node, values, weights)


def _turned_weighting(left: ir.Value, right: ir.Value) -> tuple[ir.Value, Operand, tuple[int, ...]] | None:
    """That of (weights @ values)^T, written as a product of both transposed."""
    values, weights = left.producer(), right.producer()
    if values is None or weights is None or values.op_type != "Transpose" or weights.op_type != "Transpose":
        return None
    dims = rank(left) or 0
    turned = swapped(tuple(range(dims)))
    axes = attribute_ints(values, "perm")
    if attribute_ints(weights, "perm") != list(turned) or axes is None or len(weights.outputs[0].uses()) > 1:
        return None
    if weights.inputs[0] is None or values.inputs[0] is None:
        return None
    return weights.inputs[0], Operand(values.inputs[0], tuple(axes[axis] for axis in turned)), turned


def unscaled(operand: Operand) -> tuple[Operand, float]:
    """An operand without the single numbers that it is multiplied with or divided by, and their product.

    Views that only split or merge batch dimensions are looked through on the way to a Transpose, and casts
    to a wider type.
    """
    factor = 1.0
    transposed = operand.perm != tuple(range(len(operand.perm)))
    for _ in range(MOST_STEPS):
        node = operand.value.producer()
        if node is None or node.domain != "":
            break
        if node.op_type in ("Mul", "Div"):
            inner, by = scaled_by(node)
            if inner is None:
                break
            factor *= by
            operand = dataclasses.replace(operand, value=inner)
        elif (
            node.op_type == "Cast" and node.inputs[0] is not None and _widens(node.inputs[0], node.outputs[0])
        ):
            operand = dataclasses.replace(operand, value=node.inputs[0])
        elif node.op_type == "Transpose" and operand.lead is None:
            if node.inputs[0] is None or not _scaled_or_swapped(node, transposed):
                break
            axes = attribute_ints(node, "perm") or list(reversed(range(len(operand.perm))))
            operand = Operand(node.inputs[0], tuple(axes[axis] for axis in operand.perm))
        elif node.op_type == "Reshape" and transposed and node.inputs[0] is not None:
            through = _through_view(node, operand)
            if through is None:
                break
            operand = through
        else:
            break
    return operand, factor


def _widens(source: ir.Value, result: ir.Value) -> bool:
    """Whether a Cast makes full floats of half ones."""
    return (source.dtype, result.dtype) == (ir.DataType.FLOAT16, ir.DataType.FLOAT)


def _scaled_or_swapped(node: ir.Node, transposed: bool) -> bool:
    """Whether a Transpose is worth looking through: it is to be undone, or hides a scale."""
    source = node.inputs[0]
    behind = None if source is None else source.producer()
    return transposed or (behind is not None and behind.op_type in ("Mul", "Div"))


def _through_view(node: ir.Node, operand: Operand) -> Operand | None:
    """The transposed operand behind a Reshape that splits the batch of a Transpose of merged heads."""
    inner = node.inputs[0]
    source = None if inner is None else inner.producer()
    if inner is None or source is None or source.op_type != "Transpose" or operand.lead is not None:
        return None
    axes = attribute_ints(source, "perm")
    if axes is None or source.inputs[0] is None or not views_batch(inner, operand.value):
        return None
    if operand.perm != swapped(tuple(range(len(operand.perm)))):
        return None
    assert operand.value.shape is not None
    lead = tuple(operand.value.shape.dims[:-2])
    return Operand(source.inputs[0], swapped(tuple(axes)), lead)


def swapped(perm: tuple[int, ...]) -> tuple[int, ...]:
    return (*perm[:-2], perm[-1], perm[-2])


def scaled_by(node: ir.Node) -> tuple[ir.Value | None, float]:
    """The value that a Mul or Div scales by one number, and the number; None where it does not."""
    left, right = node.inputs
    for value, other in ((left, right), (right, left)) if node.op_type == "Mul" else ((left, right),):
        number = scalar(other)
        if value is None or number is None or constant_tensor(value) is not None:
            continue
        if (rank(other) or 0) > (rank(value) or 0) or not np.issubdtype(type(number), np.floating):
            continue
        if node.op_type == "Mul":
            return value, float(number)
        if float(number) != 0.0:
            return value, 1.0 / float(number)
    return None, 1.0


def views_batch(inner: ir.Value, outer: ir.Value) -> bool:
    """Whether a Reshape leaves the last two dimensions as they are."""
    if inner.shape is None or outer.shape is None or len(inner.shape) < 3 or len(outer.shape) < 3:
        return False
    return all(same_dim(inner.shape.dims[axis], outer.shape.dims[axis]) for axis in (-2, -1))


def _equation(node: ir.Node) -> tuple[str, str, str] | None:
    """The terms of an Einsum of two operands without repeated letters, the result named."""
    text = attribute_string(node, "equation", "").replace(" ", "")
    operands, arrow, result = text.partition("->")
    terms = operands.split(",")
    if (
        not arrow
        or len(terms) != 2
        or not all(each.isalpha() and len(set(each)) == len(each) for each in terms)
    ):
        return None
    return (terms[0], terms[1], result) if len(set(result)) == len(result) else None


def _order(term: str, letters: Sequence[str]) -> tuple[int, ...]:
    return tuple(term.index(letter) for letter in letters)


def _einsum_product(node: ir.Node, left: ir.Value, right: ir.Value) -> tuple[Operand, Operand] | None:
    """Factors of an Einsum whose result ends with the rows of one factor and those of the other."""
    terms = _equation(node)
    if terms is None:
        return None
    one, other, result = terms
    if len(result) < 3 or len(one) != len(result) or len(other) != len(result):
        return None
    batch, rows, columns = result[:-2], result[-2], result[-1]
    if rows in other:
        left, right, one, other = right, left, other, one
    summed = set(one) - set(result)
    if len(summed) != 1 or set(other) - set(result) != summed or rows in other or columns in one:
        return None
    (inner,) = summed
    if set(one) != {*batch, rows, inner} or set(other) != {*batch, columns, inner}:
        return None
    return (
        Operand(left, _order(one, (*batch, rows, inner))),
        Operand(right, _order(other, (*batch, columns, inner))),
    )


def _einsum_weighting(
    node: ir.Node, weights: ir.Value, values: ir.Value
) -> tuple[ir.Value, Operand, tuple[int, ...]] | None:
    terms = _equation(node)
    if terms is None:
        return None
    one, other = terms[:2] if node.inputs[0] is weights else (terms[1], terms[0])
    result = terms[2]
    if len(one) < 3 or len(one) != len(other) or len(one) != len(result):
        return None
    batch, rows, columns = one[:-2], one[-2], one[-1]
    depth = set(other) - set(one)
    if len(depth) != 1 or columns not in other or rows in other:
        return None
    (deep,) = depth
    if set(other) != {*batch, columns, deep} or set(result) != {*batch, rows, deep}:
        return None
    straight = (*batch, rows, deep)
    order = tuple(straight.index(letter) for letter in result)
    return weights, Operand(values, _order(other, (*batch, columns, deep))), order
