"""Numbers scaled and shifted by channel: BatchNormalization, products and sums with numbers for channels.

Between codes that is one step; elsewhere a multiplication and an addition of floats.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphopt.ir import attribute_float, attribute_int
from graphopt.native.lower.forms import Floats, Form, Grid, Known, Mapped, Pending, Stored
from graphopt.native.lower.scope import Scope, Unsupported, channels_last, identity, is_coded, known
from graphopt.native.lower.steps import Array, Dims


@dataclass(frozen=True, eq=False)
class Channels:
    """What numbers are multiplied by and what is added to them, one of each for each index of an axis.

    Attributes:
        axis: Of the graph's value.
        scale: None for ones.
        shift: None for zeros.
    """

    axis: int
    scale: Floats | None
    shift: Floats | None

    @property
    def finite(self) -> bool:
        """Whether all numbers are."""
        return all(part is None or bool(np.isfinite(part).all()) for part in (self.scale, self.shift))


def batch_normalization(scope: Scope) -> Form:
    """BatchNormalization with constant statistics, in float32 as runtimes do it."""
    node = scope.node
    if attribute_int(node, "training_mode", 0) or any(value.uses() for value in node.outputs[1:]):
        raise Unsupported("a BatchNormalization that trains")
    if scope.opset < 9 and not attribute_int(node, "spatial", 1):
        raise Unsupported("a BatchNormalization with factors for each element")
    gamma, beta, mean, variance = (scope.array(index) for index in range(1, 5))
    if any(array.dtype != np.float32 or array.ndim != 1 for array in (gamma, beta, mean, variance)):
        raise Unsupported("factors of a BatchNormalization that are not one for each channel, in float32")
    with np.errstate(all="ignore"):
        scale = gamma / np.sqrt(variance + np.float32(attribute_float(node, "epsilon", 1e-5)))
        shift = beta - mean * scale
    return scaled(scope, scope.form(0), Channels(1, scale.astype(np.float32), shift.astype(np.float32)))


def instance_normalization(scope: Scope) -> Form:
    """InstanceNormalization with constant factors."""
    channels = known(scope.dims(0)[1])
    return _normalized_groups(scope, channels, scope.array(1), scope.array(2))


def group_normalization(scope: Scope) -> Form:
    """GroupNormalization with constant factors; before opset 21 one for each group."""
    groups = attribute_int(scope.node, "num_groups", 1)
    channels = known(scope.dims(0)[1])
    scale, shift = scope.array(1), scope.array(2)
    if scale.size != channels:
        scale, shift = (np.repeat(array, channels // groups) for array in (scale, shift))
    return _normalized_groups(scope, groups, scale, shift)


def _normalized_groups(scope: Scope, groups: int, scale: Array, shift: Array) -> Form:
    """Groups of channels by their own mean and deviation, as rows are; then numbers for each channel."""
    x = scope.form(0)
    dims = scope.dims(0)
    columns = int(np.prod([known(size) for size in dims[1:]])) // groups
    if any(array.dtype != np.float32 or array.shape != (dims[1],) for array in (scale, shift)):
        raise Unsupported("factors of a normalization that are not one for each channel, in float32")
    epsilon = attribute_float(scope.node, "epsilon", 1e-5)
    attributes: dict[str, Any] = {
        "gamma": np.ones(columns, np.float32),
        "beta": np.zeros(columns, np.float32),
        "epsilon": epsilon,
    }
    order = identity(len(dims))
    if is_coded(x) and not isinstance(x, Known):
        data, grid = scope.coded(x)
        attributes |= {"x_scale": grid.scale, "x_zero": grid.zero}
        value = scope.in_order(data, order).value
    else:
        value = scope.floats_in(x, order).value
    rows = (dims[0], groups, columns)
    value = scope.step("reshape", [value], {"dims": [0, groups, columns]}, value.type, rows)
    value = scope.step("layer_norm", [value], attributes, "f32", rows)
    shape = [0, *(known(size) for size in dims[1:])]
    value = scope.step("reshape", [value], {"dims": shape}, "f32", dims)
    return scaled(scope, Stored(value, order), Channels(1, scale, shift))


def by_channel(scope: Scope, op: str, x: Form, numbers: Form, swapped: bool) -> Form | None:
    """An operator on codes and a constant with a number for each channel; None where it is none such.

    `swapped`: the constant is the first operand.
    """
    if not isinstance(x, Mapped) or not is_coded(x) or not isinstance(numbers, Known):
        return None
    axis = _axis(x.dims, numbers.array)
    if axis is None or numbers.array.dtype != np.float32 or op not in ("add", "sub", "mul", "div"):
        return None
    flat = numbers.array.reshape(-1)
    if op == "div" and swapped:
        return None
    with np.errstate(all="ignore"):
        if op == "mul":
            channels = Channels(axis, flat, None)
        elif op == "div":
            channels = Channels(axis, (1 / flat).astype(np.float32), None)
        elif op == "add" or swapped:
            channels = Channels(axis, None if op == "add" else np.full_like(flat, -1), flat)
        else:
            channels = Channels(axis, None, -flat)
    return scaled(scope, x, channels) if channels.finite else None


def scaled(scope: Scope, x: Form, channels: Channels) -> Form:
    """Numbers times those of `channels`, plus those."""
    if isinstance(x, Known):
        return Known(_known(x.array, channels))
    node = scope.node
    name = node.name or ""

    def floats() -> Stored:
        result = scope.floats(x)
        for op, numbers in (("mul", channels.scale), ("add", channels.shift)):
            if numbers is None:
                continue
            shape = [1] * len(result.order)
            shape[result.order.index(channels.axis)] = -1
            operand = scope.steps.constant(numbers.reshape(shape))
            value = scope.steps.add(
                "binary", [result.value, operand], {"op": op}, "f32", result.value.dims, name
            )
            result = Stored(value, result.order)
        return result

    if not isinstance(x, Mapped) or not is_coded(x) or not channels.finite:
        return floats()

    def codes(grid: Grid, low: int, high: int) -> Stored:
        stored, own = scope.coded(x)
        if stored.order[-1] != channels.axis:
            rank = len(stored.order)
            rest = tuple(axis for axis in identity(rank) if axis != channels.axis)
            stored = scope.in_order(
                stored, channels_last(rank) if channels.axis == 1 else (*rest, channels.axis)
            )
        given = channels.shift if channels.scale is None else channels.scale
        assert given is not None
        attributes = {
            "x_type": stored.value.type,
            "x_scale": own.scale,
            "x_zero": own.zero,
            "scale": np.ones_like(given) if channels.scale is None else np.ascontiguousarray(channels.scale),
            "shift": np.zeros_like(given) if channels.shift is None else np.ascontiguousarray(channels.shift),
            "y_type": grid.type,
            "y_scale": grid.scale,
            "y_zero": grid.zero,
        }
        if (low, high) != (grid.low, grid.high):
            attributes |= {"y_low": low, "y_high": high}
        value = scope.steps.add("affine", [stored.value], attributes, grid.type, stored.value.dims, name)
        return Stored(value, stored.order)

    def biased(numbers: Array) -> Pending | None:
        if channels.shift is not None or _axis(x.dims, numbers) != channels.axis:
            return None
        result = scaled(scope, x, replace(channels, shift=numbers.reshape(-1)))
        return result if isinstance(result, Pending) else None

    return Pending(x.dims, codes, floats, biased=biased)


def _axis(dims: Dims, numbers: Array) -> int | None:
    """The only axis along which numbers that broadcast to these sizes differ."""
    first = len(dims) - numbers.ndim
    wide = [first + axis for axis, size in enumerate(numbers.shape) if size != 1]
    if first < 0 or len(wide) != 1 or dims[wide[0]] != numbers.size:
        return None
    return wide[0]


def _known(array: Array, channels: Channels) -> Array:
    shape = [1] * array.ndim
    shape[channels.axis] = -1
    for numbers, function in ((channels.scale, np.multiply), (channels.shift, np.add)):
        if numbers is not None:
            array = function(array, numbers.reshape(shape))
    return array
