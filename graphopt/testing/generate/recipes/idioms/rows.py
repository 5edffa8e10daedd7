"""Normalizations and Softmax written out, along the last axis or others."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import recipe
from graphopt.testing.generate.recipes.idioms._near import OFF, add, mul, number, step


@recipe("ReduceMean", weight=14)
def layer_norm(b: Builder, op_type: str) -> None:
    """Mean, variance, quotient, then scale and bias or not; over one axis or two, sums in front."""
    x = b.pick(where=lambda v: v.rank > 1)
    if b.choices.chance(0.3):
        x = add(b, add(b, x, b.operand(x)) if b.choices.chance(0.5) else x, b.floats(x.shape[-1:], x.dtype))
    count = b.choices.weighted((1, 2), (6, 1))
    axes = list(range(-count, 0))
    centered = b.op("Sub", step(b, x), b.op(op_type, x, axes=_axes(b, axes), keepdims=1))
    squares = (
        b.op("Pow", centered, number(b, x, 2.0)) if b.choices.chance(0.6) else mul(b, centered, centered)
    )
    y = _over_root(b, centered, b.op(op_type, squares, axes=_axes(b, axes), keepdims=1))
    _affine(b, y, x.shape[-count:])


@recipe("ReduceMean", "ReduceSum", weight=10)
def rms_norm(b: Builder, op_type: str) -> None:
    """By the root of the mean of squares, or of their sum; a scale or none."""
    x = b.pick(where=lambda v: v.rank > 1)
    squares = b.op("Pow", x, number(b, x, 2.0)) if b.choices.chance(0.6) else mul(b, x, x)
    y = _over_root(b, x, b.op(op_type, squares, axes=_axes(b, [-1]), keepdims=1))
    if b.choices.chance(0.7):
        mul(b, y, b.floats(x.shape[-1:], x.dtype))


@recipe("InstanceNormalization", weight=6)
def group_norm(b: Builder, op_type: str) -> None:
    """Groups as channels of an InstanceNormalization between Reshapes, then scale and bias of channels."""
    x = b.pick(rank=4, where=lambda v: v.shape[1] % 2 == 0 and v.array.size > 0)
    groups = b.choices.choose((2, 1))
    flat = b.op("Reshape", x, b.ints([0, groups, -1]))
    ones, zeros = (np.full([groups], each, x.array.dtype) for each in (1, 0))
    scale = b.floats([groups], x.dtype) if b.choices.chance(OFF) else b.constant(ones, fresh=True)
    y = b.op(op_type, flat, scale, b.constant(zeros, fresh=True))
    y = b.op("Reshape", y, b.ints(x.shape))
    _affine(b, y, [x.shape[1], 1, 1])


@recipe("ReduceL2", weight=6)
def unit_norm(b: Builder, op_type: str) -> None:
    """By the norm, kept from zero or not."""
    x = b.pick(where=lambda v: v.rank > 1)
    norm = b.op(op_type, x, axes=_axes(b, [-1]), keepdims=1)
    if b.choices.chance(0.5):
        norm = b.op("Max", norm, number(b, x, 1e-12))
    b.op("Div", x, norm)


@recipe("Exp", weight=12)
def softmax(b: Builder, op_type: str) -> None:
    """With the maximum taken off or not; as a logarithm now and then."""
    x = b.pick(where=lambda v: v.rank > 0)
    axis = b.choices.integer(-x.rank, -1) if b.choices.chance(0.3) else -1
    keep: dict[str, Any] = {"axes": _axes(b, [axis]), "keepdims": 1}
    if b.choices.chance(0.7):
        x = b.op("Sub", step(b, x), b.op("ReduceMax", x, axes=[axis], keepdims=1))
    top = b.op(op_type, step(b, x))
    total = b.op("ReduceSum", top, **keep)
    if b.choices.chance(0.2):
        b.op("Sub", x, b.op("Log", total))
    else:
        y = b.op("Div", top, total)
        if b.choices.chance(0.2):
            b.op("Log", y)


@recipe("LayerNormalization", "RMSNormalization", weight=5)
def sums_before_norm(b: Builder, op_type: str) -> None:
    """Of two or three terms, the last of them a bias now and then; the sum is used once more or not."""
    x = b.pick(where=lambda v: v.rank == 3 and v.array.size > 0)
    total = add(b, x, b.floats(x.shape, x.dtype))
    if b.choices.chance(0.7):
        total = add(b, total, b.floats(b.choices.choose((x.shape[-1:], x.shape)), x.dtype))
    y = b.op(op_type, total, b.floats(x.shape[-1:], x.dtype))
    if b.choices.chance(0.4):
        add(b, y, total)


@recipe("Softmax", weight=5)
def around_softmax(b: Builder, op_type: str) -> None:
    """Its logarithm, a guard against NaN, or the axis brought to the end for it and back."""
    x = b.pick(where=lambda v: v.rank > 1)
    way = b.choices.choose(("turned", "logarithm", "guard"))
    if way != "turned":
        y = b.op(op_type, add(b, x, b.floats(x.shape[-1:], x.dtype)) if way == "guard" else x, axis=-1)
        b.op("Log", y) if way == "logarithm" else b.op("Where", b.op("IsNaN", y), number(b, x, 0.0), y)
        return
    swapped = [0, *range(2, x.rank), 1] if x.rank > 2 else [1, 0]
    back = [swapped.index(axis) for axis in range(x.rank)]
    b.op("Transpose", b.op(op_type, b.op("Transpose", x, perm=swapped), axis=-1), perm=back)


def _over_root(b: Builder, x: Known, variance: Known) -> Known:
    """The quotient by the root, in one of the ways that it is written."""
    root = b.op("Sqrt", add(b, variance, number(b, x, b.choices.choose((1e-5, 1e-6, 1e-3)))))
    way = b.choices.choose(("div", "reciprocal", "one over"))
    if way == "div":
        return b.op("Div", x, root)
    return mul(
        b, x, b.op("Reciprocal", root) if way == "reciprocal" else b.op("Div", number(b, x, 1.0), root)
    )


def _affine(b: Builder, x: Known, shape: tuple[int, ...] | list[int]) -> Known:
    if b.choices.chance(0.7):
        x = mul(b, x, b.floats(shape, x.dtype))
    return add(b, x, b.floats(shape, x.dtype)) if b.choices.chance(0.7) else x


def _axes(b: Builder, usual: list[int]) -> list[int]:
    return [0] if b.choices.chance(OFF) else usual
