"""Attention as one operator: products of queries and keys, Softmax, products with values."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from graphopt.gradients.tape import NoGradient, Tape
from graphopt.ir import attribute_float, attribute_int, rank

Grads = Sequence[ir.Value | None]


def _attention(tape: Tape, node: ir.Node, index: int, gradients: Grads) -> ir.Value | None:
    """O = P V with P = softmax(scale Q K^T + mask): the chain rule, step by step."""
    _require_plain(node, index, gradients)
    q, k, v = node.inputs[:3]
    gradient = gradients[0]
    assert q is not None and k is not None and v is not None and gradient is not None
    if not rank(q) == rank(k) == rank(v) or rank(q) not in (3, 4):
        raise NoGradient("how many axes queries, keys and values have is not known")
    heads = attribute_int(node, "q_num_heads", 0)
    split = rank(q) == 3
    queries, keys, values, given = (
        _by_heads(tape, each, heads) if split else each for each in (q, k, v, gradient)
    )
    scale = _scale(tape, node, queries, q)
    weights = _weights(tape, node, queries, keys, scale, q)
    if index == 2:
        made = tape.op("MatMul", _turned(tape, weights), given)
    else:
        slope = tape.op("MatMul", given, _turned(tape, values))
        common = tape.total(tape.op("Mul", slope, weights), [-1])
        scores = tape.op("Mul", tape.op("Mul", weights, tape.op("Sub", slope, common)), scale)
        made = (
            tape.op("MatMul", scores, keys)
            if index == 0
            else tape.op("MatMul", _turned(tape, scores), queries)
        )
    x = node.inputs[index]
    assert x is not None
    return tape.reshaped(tape.op("Transpose", made, perm=[0, 2, 1, 3]), x) if split else made


def _require_plain(node: ir.Node, index: int, gradients: Grads) -> None:
    if index > 2:
        raise NoGradient("the mask or the past of Attention is computed")
    if any(value is not None for value in node.inputs[4:]) or any(each is not None for each in gradients[1:]):
        raise NoGradient("Attention has a past, or gives more than its result")
    if attribute_float(node, "softcap", 0.0):
        raise NoGradient("the scores of Attention are capped")
    q, k = node.inputs[:2]
    heads = attribute_int(node, "q_num_heads", 0), attribute_int(node, "kv_num_heads", 0)
    if rank(q) == 4 and q is not None and k is not None and q.shape is not None and k.shape is not None:
        same = q.shape.dims[1] == k.shape.dims[1]
    else:
        same = heads[0] == heads[1]
    if not same:
        raise NoGradient("several heads of queries share one of keys, or may do so")


def _by_heads(tape: Tape, value: ir.Value, heads: int) -> ir.Value:
    """[N, length, heads x size] as [N, heads, length, size]."""
    parts = tape.op("Reshape", value, tape.ints(0, 0, heads, -1))
    return tape.op("Transpose", parts, perm=[0, 2, 1, 3])


def _scale(tape: Tape, node: ir.Node, queries: ir.Value, like: ir.Value) -> ir.Value:
    given = attribute_float(node, "scale", 0.0)
    if given:
        return tape.number(given, like)
    if like.dtype is None:
        raise NoGradient(f"the type of {like.name!r} is not known")
    size = tape.op("Gather", tape.op("Shape", queries), tape.const_int(3))
    return tape.op("Reciprocal", tape.op("Sqrt", tape.op("Cast", size, to=int(like.dtype))))


def _weights(
    tape: Tape, node: ir.Node, queries: ir.Value, keys: ir.Value, scale: ir.Value, like: ir.Value
) -> ir.Value:
    """What each query takes of each value."""
    scores = tape.op("Mul", tape.op("MatMul", queries, _turned(tape, keys)), scale)
    mask = node.inputs[3] if len(node.inputs) > 3 else None
    never = tape.number(-math.inf, like)
    if mask is not None:
        if mask.dtype == ir.DataType.BOOL:
            scores = tape.op("Where", mask, scores, never)
        else:
            scores = tape.op("Add", scores, mask)
    if attribute_int(node, "is_causal", 0):
        lengths = tape.op("Slice", tape.op("Shape", scores), tape.ints(2), tape.ints(4))
        ones = tape.op("Expand", tape.number(1, like), lengths)
        seen = tape.op("Greater", tape.op("Trilu", ones, upper=0), tape.number(0, like))
        scores = tape.op("Where", seen, scores, never)
    return tape.op("Softmax", scores, axis=-1)


def _turned(tape: Tape, value: ir.Value) -> ir.Value:
    return tape.op("Transpose", value, perm=[0, 1, 3, 2])


RULES = {"Attention": _attention}
