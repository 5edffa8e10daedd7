"""Where the windows of convolutions lie, of images and of rows, which are images of height 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from graphopt.ir import attribute_int, attribute_ints, attribute_string
from graphopt.native.lower.forms import Form, Stored
from graphopt.native.lower.scope import Scope, Unsupported, channels_last, known
from graphopt.native.lower.steps import Array, Dims, Value

Made = TypeVar("Made", bound=Form)
Finish = Callable[
    [list[Value], dict[str, Any], Dims, tuple[int, ...], Callable[[Value], Stored] | None], Made
]
"""Makes the step: of its inputs, attributes, sizes as the graph has them, their order in memory, and how what
it computes becomes what the graph has."""


def convolved(scope: Scope, dims: Dims, weights: Array) -> dict[str, Any]:
    """Attributes of a convolution of images, or rows, with weights [O, I / groups, spatial axes]."""
    rank = _rank(weights)
    attributes = _window(scope, rank)
    if attribute_string(scope.node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        attributes["pads"] = _same_pads(scope, dims, attributes, weights.shape[2:])
    array = np.moveaxis(weights, 1, -1)
    return attributes | {"weights": np.ascontiguousarray(array if rank == 4 else array[:, None])}


def transposed(scope: Scope, weights: Array) -> dict[str, Any]:
    """Attributes of a transposed convolution with weights [I, O / groups, spatial axes]."""
    rank, groups = _rank(weights), attribute_int(scope.node, "group", 1)
    if (
        attribute_ints(scope.node, "output_shape")
        or attribute_string(scope.node, "auto_pad", "NOTSET") != "NOTSET"
    ):
        raise Unsupported("padding that depends on the sizes of images")
    extra = attribute_ints(scope.node, "output_padding") or [0] * (rank - 2)
    # [I, O / g, ...] -> [g, I / g, O / g, ...] -> [g, O / g, ..., I / g] -> [O, ..., I / g].
    array = np.moveaxis(weights.reshape(groups, -1, *weights.shape[1:]), 1, -1)
    array = array.reshape(-1, *array.shape[2:])
    return _window(scope, rank) | {
        "weights": np.ascontiguousarray(array if rank == 4 else array[:, None]),
        "output_padding": extra if rank == 4 else [0, *extra],
    }


def images(scope: Scope, data: Stored, attributes: dict[str, Any], finish: Finish[Made]) -> Made:
    """A convolution of images, or of rows, which are made images of height 1."""
    rank = len(data.dims)
    order = channels_last(rank)
    dims = scope.output_dims()
    data = scope.in_order(data, order)
    if rank == 4:
        return finish([data.value], attributes, dims, order, None)
    n, length, channels = data.value.dims
    high = scope.reshaped(data.value, (n, 1, length, channels))
    flat = (dims[0], dims[2], dims[1])

    def shaped(value: Value) -> Stored:
        return Stored(scope.reshaped(value, flat), order)

    return finish([high], attributes, (dims[0], dims[1], 1, dims[2]), channels_last(4), shaped)


def _rank(weights: Array) -> int:
    if weights.ndim not in (3, 4):
        raise Unsupported(f"a convolution over {weights.ndim - 2} spatial axes")
    return weights.ndim


def _window(scope: Scope, rank: int) -> dict[str, Any]:
    """Strides, dilations, groups, and pads: top, left, bottom, right."""
    node, axes = scope.node, rank - 2
    strides = attribute_ints(node, "strides") or [1] * axes
    dilations = attribute_ints(node, "dilations") or [1] * axes
    pads = attribute_ints(node, "pads") or [0] * (2 * axes)
    if attribute_string(node, "auto_pad", "NOTSET") != "NOTSET":
        pads = [0] * (2 * axes)
    if axes == 1:
        strides, dilations, pads = [1, *strides], [1, *dilations], [0, pads[0], 0, pads[1]]
    groups = attribute_int(node, "group", 1)
    return {"strides": strides, "dilations": dilations, "pads": pads, "groups": groups}


def _same_pads(scope: Scope, dims: Dims, attributes: dict[str, Any], kernel: tuple[int, ...]) -> list[int]:
    """Pads of SAME_UPPER and SAME_LOWER: where strides are 1 they need no sizes."""
    upper = attribute_string(scope.node, "auto_pad", "NOTSET") == "SAME_UPPER"
    begins, ends = [], []
    strides, dilations = attributes["strides"][-len(kernel) :], attributes["dilations"][-len(kernel) :]
    for size, taps, stride, dilation in zip(dims[2:], kernel, strides, dilations, strict=True):
        reach = (taps - 1) * dilation
        total = (
            reach
            if stride == 1
            else max(0, (-(-known(size) // stride) - 1) * stride + reach + 1 - known(size))
        )
        begins.append(total // 2 if upper else total - total // 2)
        ends.append(total - begins[-1])
    return [*begins, *ends] if len(kernel) == 2 else [0, begins[0], 0, ends[0]]
