"""How each normalization can be written: the operator, or the shortest spelling with one.

A form says which axes its scale and bias may vary along; what they cannot hold stands behind as Mul and Add.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.idioms import FoundReduction
from graphopt.ir import Tape

Array = npt.NDArray[Any]
MOST_ONES = 1 << 14
"""Elements of a scale that is nothing but ones, at most: it is a file's size and a kernel's work."""


@dataclass(frozen=True)
class NormForm:
    """One way to write a normalization.

    Attributes:
        name: As a target's times know it.
        since: Oldest opset that has its operators.
        nodes: Number of nodes, without those for what scale and bias cannot hold.
        varies: Axes of the entry that its scale may vary along.
        biased: Whether it takes a bias.
        build: Makes the nodes from the entry, scale and bias; arrays of the entry's rank or of rank 0.
        scaled: Whether it takes a scale.
    """

    name: str
    since: int
    nodes: int
    varies: frozenset[int]
    biased: bool
    build: Callable[[Tape, ir.Value, Array, Array], ir.Value]
    scaled: bool = True

    def holds_scale(self, found: FoundReduction) -> bool:
        """Whether its operator applies the scale; one that takes none holds that of 1."""
        return _varies(found.scale) <= self.varies and (self.scaled or bool(np.all(found.scale == 1)))

    def holds_bias(self, found: FoundReduction) -> bool:
        """Whether its operator adds the bias."""
        held = self.biased and self.holds_scale(found) and _varies(found.bias) <= self.varies
        return held or not np.any(found.bias)

    def total(self, found: FoundReduction) -> int:
        """Number of nodes with all that stands behind."""
        return self.nodes + (not self.holds_scale(found)) + (not self.holds_bias(found))

    def write(self, tape: Tape, x: ir.Value, found: FoundReduction) -> ir.Value:
        """Make the nodes."""
        own, behind = self.holds_scale(found), not self.holds_bias(found)
        one, zero = np.ones(()), np.zeros(())
        y = self.build(tape, x, found.scale if own else one, zero if behind else found.bias)
        if not own:
            y = tape.op("Mul", [y, _constant(tape, x, _trimmed(found.scale), "scale")])
        return tape.op("Add", [y, _constant(tape, x, _trimmed(found.bias), "bias")]) if behind else y


def norm_forms(found: FoundReduction, entry: ir.Value) -> Iterator[NormForm]:
    """The forms that say what a region was found to compute; of two that are as short the first is better.

    Args:
        found: The normalization.
        entry: The region's entry, of known rank.
    """
    dims = [dim if isinstance(dim, int) else None for dim in entry.shape.dims]  # type: ignore[union-attr]
    last = _trailing(found, dims)
    single = entry.dtype != ir.DataType.DOUBLE  # onnxruntime has no InstanceNormalization for it
    match found.idiom:
        case "LayerNormalization":
            spatial = len(dims) > 2 and _spans(found, dims, 2) and dims[1] is not None and single
            if spatial and len(found.axes) > 1:
                yield _instance(found, dims)
            if found.groups == 1 and _few(found, dims):
                yield _layer(found, dims, last) if last is not None else _turned(found, dims)
            if spatial and len(found.axes) == 1:
                yield _instance(found, dims)
            if len(dims) > 2 and (found.groups > 1 or _spans(found, dims, 1)) and dims[1] is not None:
                yield from _grouped(found, dims, dims[1], single=single)
        case "RMSNormalization":
            if _few(found, dims):
                yield _root_mean_square(found, dims, last) if last is not None else _turned(found, dims)
        case _:
            if len(found.axes) == 1:
                power = 1 if found.idiom.endswith("(p=1)") else 2
                attributes = {"axis": found.axes[0], "p": power}
                inner = "" if last == len(dims) - 1 else ".inner"
                yield NormForm(
                    f"LpNormalization{inner}",
                    1,
                    1,
                    frozenset(),
                    False,
                    lambda tape, x, scale, bias: tape.op("LpNormalization", [x], attributes),
                    scaled=False,
                )


def _layer(found: FoundReduction, dims: list[int | None], axis: int) -> NormForm:
    def build(tape: Tape, x: ir.Value, scale: Array, bias: Array) -> ir.Value:
        shape = [dim or 1 for dim in dims[axis:]]
        inputs = [x, _filled(tape, x, scale, shape, "scale")]
        if np.any(bias):
            inputs.append(_filled(tape, x, bias, shape, "bias"))
        attributes = {"axis": axis - len(dims), "epsilon": found.parameters["epsilon"]}
        return tape.op("LayerNormalization", inputs, attributes)

    return NormForm("LayerNormalization", 17, 1, frozenset(range(axis, len(dims))), True, build)


def _turned(found: FoundReduction, dims: list[int | None]) -> NormForm:
    """Between two Transposes, that bring the axes to the end and back."""
    order = [axis for axis in range(len(dims)) if axis not in found.axes] + list(found.axes)
    back = [order.index(axis) for axis in range(len(dims))]
    make = _layer if found.idiom == "LayerNormalization" else _root_mean_square
    form = make(found, [dims[axis] for axis in order], len(dims) - len(found.axes))

    def build(tape: Tape, x: ir.Value, scale: Array, bias: Array) -> ir.Value:
        turned = [array.transpose(order) if array.ndim else array for array in (scale, bias)]
        y = form.build(tape, tape.op("Transpose", [x], {"perm": order}), *turned)
        return tape.op("Transpose", [y], {"perm": back})

    name = f"Transpose {form.name} Transpose"
    return NormForm(name, form.since, 3, frozenset(found.axes), form.biased, build)


def _root_mean_square(found: FoundReduction, dims: list[int | None], axis: int) -> NormForm:
    def build(tape: Tape, x: ir.Value, scale: Array, bias: Array) -> ir.Value:
        inputs = [x, _filled(tape, x, scale, [dim or 1 for dim in dims[axis:]], "scale")]
        attributes = {"axis": axis - len(dims), "epsilon": found.parameters["epsilon"]}
        return tape.op("RMSNormalization", inputs, attributes)

    return NormForm("RMSNormalization", 23, 1, frozenset(range(axis, len(dims))), False, build)


def _instance(found: FoundReduction, dims: list[int | None]) -> NormForm:
    def build(tape: Tape, x: ir.Value, scale: Array, bias: Array) -> ir.Value:
        channels = dims[1] or 1
        inputs = [x, *(_filled(tape, x, each.reshape(-1), [channels], "scale") for each in (scale, bias))]
        return tape.op("InstanceNormalization", inputs, {"epsilon": found.parameters["epsilon"]})

    return NormForm("InstanceNormalization", 6, 1, frozenset({1}), True, build)


def _grouped(
    found: FoundReduction, dims: list[int | None], channels: int, *, single: bool
) -> Iterator[NormForm]:
    """The operator, and the way around it that torch's exporter goes."""
    groups, epsilon = found.groups, found.parameters["epsilon"]

    def operator(tape: Tape, x: ir.Value, scale: Array, bias: Array) -> ir.Value:
        inputs = [x, *(_filled(tape, x, each.reshape(-1), [channels], "scale") for each in (scale, bias))]
        return tape.op("GroupNormalization", inputs, {"epsilon": epsilon, "num_groups": groups})

    def spelled(tape: Tape, x: ir.Value, scale: Array, bias: Array) -> ir.Value:
        factor = scale.reshape(-1)[0]  # it varies along no axis
        one, zero = (_constant(tape, x, np.full(groups, fill), "scale") for fill in (factor, 0.0))
        rows = tape.op("Reshape", [x, tape.ints([0, groups, -1], "groups")])
        normal = tape.op("InstanceNormalization", [rows, one, zero], {"epsilon": epsilon})
        return tape.op("Reshape", [normal, tape.ints([0, channels, *spatial], "shape")])

    yield NormForm("GroupNormalization", 21, 1, frozenset({1}), True, operator)
    spatial = [-1 if dim is None else dim for dim in dims[2:]]
    if spatial.count(-1) <= 1 and single:
        yield NormForm("Reshape InstanceNormalization Reshape", 6, 3, frozenset(), False, spelled)


