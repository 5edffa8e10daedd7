"""Reads scaled dot product attention backwards from its second product, however it is spelled.

    softmax(cap(s * q k^T) + mask) v

Scales may stand on the queries, the keys or the scores, as products or quotients; heads may be merged into
the batch and split again. Changes nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    Reject,
    attribute_int,
    attribute_ints,
    attribute_string,
    constant_tensor,
    rank,
    same_dim,
    same_shape,
    scalar,
)

MOST_STEPS = 24
"""Nodes between the two products that are looked at."""
HEADED = 4
"""Dimensions of a value with heads: batch, heads, rows, columns."""
LAST_AXIS_OPSET = 13
"""Before, Softmax flattened its input, and its axis was 1 by default."""
MASKED = -1e4
"""A constant at most so large in the place of a score leaves no weight on it, whatever the other scores."""


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


@dataclasses.dataclass(frozen=True, slots=True)
class Bias:
    """A mask that is added to the scores."""

    value: ir.Value
    factor: float


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """A mask that puts `fill` in the place of the scores where `condition` is not `kept`."""

    condition: ir.Value
    kept: bool
    fill: float


Mask = Bias | Choice


@dataclasses.dataclass(frozen=True, slots=True)
class Scores:
    """What stands between the weights of an attention and its queries and keys.

    Attributes:
        queries: [batch, heads, rows, columns], or without heads [batch, rows, columns].
        keys: Likewise.
        scale: What the product is multiplied with.
        masks: What is laid over it, first to last.
        softcap: Bound of the scores, 0 for none.
        guarded: Rows of weights that are not numbers count as zeros.
        value: The scores as the softmax reads them.
    """

    queries: Operand
    keys: Operand
    scale: float
    masks: tuple[Mask, ...]
    softcap: float
    guarded: bool
    value: ir.Value


def softmax_behind(weights: ir.Value, opset: int) -> tuple[ir.Node, bool] | None:
    """The Softmax that computes `weights`, and whether what is not a number was replaced by zero.

    Casts and views of the batch may stand between.

    Raises:
        Reject: The weights are used elsewhere too, or the softmax runs over another axis.
    """
    guarded = False
    value = weights
    for _ in range(MOST_STEPS):
        node = value.producer()
        if node is None or node.domain != "":
            return None
        if node.op_type == "Softmax":
            if not leads_to_product(node.inputs[0]):
                return None
            _require_last_axis(node, opset)
            allowed = 2 if guarded else 1
            _require_uses(value, allowed)
            return node, guarded
        if node.op_type == "Where":
            inner = _unguarded(node)
            if inner is None:
                return None
            _require_uses(value, 1)
            value, guarded = inner, True
        elif node.op_type in ("Cast", "Identity", "Reshape") or _is_idle_dropout(node):
            inner = node.inputs[0]
            if inner is None or (node.op_type == "Reshape" and not _views_batch(inner, value)):
                return None
            if node.op_type == "Cast" and not _is_float(inner):
                return None
            if not guarded:
                _require_uses(value, 1)
            value = inner
        else:
            return None
    return None


def read_scores(softmax: ir.Node, guarded: bool) -> Scores:
    """What the Softmax of an attention reads.

    Raises:
        Reject: Its input is no such thing; with a reason where it nearly is.
    """
    start = softmax.inputs[0]
    assert start is not None
    factor, softcap = 1.0, 0.0
    masks: list[Mask] = []
    value = start
    for _ in range(MOST_STEPS):
        node = value.producer()
        assert node is not None
        product = read_product(node)
        _require_uses(value, 1)
        if product is not None:
            left, right = product
            queries, by_queries = unscaled(left)
            keys, by_keys = unscaled(right)
            if keys.perm == _swapped(tuple(range(len(keys.perm)))):
                raise Reject("attention: the keys are not transposed")
            scale = factor * by_queries * by_keys
            if softcap:
                scale *= softcap
            if not scale > 0 or not np.isfinite(scale):
                raise Reject(f"attention: the scale {scale:g} is not positive")
            return Scores(queries, keys, scale, tuple(reversed(masks)), softcap, guarded, start)
        step = node.op_type
        if step in ("Mul", "Div"):
            inner, by = _scaled(node)
            if inner is None:
                raise Reject("attention: the scores are scaled by more than one number")
            factor *= by
            value = inner
        elif step in ("Add", "Sub"):
            inner, other = _masked(node)
            if softcap:
                raise Reject("attention: a mask is added before the scores are capped")
            masks.append(Bias(other, factor if step == "Add" else -factor))
            value = inner
        elif step == "Where":
            choice, inner = _chosen(node, factor)
            if softcap:
                raise Reject("attention: a mask is laid over the scores before they are capped")
            masks.append(choice)
            value = inner
        elif step == "Tanh":
            if softcap or not factor > 0:
                raise Reject("attention: the scores pass Tanh, and are not scaled back by a positive bound")
            softcap, factor = factor, 1.0
            value = _only(node)
        elif step == "Cast":
            inner = _only(node)
            if value.dtype != inner.dtype and value.dtype != ir.DataType.FLOAT:
                raise Reject(f"attention: the scores are cast to {value.dtype}")
            value = inner
        elif step in ("Identity", "Reshape"):
            value = _only(node)
        else:
            raise Reject("")
    raise Reject("")


def leads_to_product(value: ir.Value | None, steps: int = MOST_STEPS) -> bool:
    """Whether a value is made from a product of two computed matrices as scores are."""
    for _ in range(steps):
        node = None if value is None else value.producer()
        if node is None or node.domain != "":
            return False
        if read_product(node) is not None:
            return True
        if node.op_type in ("Mul", "Div"):
            value = _scaled(node)[0] or next(
                (each for each in node.inputs if constant_tensor(each) is None), None
            )
        elif node.op_type in ("Add", "Sub"):
            left, right = node.inputs
            value = left
            if node.op_type == "Add" and not leads_to_product(left, steps // 2):
                value = right
        elif node.op_type == "Where":
            value = next((each for each in node.inputs[1:] if scalar(each) is None), None)
        elif node.op_type in ("Tanh", "Identity") or (node.op_type == "Cast" and _is_float(node.inputs[0])):
            value = node.inputs[0]
        elif node.op_type == "Reshape" and value is not None:
            inner = node.inputs[0]
            value = inner if inner is not None and _views_batch(inner, value) else None
        else:
            return False
    return False


def read_product(node: ir.Node) -> tuple[Operand, Operand] | None:
    """Both factors of a batched product of computed matrices, rows by columns each: left @ right^T."""
    if node.domain != "" or node.op_type not in ("MatMul", "Einsum") or len(node.inputs) != 2:
        return None
    left, right = node.inputs
    if left is None or right is None or constant_tensor(left) or constant_tensor(right):
        return None
    if node.op_type == "Einsum":
        return _einsum_product(node, left, right)
    dims = rank(left)
    if dims is None or dims < 3 or dims != rank(right):
        return None
    straight = tuple(range(dims))
    return Operand(left, straight), Operand(right, _swapped(straight))


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
    turned = _swapped(tuple(range(dims)))
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
            inner, by = _scaled(node)
            if inner is None:
                break
            factor *= by
            operand = dataclasses.replace(operand, value=inner)
        elif node.op_type == "Cast" and _widens(node):
            operand = dataclasses.replace(operand, value=_only(node))
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


def _widens(node: ir.Node) -> bool:
    """Whether a Cast makes full floats of half ones."""
    source, result = node.inputs[0], node.outputs[0]
    return source is not None and (source.dtype, result.dtype) == (ir.DataType.FLOAT16, ir.DataType.FLOAT)


def _scaled_or_swapped(node: ir.Node, transposed: bool) -> bool:
    """Whether a Transpose is worth looking through: it is to be undone, or hides a scale."""
    source = node.inputs[0]
    behind = None if source is None else source.producer()
    return transposed or (behind is not None and behind.op_type in ("Mul", "Div"))


def _through_view(node: ir.Node, operand: Operand) -> Operand | None:
    """The transposed operand behind a Reshape that splits the batch of a Transpose of merged heads."""
    inner = node.inputs[0]
    source = None if inner is None else inner.producer()
    if (
        inner is None
        or source is None
        or source.op_type != "Transpose"
        or not _views_batch(inner, operand.value)
    ):
        return None
    dims = rank(inner)
    axes = attribute_ints(source, "perm")
    if dims is None or axes is None or axes != list(_swapped(tuple(range(dims)))) or source.inputs[0] is None:
        return None
    if operand.perm != _swapped(tuple(range(len(operand.perm)))):
        return None
    assert operand.value.shape is not None
    lead = tuple(operand.value.shape.dims[:-2])
    return Operand(source.inputs[0], tuple(range(dims)), lead)


def _swapped(perm: tuple[int, ...]) -> tuple[int, ...]:
    return (*perm[:-2], perm[-1], perm[-2])


def _scaled(node: ir.Node) -> tuple[ir.Value | None, float]:
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


def _masked(node: ir.Node) -> tuple[ir.Value, ir.Value]:
    """The scores and the mask of an addition.

    Raises:
        Reject: The mask may give the scores another shape.
    """
    left, right = node.inputs
    assert left is not None and right is not None
    scores, mask = (left, right) if node.op_type == "Sub" or leads_to_product(left) else (right, left)
    if not leads_to_product(scores):
        raise Reject("")
    if not same_shape(scores.shape, node.outputs[0].shape):
        _require_fits(mask, scores)
    return scores, mask


def _chosen(node: ir.Node, factor: float) -> tuple[Choice, ir.Value]:
    """The mask that a Where lays over the scores, and the scores."""
    condition, yes, no = node.inputs
    assert condition is not None
    for kept, scores, fill in ((True, yes, no), (False, no, yes)):
        number = scalar(fill)
        if number is None or scores is None or not leads_to_product(scores):
            continue
        level = float(number) * factor
        if not level <= MASKED:
            raise Reject(f"attention: the value of the mask, {level:g}, leaves weight on what is masked")
        if not same_shape(scores.shape, node.outputs[0].shape):
            _require_fits(condition, scores)
        return Choice(condition, kept, level), scores
    raise Reject("attention: scores are replaced by more than one number")


def _require_fits(mask: ir.Value, scores: ir.Value) -> None:
    """That of a mask with more columns than the scores is not looked for: the second product would fail."""
    if mask.shape is not None and scores.shape is not None and len(mask.shape) <= len(scores.shape):
        own = scores.shape.dims[len(scores.shape) - len(mask.shape) : -1]
        if all(dim == 1 or same_dim(dim, size) for dim, size in zip(mask.shape.dims, own, strict=False)):
            return
    raise Reject("attention: the mask may have more rows, heads or batches than the scores")


def _require_last_axis(softmax: ir.Node, opset: int) -> None:
    dims = rank(softmax.inputs[0])
    if dims is None:
        raise Reject("attention: the number of dimensions of the scores is not known")
    axis = attribute_int(softmax, "axis", -1 if opset >= LAST_AXIS_OPSET else 1)
    if axis not in (-1, dims - 1):
        raise Reject(f"attention: the softmax runs over axis {axis}, not the last one")


def _require_uses(value: ir.Value, most: int) -> None:
    if value.is_graph_output() or len(value.uses()) > most:
        raise Reject("attention: its scores or weights are used elsewhere too")


def _unguarded(node: ir.Node) -> ir.Value | None:
    """x of Where(IsNaN(x), 0, x), or of Where(Not(IsNaN(x)), x, 0); None of any other."""
    condition, yes, no = node.inputs
    test = None if condition is None else condition.producer()
    value, zero = no, yes
    if test is not None and test.op_type == "Not" and test.inputs[0] is not None:
        test, value, zero = test.inputs[0].producer(), yes, no
    if test is None or test.op_type != "IsNaN" or test.inputs[0] is not value or scalar(zero) != 0:
        return None
    return value


def _is_idle_dropout(node: ir.Node) -> bool:
    """Whether a Dropout drops nothing: it is not in training mode."""
    mode = node.inputs[2] if len(node.inputs) > 2 else None
    return node.op_type == "Dropout" and (mode is None or scalar(mode) == False)  # noqa: E712


def _views_batch(inner: ir.Value, outer: ir.Value) -> bool:
    """Whether a Reshape leaves the last two dimensions as they are."""
    if inner.shape is None or outer.shape is None or len(inner.shape) < 3 or len(outer.shape) < 3:
        return False
    return all(same_dim(inner.shape.dims[axis], outer.shape.dims[axis]) for axis in (-2, -1))


def _is_float(value: ir.Value | None) -> bool:
    return value is not None and value.dtype is not None and value.dtype.is_floating_point()


def _only(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    if value is None:
        raise Reject("")
    return value


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
