"""What looks at whole rows: Softmax, LogSoftmax, LayerNormalization, RMSNormalization and LRN."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphopt.ir import attribute_float, attribute_int
from graphopt.native.lower.forms import Form, Grid, Mapped, Pending, Stored
from graphopt.native.lower.ops.pools import bounded
from graphopt.native.lower.pointwise import attributes_of
from graphopt.native.lower.scope import Scope, Unsupported, identity
from graphopt.native.lower.steps import Value

UNCENTRED = frozenset({"RMSNormalization", "SimplifiedLayerNormalization"})
"""Normalizations of rows that take no mean off; the latter is what onnxruntime called the former."""
MOST_NEIGHBOURS = 64
"""Channels that the kernel looks at around each."""


def softmax(scope: Scope) -> Form:
    """Softmax; before opset 13 over all axes from one on."""
    axis = attribute_int(scope.node, "axis", -1 if scope.opset >= 13 else 1)
    return softmaxed(scope, scope.form(0), axis)


def softmaxed(scope: Scope, x: Form, axis: int) -> Form:
    """Softmax over one axis."""
    rank = len(scope.output_dims())
    axis %= rank
    if scope.opset < 13 and axis != rank - 1:
        raise Unsupported("a Softmax over several axes")
    return _by_rows(scope, "softmax", x, {}, _last(rank, axis))


def log_softmax(scope: Scope) -> Form:
    """LogSoftmax, of floats: less the greatest of a row, and less the logarithm of the sum of its powers."""
    if not scope.floats_too:
        raise Unsupported("it is in float")
    rank = len(scope.output_dims())
    axis = attribute_int(scope.node, "axis", -1 if scope.opset >= 13 else 1) % rank
    if scope.opset < 13 and axis != rank - 1:
        raise Unsupported("a LogSoftmax over several axes")
    stored = scope.floats(scope.form(0))
    place, dims = stored.order.index(axis), stored.value.dims
    row = (*dims[:place], 1, *dims[place + 1 :])

    def reduced(value: Value, op: str) -> Value:
        return scope.step("reduce", [value], {"op": op, "axes": [place], "keepdims": 1}, "f32", row)

    def less(value: Value, other: Value) -> Value:
        return scope.step("binary", [value, other], {"op": "sub"}, "f32", dims)

    below = less(stored.value, reduced(stored.value, "max"))
    powers = scope.step("unary", [below], attributes_of("exp", {}), "f32", dims)
    logarithm = scope.step("unary", [reduced(powers, "sum")], attributes_of("log", {}), "f32", row)
    return Stored(less(below, logarithm), stored.order)


def layer_normalization(scope: Scope) -> Form:
    """LayerNormalization over the last axis with constant factors; the same without taking a mean off."""
    rank = len(scope.output_dims())
    if attribute_int(scope.node, "axis", -1) % rank != rank - 1:
        raise Unsupported(f"a {scope.node.op_type} over several axes")
    if any(value.uses() for value in scope.node.outputs[1:]):
        raise Unsupported("the mean or deviation of a LayerNormalization")
    gamma = scope.array(1)
    beta = scope.array(2) if scope.has(2) else np.zeros_like(gamma)
    if gamma.ndim != 1 or beta.shape != gamma.shape or gamma.dtype != np.float32:
        raise Unsupported("factors of a LayerNormalization that are not one for each column, in float32")
    epsilon = attribute_float(scope.node, "epsilon", 1e-5)
    attributes = {"gamma": gamma, "beta": beta, "epsilon": epsilon}
    if scope.node.op_type in UNCENTRED:
        attributes["centred"] = 0
    return _by_rows(scope, "layer_norm", scope.form(0), attributes, identity(rank))


def local_response_normalization(scope: Scope) -> Form:
    """LRN by a power that square roots give, which is 0.75 nearly everywhere."""
    node, rank = scope.node, len(scope.output_dims())
    quarters, size = 4 * attribute_float(node, "beta", 0.75), attribute_int(node, "size", 0)
    if quarters not in (1, 2, 3, 4):
        raise Unsupported("an LRN by a power that is none of 0.25, 0.5, 0.75 and 1")
    if not 1 <= size <= MOST_NEIGHBOURS:
        raise Unsupported(f"an LRN of more than {MOST_NEIGHBOURS} channels")
    attributes = {
        "size": size,
        "alpha": attribute_float(node, "alpha", 1e-4),
        "bias": attribute_float(node, "bias", 1.0),
        "quarters": int(quarters),
    }
    return _by_rows(scope, "lrn", scope.form(0), attributes, _last(rank, 1))


def _last(rank: int, axis: int) -> tuple[int, ...]:
    """All axes in order, but one of them last."""
    return (*(place for place in range(rank) if place != axis), axis)


def _by_rows(scope: Scope, kind: str, x: Form, attributes: dict[str, Any], order: tuple[int, ...]) -> Form:
    dims, name = scope.output_dims(), scope.node.name or ""
    memory = tuple(dims[axis] for axis in order)

    def data() -> tuple[Stored, dict[str, Any]]:
        if isinstance(x, Mapped) and x.coded is not None:
            stored, grid = scope.coded(x)
            return scope.in_order(stored, order), {**attributes, "x_scale": grid.scale, "x_zero": grid.zero}
        return scope.floats_in(x, order), attributes

    def floats() -> Stored:
        stored, what = data()
        return Stored(
            scope.steps.add(kind, [stored.value], {**what, "y_type": "f32"}, "f32", memory, name), order
        )

    def codes(grid: Grid, low: int, high: int) -> Stored:
        stored, what = data()
        scale = _scale_of_shares(grid.scale) if kind == "softmax" and "x_scale" in what else grid.scale
        what = {**what, "y_type": grid.type, "y_scale": scale, "y_zero": grid.zero}
        result = Stored(scope.steps.add(kind, [stored.value], what, grid.type, memory, name), order)
        return bounded(scope, result, grid, low, high)

    return Pending(dims, codes, floats)


def _scale_of_shares(scale: float) -> float:
    """The scale by which onnxruntime's Softmax of codes rounds: that of a whole number of steps to 1."""
    steps = np.floor(np.float32(1) / np.float32(scale))
    return float(np.float32(1) / steps) if steps >= 1 else scale
