"""Transposes and Reshapes around work that does not care for them."""

from __future__ import annotations

import numpy as np

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import recipe
from graphopt.testing.generate.recipes.idioms._near import add, choice, mul, step

WORK = ("Relu", "Sigmoid", "Add", "Mul", "Concat", "Softmax", "ReduceMean", "Slice", "Pad", "MatMul", "Split")


@recipe("Transpose", weight=14)
def transposes_around(b: Builder, op_type: str) -> None:
    """To channels last, one to three pieces of work, and back; or only one of the two."""
    x = b.pick(rank=b.choices.weighted((4, 3), (4, 2)))
    there = [0, *range(2, x.rank), 1]
    y = b.op(op_type, x, perm=there) if b.choices.chance(0.9) else x
    for _ in range(b.choices.integer(1, 3)):
        y = _worked(b, step(b, y), b.choices.choose(WORK))
    if y.rank == x.rank and b.choices.chance(0.8):
        back = [there.index(axis) for axis in range(x.rank)]
        b.op(op_type, y, perm=there if b.choices.chance(0.1) else back)


@recipe("Reshape", weight=10)
def reshapes_around_gemm(b: Builder, op_type: str) -> None:
    """To fewer dimensions, elementwise work or a product, and back."""
    x = b.pick(where=lambda v: v.rank > 1)
    width = x.shape[-1]
    y = b.op(op_type, x, b.ints([-1, width]))
    kind = b.choices.choose(("elementwise", "Gemm", "MatMul"))
    if kind == "elementwise":
        y = mul(b, b.op("Relu", y), b.floats(b.choices.choose(([], [width])), x.dtype))
    elif kind == "Gemm":
        bias = b.floats([4], x.dtype) if b.opset < 11 or b.choices.chance(0.6) else None
        y = b.op(kind, y, b.floats([width, 4], x.dtype), bias)
    else:
        y = b.op(kind, y, b.floats([width, 4], x.dtype))
    b.op(op_type, step(b, y), b.ints([*x.shape[:-1], choice(b, y.shape[-1], -1)]))


@recipe("Unsqueeze", weight=8)
def views_around(b: Builder, op_type: str) -> None:
    """Work under one axis more, which goes again."""
    x = b.pick(where=lambda v: 0 < v.rank < 5)
    axis = b.choices.integer(0, x.rank)
    y = b.op(op_type, x, axes=[axis])
    for _ in range(b.choices.integer(1, 2)):
        y = add(b, y, b.floats(y.shape[-1:], x.dtype)) if b.choices.chance(0.5) else b.op("Relu", y)
    if b.choices.chance(0.7):
        b.op("Squeeze", step(b, y), axes=[choice(b, axis, 0)])
    else:
        b.op("Reshape", step(b, y), b.ints(x.shape))


@recipe("Expand", weight=8)
def expand_needlessly(b: Builder, op_type: str) -> None:
    """Made as large as the other operand before an operator that broadcasts anyhow."""
    x = b.pick(where=lambda v: v.rank > 0)
    small = b.floats([1 if b.choices.chance(0.5) else size for size in x.shape], x.dtype)
    target = b.op("Shape", x) if b.choices.chance(0.5) else b.ints(x.shape)
    y = step(b, b.op(op_type, b.op("Relu", small), target))
    b.op(b.choices.choose(("Add", "Mul", "Sub", "Max")), x, y)


def _worked(b: Builder, x: Known, kind: str) -> Known:
    if kind in ("Add", "Mul"):
        return b.op(kind, x, b.floats(b.broadcastable(x.shape)[-x.rank :], x.dtype))
    if kind == "Concat":
        return b.op(kind, x, x if b.choices.chance(0.5) else b.floats(x.shape, x.dtype), axis=-1)
    if kind == "Softmax":
        return b.op(kind, x, axis=x.rank - 1)
    if kind == "ReduceMean":
        return b.op(kind, x, axes=[b.choices.choose((1, -1))], keepdims=b.choices.choose((1, 1, 0)))
    if kind == "Slice":
        return b.op(kind, x, starts=[0], ends=[1], axes=[b.choices.choose((1, x.rank - 1))])
    if kind == "Pad":
        return b.op(kind, x, pads=np.eye(1, 2 * x.rank, x.rank - 1, dtype=int)[0].tolist())
    if kind == "MatMul":
        return b.op(kind, x, b.floats([x.shape[-1], 3], x.dtype))
    if kind == "Split":
        first = x.shape[-1] // 2
        return b.op(kind, x, outputs=2, axis=x.rank - 1, split=[first, x.shape[-1] - first])
    return b.op(kind, x)