def _varies(array: Array) -> frozenset[int]:
    return frozenset(axis for axis, size in enumerate(array.shape) if size != 1)


def _spans(found: FoundReduction, dims: list[int | None], first: int) -> bool:
    """Whether a row is all axes from `first` on; those of size 1 may be missing or there."""
    return all((axis in found.axes) == (axis >= first) for axis, dim in enumerate(dims) if dim != 1)


def _trailing(found: FoundReduction, dims: list[int | None]) -> int | None:
    """The axis from which on all axes make a row."""
    first = min(found.axes)
    return first if found.groups == 1 and _spans(found, dims, first) else None


def _few(found: FoundReduction, dims: list[int | None]) -> bool:
    """Whether the sizes of a row are known, and its scale is no long list of ones."""
    sizes = [
        dims[axis] for axis in range(min(found.axes), len(dims)) if axis in found.axes or dims[axis] == 1
    ]
    known = [size for size in sizes if size is not None]
    return len(known) == len(sizes) and math.prod(known) <= max(MOST_ONES, found.scale.size)


def _filled(tape: Tape, x: ir.Value, array: Array, shape: list[int], name: str) -> ir.Value:
    """A constant of that shape; the array broadcasts into it."""
    kept = array.reshape(array.shape[max(0, array.ndim - len(shape)) :])
    return _constant(tape, x, np.broadcast_to(kept, shape), name)


def _constant(tape: Tape, x: ir.Value, array: Array, name: str) -> ir.Value:
    assert x.dtype is not None
    return tape.const(array.astype(x.dtype.numpy()), name)


def _trimmed(array: Array) -> Array:
    """The array without leading dimensions of size 1."""
    shape = list(array.shape)
    while shape and shape[0] == 1:
        shape.pop(0)
    return array.reshape(shape)
