"""A region as a function of tensors: run in float64 on probes of a few small shapes.

Dimensions that are not known, and known ones that nothing in the region depends on, get other sizes from
probe to probe; what is found to hold for all of them holds for any size. It compares with no idiom.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.idioms.evaluate import CannotEvaluateError, apply
from graphopt.idioms.regions import Region
from graphopt.ir import attribute_int, attribute_ints, constant, constant_tensor, ints, rank

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

SMALL = 2048
"""Elements of a probe up to which every known dimension keeps its size."""
LARGE = 1 << 16
"""Elements that a probe may have at most."""
SIZES = ((5, 2), (4, 3))
"""Sizes of free dimensions, of those that a reduction seems to run over and of others, by probe shape."""
COUNTING = frozenset({"ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceL2", "LayerNormalization"})
"""Operators whose results tell how many elements they have reduced, or whose constants do."""


class TensorFunction:
    """What a region computes of its entry.

    Attributes:
        region: The nodes.
        shapes: Two probe shapes that differ in every free dimension; one where there is none.
        free: Axes of free dimensions.
        keeps_sizes: Every known dimension has its size in them.
    """

    def __init__(self, region: Region, *, keep_sizes: bool) -> None:
        """
        Args:
            region: Its entry is of known rank.
            keep_sizes: Give every known dimension its size; otherwise only where that seems to matter.

        Raises:
            CannotEvaluateError: A probe would be too large.
        """
        self.region = region
        dims = region.entry.shape.dims if region.entry.shape is not None else ()
        known = {axis: dim for axis, dim in enumerate(dims) if isinstance(dim, int)}
        if not keep_sizes and math.prod(known.values()) * 5 ** (len(dims) - len(known)) > SMALL:
            pinned = set(_pinned(region, known, len(dims)))
            known = {axis: dim for axis, dim in known.items() if axis in pinned or dim <= 2}
        self.keeps_sizes = len(known) == sum(isinstance(dim, int) for dim in dims)
        self.free = tuple(axis for axis in range(len(dims)) if axis not in known)
        mixed = {axis for node in region.nodes for axis in reduced_axes(node) or ()}
        self.shapes = tuple(
            tuple(known.get(axis, (inner if axis in mixed else outer)) for axis in range(len(dims)))
            for inner, outer in (SIZES if self.free else SIZES[:1])
        )
        if math.prod(self.shapes[0]) > LARGE or 0 in self.shapes[0]:
            raise CannotEvaluateError("the tensors are too large to evaluate")
        self._constants: dict[ir.Value, Array] = {}
        self._views = {node: view for node in region.nodes if (view := _unit_view(node)) is not None}

    def __call__(self, x: Array) -> Array:
        """The result for one probe.

        Raises:
            CannotEvaluateError: A node is of no known kind, or takes no tensor of that shape.
        """
        values: dict[ir.Value, Array] = {self.region.entry: x}
        with np.errstate(all="ignore"):
            for node in self.region.nodes:
                view = self._views.get(node)
                if view is not None:
                    source = self._operand(node.inputs[0], values)
                    assert source is not None
                    result = source.reshape([1 if axis is None else source.shape[axis] for axis in view])
                else:
                    result = apply(node, [self._operand(value, values) for value in node.inputs])
                values[node.outputs[0]] = result
        return values[self.region.end]

    def scalars(self) -> list[float]:
        """The constants of one element, in order."""
        found: dict[float, None] = {}
        for node in self.region.nodes:
            for value in node.inputs:
                tensor = constant_tensor(value)
                if tensor is not None and tensor.size == 1 and tensor.dtype.is_floating_point():
                    found[float(tensor.numpy().reshape(-1)[0])] = None
            for attribute in node.attributes.values():
                if attribute.type == ir.AttributeType.FLOAT:
                    found[attribute.as_float()] = None
        return list(found)

    def _operand(self, value: ir.Value | None, values: dict[ir.Value, Array]) -> Array | None:
        if value is None:
            return None
        if value in values:
            return values[value]
        if value not in self._constants:
            tensor = constant_tensor(value)
            if tensor is None or tensor.size > LARGE or tensor.dtype == ir.DataType.STRING:
                raise CannotEvaluateError("a constant is too large to evaluate")
            array = tensor.numpy()
            floating = tensor.dtype.is_floating_point()
            self._constants[value] = array.astype(np.float64) if floating else array
        return self._constants[value]


def is_reduction(node: ir.Node) -> bool:
    """Whether a node mixes the elements of rows."""
    return not node.domain and (node.op_type.startswith("Reduce") or node.op_type in MIXING)


def reduced_axes(node: ir.Node) -> tuple[int, ...] | None:
    """The axes, counted from the front, that a node mixes the elements of; None for no such node.

    Empty where they are not known.
    """
    source = node.inputs[0] if node.inputs else None
    axes_of = rank(source)
    if not is_reduction(node):
        return None
    if axes_of is None:
        return ()
    if node.op_type == "LayerNormalization" or node.op_type == "RMSNormalization":
        return tuple(range(attribute_int(node, "axis", -1) % axes_of, axes_of))
    if node.op_type in ("InstanceNormalization", "GlobalAveragePool"):
        return tuple(range(2, axes_of))
    if node.op_type in ("Softmax", "LogSoftmax", "LpNormalization"):
        return (attribute_int(node, "axis", -1) % axes_of,)
    axes = attribute_ints(node, "axes")
    if axes is None and len(node.inputs) > 1:
        axes = ints(node.inputs[1])
    if not axes:
        return () if attribute_int(node, "noop_with_empty_axes", 0) else tuple(range(axes_of))
    return tuple(sorted(axis % axes_of for axis in axes))


MIXING = frozenset(
    {
        "GlobalAveragePool",
        "InstanceNormalization",
        "LayerNormalization",
        "LogSoftmax",
        "LpNormalization",
        "RMSNormalization",
        "Softmax",
    }
)
"""Operators beside the Reduce family whose results depend on several elements."""


def _pinned(region: Region, sizes: Mapping[int, int], axes: int) -> Iterator[int]:
    """Axes whose size the region's constants may depend on."""
    moved = any(node.op_type in ("Transpose", "Reshape", "Flatten") for node in region.nodes)
    for node in region.nodes:
        if node.op_type in COUNTING and rank(node.inputs[0]) == axes:
            yield from reduced_axes(node) or ()
        for index, value in enumerate(node.inputs):
            tensor = constant_tensor(value)
            if tensor is None or not tensor.dtype.is_floating_point():
                continue
            if node.op_type == "InstanceNormalization" and index:
                yield 1
            dims = tensor.shape.numpy()
            yield from (axes - len(dims) + axis for axis, dim in enumerate(dims) if dim != 1)
            if moved:
                yield from (axis for axis, size in sizes.items() if size in dims)


def _unit_view(node: ir.Node) -> list[int | None] | None:
    """For a Reshape that only adds and drops dimensions of size 1: where each output dimension comes from."""
    source, target = (node.inputs or (None,))[0], node.outputs[0]
    if node.op_type != "Reshape" or source is None or source.shape is None or target.shape is None:
        return None
    if constant(node.inputs[1]) is None:
        return None
    places = [(axis, dim) for axis, dim in enumerate(source.shape.dims) if dim != 1]
    wanted = [dim for dim in target.shape.dims if dim != 1]
    if [dim for _, dim in places] != wanted or any(
        isinstance(dim, ir.SymbolicDim) and dim.value is None for dim in wanted
    ):
        return None
    remaining = iter(places)
    return [None if dim == 1 else next(remaining)[0] for dim in target.shape.dims]
