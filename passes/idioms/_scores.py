"""Reads scaled dot product attention backwards from its second product, however it is spelled.

    softmax(cap(s * q k^T) + mask) v

Scales may stand on the queries, the keys or the scores, as products or quotients; heads may be merged into
the batch and split again. Changes nothing.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    Reject,
    attribute_int,
    constant,
    constant_tensor,
    rank,
    same_dim,
    same_shape,
    scalar,
)
from graphopt.passes.idioms._products import (
    MOST_STEPS,
    Operand,
    read_product,
    scaled_by,
    swapped,
    unscaled,
    views_batch,
)
from graphopt.passes.operands import MASKED

HEADED = 4
"""Dimensions of a value with heads: batch, heads, rows, columns."""
LAST_AXIS_OPSET = 13
"""Before, Softmax flattened its input, and its axis was 1 by default."""


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
        merged: Of each mask whether it is laid over scores whose heads are merged with their batch.
        lead: Batch and heads of scores that are not so; None where all are.
        softcap: Bound of the scores, 0 for none.
        guarded: Rows of weights that are not numbers count as zeros.
        value: The scores as the softmax reads them.
    """

    queries: Operand
    keys: Operand
    scale: float
    masks: tuple[Mask, ...]
    merged: tuple[bool, ...]
    lead: tuple[object, ...] | None
    softcap: float
    guarded: bool
    value: ir.Value


def products_behind(weights: ir.Value) -> tuple[ir.Node, ...]:
    """The nodes from the weights of an attention back to the product of its queries and keys, last first."""
    way: list[ir.Node] = []
    value: ir.Value | None = weights
    while value is not None and len(way) < MOST_STEPS:
        node = value.producer()
        if node is None:
            break
        way.append(node)
        if node.op_type in ("MatMul", "Einsum"):
            break
        value = next((each for each in node.inputs if each is not None and leads_to_product(each)), None)
    return tuple(way)


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
            if inner is None or (node.op_type == "Reshape" and not views_batch(inner, value)):
                return None
            if node.op_type == "Cast" and not _is_float(inner):
                return None
            if not guarded:
                _require_uses(value, 1)
            value = inner
        else:
            _refuse_near_weights(node)
            return None
    return None


def _refuse_near_weights(node: ir.Node) -> None:
    """Tell of what makes weights from scores, but not by a softmax alone.

    Raises:
        Reject: It does.
    """
    if node.op_type == "Sigmoid" and leads_to_product(node.inputs[0]):
        raise Reject("attention: the weights come from a Sigmoid, not from a softmax")
    if node.op_type in ("Add", "Div", "Mul", "Sub"):
        for value in node.inputs:
            source = None if value is None else value.producer()
            if source is not None and source.op_type == "Softmax" and leads_to_product(source.inputs[0]):
                what = "mask or factor" if node.op_type in ("Div", "Mul") else "bias"
                raise Reject(f"attention: a {what} is laid over the weights, behind the softmax")


def read_scores(softmax: ir.Node, guarded: bool) -> Scores:
    """What the Softmax of an attention reads.

    Raises:
        Reject: Its input is no such thing; with a reason where it nearly is.
    """
    start = softmax.inputs[0]
    assert start is not None
    factor, softcap = 1.0, 0.0
    masks: list[Mask] = []
    merged: list[bool] = []
    lead: tuple[object, ...] | None = None
    value = start
    for _ in range(MOST_STEPS):
        node = value.producer()
        if node is None:
            raise Reject("")
        if value.shape is not None and len(value.shape) == HEADED:
            lead = tuple(value.shape.dims[:-2])
        product = read_product(node)
        _require_uses(value, 1)
        if product is not None:
            left, right = product
            queries, by_queries = unscaled(left)
            keys, by_keys = unscaled(right)
            if keys.perm == swapped(tuple(range(len(keys.perm)))):
                raise Reject("attention: the keys are not transposed")
            scale = factor * by_queries * by_keys
            if softcap:
                scale *= softcap
            if not scale > 0 or not np.isfinite(scale):
                raise Reject(f"attention: the scale {scale:g} is not positive")
            masks, merged = masks[::-1], merged[::-1]
            return Scores(queries, keys, scale, tuple(masks), tuple(merged), lead, softcap, guarded, start)
        step = node.op_type
        if step in ("Mul", "Div"):
            inner, by = scaled_by(node)
            if inner is None:
                raise Reject("attention: the scores are scaled by more than one number")
            factor *= by
            value = inner
        elif step in ("Add", "Sub"):
            inner, other = _masked(node)
            if softcap:
                raise Reject("attention: a mask is added before the scores are capped")
            if guarded:
                _require_weights(other, 1 if step == "Add" else -1)
            masks.append(Bias(other, factor if step == "Add" else -factor))
            merged.append(rank(value) == HEADED - 1)
            value = inner
        elif step == "Where":
            choice, inner = _chosen(node, factor)
            if softcap:
                raise Reject("attention: a mask is laid over the scores before they are capped")
            masks.append(choice)
            merged.append(rank(value) == HEADED - 1)
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
            value = scaled_by(node)[0] or next(
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
            value = inner if inner is not None and views_batch(inner, value) else None
        else:
            return False
    return False


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


def _require_weights(bias: ir.Value, sign: int) -> None:
    """Refuse constants under which a whole row is not a number; minus infinity is what the operator knows."""
    node = bias.producer()
    chosen = node.inputs[1:] if node is not None and node.op_type == "Where" and not node.domain else (bias,)
    for each in chosen:
        array = constant(each)
        if array is not None and array.dtype.kind in "fV":
            numbers = sign * array.astype(np.float64)
            if np.isnan(numbers).any() or (numbers == np.inf).any():
                raise Reject(
                    "attention: its mask may take the weights of a whole row away, which a guard looks for"
                )


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


def _is_float(value: ir.Value | None) -> bool:
    return value is not None and value.dtype is not None and value.dtype.is_floating_point()


def _only(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    if value is None:
        raise Reject("")
    return value
