"""Attention: products of floats with a softmax between them, one matrix for each head.

Operands that are codes are brought into the order of heads as codes, and the result is encoded before it is
brought back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from graphopt.ir import attribute_float, attribute_int
from graphopt.native.lower.forms import Form, Grid, Known, Pending, Stored
from graphopt.native.lower.ops.elementwise import aligned
from graphopt.native.lower.ops.pools import bounded
from graphopt.native.lower.scope import Scope, Unsupported, identity, known
from graphopt.native.lower.steps import Dims, Value

_IN_FLOAT = (0, 1)
"""Types that its softmax is computed in: that of its operands, or float32."""
_ORDER = identity(4)
_MASKED = np.float32(np.finfo(np.float32).min)
"""What a score becomes that is masked: of rows that have no other, softmax is the mean."""


def attention(scope: Scope) -> Form:
    """Attention without a cache, of [batch, heads, length, depth] or [batch, length, heads * depth]."""
    _expect_plain(scope)
    flat = len(scope.dims(0)) == 3
    q_heads, q_depth = _heads(scope, 0, "q_num_heads")
    heads, _ = _heads(scope, 1, "kv_num_heads")
    if q_heads % heads:
        raise Unsupported(f"{q_heads} heads of queries for {heads} of keys")
    scale = attribute_float(scope.node, "scale", 1 / math.sqrt(q_depth))
    q = _by_head(scope, scope.form(0), q_heads)
    k = _by_head(scope, scope.form(1), heads)
    v = _by_head(scope, scope.form(2), heads)
    length, width = q.dims[2], v.dims[3]
    rows = q
    if heads != q_heads:  # those of one head of keys follow one another: as if they were one, of more rows
        dims = (q.dims[0], heads, _times(length, q_heads // heads), q_depth)
        rows = scope.step("reshape", [q], {"dims": [0, heads, -1, q_depth]}, "f32", dims)
    what = {"transpose_b": 1, "scale": float(np.float32(scale))}
    scores = scope.step("matmul_f32", [rows, k], what, "f32", (*rows.dims[:3], k.dims[2]))
    apart = (q.dims[0], q_heads, length, k.dims[2])
    masked = scores
    if heads != q_heads:
        masked = _reshaped(scope, scores, apart, [(q, 0), (q, 1), (q, 2), (k, 2)])
    masked = _masked(scope, masked, q, k)
    shares = scope.step("softmax", [masked], {"y_type": "f32"}, "f32", masked.dims)
    if heads != q_heads:
        shares = _reshaped(scope, shares, scores.dims, [(scores, axis) for axis in range(4)])
    y = scope.step("matmul_f32", [shares, v], {"transpose_b": 0}, "f32", (*rows.dims[:3], width))
    if heads != q_heads:
        y = _reshaped(scope, y, (*q.dims[:3], width), [(q, 0), (q, 1), (q, 2), (v, 3)])
    return _result(scope, y, flat)


def _expect_plain(scope: Scope) -> None:
    """Refuse what there are no steps for."""
    node = scope.node
    if not scope.floats_too:
        raise Unsupported("it is in float")
    if any(scope.has(index) for index in (4, 5, 6)) or any(value.uses() for value in node.outputs[1:]):
        raise Unsupported("an Attention with a cache, or whose scores are read")
    if any(value.is_graph_output() for value in node.outputs[1:]):
        raise Unsupported("an Attention with a cache, or whose scores are read")
    if attribute_float(node, "softcap", 0.0):
        raise Unsupported("an Attention whose scores are capped")
    if attribute_int(node, "softmax_precision", 0) not in _IN_FLOAT:
        raise Unsupported("a softmax of another type than float32")
    if len({len(scope.dims(index)) for index in range(3)}) != 1 or len(scope.dims(0)) not in (3, 4):
        raise Unsupported("operands of an Attention that have not all three axes, or all four")


def _heads(scope: Scope, index: int, attribute: str) -> tuple[int, int]:
    """How many heads an operand has, and their depth."""
    dims = scope.dims(index)
    if len(dims) == 4:
        return known(dims[1]), known(dims[3])
    heads = attribute_int(scope.node, attribute, 0)
    if heads < 1 or known(dims[2]) % heads:
        raise Unsupported(f"an Attention without {attribute}")
    return heads, known(dims[2]) // heads


def _by_head(scope: Scope, form: Form, heads: int) -> Value:
    """An operand as floats [batch, heads, length, depth]."""
    stored = scope.floats(form)
    if len(stored.order) == 4:
        return scope.in_order(stored, _ORDER).value
    value = scope.in_order(stored, identity(3)).value
    batch, length, width = value.dims
    depth = known(width) // heads
    split = scope.step(
        "reshape", [value], {"dims": [0, 0, heads, depth]}, "f32", (batch, length, heads, depth)
    )
    return scope.in_order(Stored(split, (0, 2, 1, 3)), _ORDER).value


def _reshaped(scope: Scope, value: Value, dims: Dims, parts: Sequence[tuple[Value, int]]) -> Value:
    """With these sizes; those that are not known are of these axes."""
    sizes = [size if isinstance(size, int) else part for size, part in zip(dims, parts, strict=True)]
    return scope.reshaped_to(value, dims, sizes)


def _times(size: object, count: int) -> int | None:
    return size * count if isinstance(size, int) else None


def _masked(scope: Scope, scores: Value, q: Value, k: Value) -> Value:
    """Scores without those that do not count."""
    if attribute_int(scope.node, "is_causal", 0):
        places = [_places(scope, value) for value in (q, k)]
        column = scope.step("reshape", [places[0]], {"dims": [-1, 1]}, "s64", (*places[0].dims, 1))
        dims = (q.dims[2], k.dims[2])
        before = scope.step("compare", [column, places[1]], {"op": "greater_equal"}, "bool", dims)
        scores = _chosen(scope, Stored(before, identity(2)), scores)
    if not scope.has(3):
        return scores
    form = scope.form(3)
    mask = scope.any(form) if _is_bool(form) else scope.floats(form)
    if mask.value.type == "bool":
        return _chosen(scope, mask, scores)
    left, right, _ = aligned(scope, Stored(scores, _ORDER), mask)
    left, right = scope.in_order(left, _ORDER), scope.in_order(right, _ORDER)
    return scope.step("binary", [left.value, right.value], {"op": "add"}, "f32", scores.dims)


def _places(scope: Scope, value: Value) -> Value:
    """The numbers of rows: 0, 1, 2, ..."""
    size = value.dims[2]
    if isinstance(size, int):
        return scope.steps.constant(np.arange(size, dtype=np.int64))
    zero, one = (scope.steps.constant(np.array(number, np.int64)) for number in (0, 1))
    return scope.step("range", [zero, scope.shape_of([(value, 2)]), one], {}, "s64", (size,))


def _is_bool(form: Form) -> bool:
    if isinstance(form, Known):
        return form.array.dtype == np.bool_
    return isinstance(form, Stored) and form.value.type == "bool"


def _chosen(scope: Scope, condition: Stored, scores: Value) -> Value:
    mask = scope.in_order(condition, identity(len(condition.order))).value
    least = scope.steps.constant(np.array(_MASKED))
    return scope.step("where", [mask, scores, least], {}, "f32", scores.dims)


def _result(scope: Scope, y: Value, flat: bool) -> Form:
    dims = scope.output_dims()
    order = (0, 2, 1, 3) if flat else _ORDER

    def moved(stored: Stored) -> Stored:
        if not flat:
            return stored
        value = scope.in_order(stored, _ORDER).value
        width = known(value.dims[2]) * known(value.dims[3])
        return Stored(scope.step("reshape", [value], {"dims": [0, 0, width]}, value.type, dims), identity(3))

    def floats() -> Stored:
        return moved(Stored(y, order))

    def codes(grid: Grid, low: int, high: int) -> Stored:
        made = scope.codes(scope.quantized(Stored(y, order), grid))
        return bounded(scope, moved(made), grid, low, high)

    return Pending(dims, codes, floats)
