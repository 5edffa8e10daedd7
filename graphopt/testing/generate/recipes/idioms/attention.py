"""Attention, its heads and rotary positions written out."""

from __future__ import annotations

import numpy as np

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import recipe
from graphopt.testing.generate.recipes.idioms._near import OFF, add, choice, mul, number, step


@recipe("Softmax", weight=14)
def attention(b: Builder, op_type: str) -> None:
    """Scores, scaled and masked or not, weights, values; of rank 4 as they are or split from projections."""
    if b.choices.chance(0.4):
        q, k, v = (_heads(b, shape) for shape in _shapes(b))
        _dot(b, q, b.op("Transpose", k, perm=[0, 1, 3, 2]), v)
        return
    x = _rows(b)
    heads, size = 2, x.shape[-1] // 2
    biased = b.choices.chance(0.5)
    q, k, v = (_split(b, _projected(b, x, biased), heads, size, keys=place == 1) for place in range(3))
    y = b.op("Transpose", _dot(b, q, k, v), perm=[0, 2, 1, 3])
    y = b.op("Reshape", y, b.ints([0, 0, choice(b, heads * size, -1)]))
    b.op("MatMul", y, b.floats([x.shape[-1], x.shape[-1]], x.dtype))


@recipe("Split", weight=5)
def packed_attention(b: Builder, op_type: str) -> None:
    """Attention of one projection to three times the width, split."""
    x = _rows(b)
    width = x.shape[-1]
    joined = add(b, b.op("MatMul", x, b.floats([width, 3 * width], x.dtype)), b.floats([3 * width], x.dtype))
    b.op(op_type, joined, outputs=3, axis=2, split=[width] * 3)
    parts = b.values[-3:]
    q, k, v = (_split(b, part, 2, width // 2, keys=part is parts[1]) for part in parts)
    y = b.op("Transpose", _dot(b, q, k, v), perm=[0, 2, 1, 3])
    b.op("Reshape", y, b.ints([0, 0, width]))


@recipe("Concat", weight=8)
def rotary(b: Builder, op_type: str) -> None:
    """x * cos + rotated(x) * sin, halves swapped by slices or by a Split."""
    x = _heads(b, [1, 2, 3, 4])
    half = x.shape[-1] // 2
    if b.choices.chance(0.6):
        low = b.op("Slice", x, starts=[0], ends=[choice(b, half, 1)], axes=[3])
        high = b.op("Slice", x, starts=[half], ends=[1 << 62], axes=[3])
    else:
        low = b.op("Split", x, outputs=2, axis=-1, split=[half, half])
        high = b.values[-1]
    turned = b.op(op_type, b.op("Neg", high), low, axis=-1)
    cos, sin = (_doubled(b, [1, 1, x.shape[2], half], x) for _ in range(2))
    add(b, mul(b, x, cos), mul(b, turned, sin))


def _dot(b: Builder, q: Known, turned: Known, v: Known) -> Known:
    """Of queries, keys whose last two axes have changed places, and values."""
    scale = 1.0 / float(np.sqrt(max(q.shape[-1], 1)))
    if b.choices.chance(0.2):
        q = mul(b, q, number(b, q, scale))
    scores = b.op("MatMul", q, turned)
    way = b.choices.weighted(("mul", "div", "none"), (4, 4, 1))
    if way == "mul":
        scores = mul(b, scores, number(b, q, scale))
    elif way == "div":
        scores = b.op("Div", step(b, scores), number(b, q, 1.0 / scale))
    if b.choices.chance(0.4):
        scores = _masked(b, scores)
    return b.op("MatMul", b.op("Softmax", step(b, scores), axis=choice(b, -1, 2, 3)), v)


def _masked(b: Builder, scores: Known) -> Known:
    rows, columns = scores.shape[-2:]
    if b.choices.chance(0.5):
        shape = b.choices.choose(([1, 1, rows, columns], [rows, columns], [scores.shape[0], 1, 1, columns]))
        return add(b, scores, b.floats(shape, scores.dtype))
    lower = b.constant(np.tril(np.ones((rows, columns), bool)))
    return b.op("Where", lower, scores, number(b, scores, -1e4))


def _shapes(b: Builder) -> list[list[int]]:
    batch, heads, length, size = b.choices.choose((1, 2)), b.choices.choose((2, 1)), 3, 4
    keys = b.choices.choose((length, 5))
    return [[batch, heads, length, size], [batch, heads, keys, size], [batch, heads, keys, size]]


def _heads(b: Builder, shape: list[int]) -> Known:
    """A value of that shape, one that is there now and then."""
    dtype = b.spec.data_types()[0]
    found = [v for v in b.visible() if v.is_tensor and v.shape == tuple(shape) and v.dtype == dtype]
    return b.choices.choose(found) if found and b.choices.chance(0.7) else b.new(dtype, shape)


def _rows(b: Builder) -> Known:
    found = [v for v in b.visible() if v.is_tensor and v.rank == 3 and v.dtype.is_floating_point()]
    even = [v for v in found if v.shape[2] % 2 == 0 and v.array.size]
    return b.choices.choose(even) if even else b.new(b.spec.data_types()[0], [b.choices.choose((1, 2)), 3, 4])


def _projected(b: Builder, x: Known, biased: bool) -> Known:
    width = x.shape[-1]
    y = b.op("MatMul", x, b.floats([width, width], x.dtype))
    return add(b, y, b.floats([width], x.dtype)) if biased != b.choices.chance(OFF) else y


def _split(b: Builder, x: Known, heads: int, size: int, *, keys: bool) -> Known:
    y = b.op("Reshape", x, b.ints([0, 0, heads, size] if b.choices.chance(0.6) else [0, -1, heads, size]))
    if keys and b.choices.chance(0.6):
        return b.op("Transpose", y, perm=[0, 2, 3, 1])
    y = b.op("Transpose", y, perm=[0, 2, 1, 3])
    return b.op("Transpose", y, perm=[0, 1, 3, 2]) if keys else y


def _doubled(b: Builder, shape: list[int], like: Known) -> Known:
    """A table whose halves are equal, or a table of its own."""
    half = b.floats(shape, like.dtype).array
    both = half if b.choices.chance(OFF) else None
    second = b.floats(shape, like.dtype).array if both is not None else half
    return b.constant(np.concatenate([half, second], axis=-1))
