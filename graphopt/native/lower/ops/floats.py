"""Convolutions and matrix products of floats."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from graphopt.native.lower.forms import Form, Grid, Known, Pending, Stored
from graphopt.native.lower.ops.pools import bounded
from graphopt.native.lower.ops.windows import convolved, images, transposed
from graphopt.native.lower.scope import Scope, Unsupported, channels_last, identity
from graphopt.native.lower.steps import Array, Dims, Value


def convolve(scope: Scope, x: Form, w: Form, b: Form | None) -> Form:
    """A convolution with constant weights [O, I / groups, spatial axes]."""
    weights = _constant(w, "weights")
    data = scope.floats_in(x, channels_last(weights.ndim))
    attributes = convolved(scope, data.dims, weights) | _bias(b, weights.shape[0])
    return images(scope, data, attributes, partial(_finished, scope, "conv_f32"))


def convolve_transposed(scope: Scope, x: Form, w: Form, b: Form | None) -> Form:
    """A transposed convolution with constant weights [I, O / groups, spatial axes]."""
    weights = _constant(w, "weights")
    data = scope.floats_in(x, channels_last(weights.ndim))
    attributes = transposed(scope, weights)
    attributes |= _bias(b, attributes["weights"].shape[0])
    return images(scope, data, attributes, partial(_finished, scope, "conv_transpose_f32"))


def multiply(scope: Scope, a: Form, b: Form, bias: Form | None, transposed: int) -> Form:
    """A matrix product; `transposed`: b is [..., N, K]."""
    rank = len(a.array.shape if isinstance(a, Known) else a.dims)
    left = scope.floats_in(a, identity(rank))
    if isinstance(b, Known) and b.array.ndim == 2:
        weights = _constant(b, "weights")
        weights = np.ascontiguousarray(weights if transposed else weights.T)
        attributes = {"weights": weights, **_bias(bias, len(weights))}
        dims = (*left.dims[:-1], len(weights))

        def biased(numbers: Array) -> Pending | None:
            if bias is not None or numbers.shape != dims[-1:]:
                return None
            return made({**attributes, "bias": np.ascontiguousarray(numbers)})

        def made(attributes: dict[str, Any]) -> Pending:
            return _pending(scope, "gemm_f32", [left.value], attributes, dims, biased)

        return made(attributes)
    if bias is not None:
        raise Unsupported("a Gemm of two computed operands with a bias")
    other = len(b.array.shape if isinstance(b, Known) else b.dims)
    if rank < 2 or other < 2:
        raise Unsupported("a product with a vector")
    right = scope.floats_in(b, identity(other))
    what = {"transpose_b": transposed}
    return _pending(scope, "matmul_f32", [left.value, right.value], what, scope.output_dims(), None)


def scaled(form: Form, factor: float) -> Form:
    """A constant times a number."""
    if factor == 1:
        return form
    if not isinstance(form, Known) or form.array.dtype != np.float32:
        raise Unsupported("alpha or beta of a Gemm that is not 1, beside what is computed")
    return Known(form.array * np.float32(factor))


def _finished(
    scope: Scope,
    kind: str,
    inputs: list[Value],
    attributes: dict[str, Any],
    dims: Dims,
    order: tuple[int, ...],
    shaped: Callable[[Value], Stored] | None,
) -> Stored:
    value = scope.step(kind, inputs, attributes, "f32", tuple(dims[axis] for axis in order))
    return Stored(value, order) if shaped is None else shaped(value)


def _pending(
    scope: Scope,
    kind: str,
    inputs: list[Value],
    attributes: dict[str, Any],
    dims: Dims,
    biased: Callable[[Array], Pending | None] | None,
) -> Pending:
    """What may yet get a bias."""
    name = scope.node.name or ""

    def to_floats() -> Stored:
        return Stored(scope.steps.add(kind, inputs, attributes, "f32", dims, name), identity(len(dims)))

    def to_codes(grid: Grid, low: int, high: int) -> Stored:
        return bounded(scope, scope.codes(scope.quantized(to_floats(), grid)), grid, low, high)

    return Pending(dims, to_codes, to_floats, biased=biased)


def _constant(form: Form, what: str) -> Array:
    if not isinstance(form, Known):
        raise Unsupported(f"its {what} are computed, not constant")
    if form.array.dtype != np.float32:
        raise Unsupported(f"{what} of type {form.array.dtype}")
    return form.array


def _bias(form: Form | None, columns: int) -> dict[str, Any]:
    if form is None:
        return {}
    if not isinstance(form, Known):
        raise Unsupported("its bias is computed")
    array = form.array
    if array.dtype != np.float32 or (array.size != 1 and array.shape[-1:] != (array.size,)):
        raise Unsupported("a bias that is not one number for each column")
    return {"bias": np.ascontiguousarray(np.broadcast_to(array.reshape(-1), (columns,)))}
