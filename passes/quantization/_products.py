"""Convolutions and matrix products by constants, as matrices: what they multiply, and by what.

A layer's weight is a matrix [outputs, inputs of a group], and a sample of its input a row. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    Changes,
    Reject,
    attribute_float,
    attribute_int,
    attribute_ints,
    attribute_string,
    constant,
    constant_tensor,
    static_shape,
)
from graphopt.quant.rounding import patches

Array = np.ndarray[Any, np.dtype[Any]]
Floats = np.ndarray[Any, np.dtype[np.float32]]

PRODUCTS = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True, eq=False)
class Product:
    """A node that multiplies an activation by a constant.

    Attributes:
        node: Conv, Gemm or MatMul.
        data: The activation.
        axis: Of the weight, which has an index for each output.
        groups: Of a convolution; 1 for the others.
        shape: Of the weight.
    """

    node: ir.Node
    data: ir.Value
    axis: int
    groups: int
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """Of the node."""
        return self.node.name or ""

    @property
    def weight(self) -> ir.Value:
        """The constant, an initializer that nobody else reads."""
        weight = self.node.inputs[1]
        assert weight is not None
        return weight

    @property
    def inputs(self) -> int:
        """Elements that an output is the sum of."""
        return int(np.prod(self.shape)) // self.shape[self.axis]

    @property
    def channels(self) -> int:
        """Of the activation."""
        return self.shape[1] * self.groups if self.node.op_type == "Conv" else self.inputs

    @property
    def reads(self) -> Hashable:
        """Equal for products that multiply the same rows."""
        attributes = sorted((name, str(attribute.value)) for name, attribute in self.node.attributes.items())
        kernel = self.shape[2:] if self.node.op_type == "Conv" else ()
        return (self.data.name, kernel, self.groups, tuple(attributes) if kernel else self.inputs)

    def matrix(self, array: Array) -> Floats:
        """An array of the weight's shape as [outputs, inputs of a group]."""
        moved = np.moveaxis(array, self.axis, 0).reshape(self.shape[self.axis], -1)
        return np.asarray(moved, np.float32)

    def unmatrix(self, matrix: Array) -> Floats:
        """The array of the weight's shape that `matrix` makes this of."""
        rest = [size for place, size in enumerate(self.shape) if place != self.axis]
        moved = np.moveaxis(matrix.reshape(self.shape[self.axis], *rest), 0, self.axis)
        return np.ascontiguousarray(moved, np.float32)

    def rows(self, x: Array, at_most: int) -> Array:
        """Samples of what each output is a sum over, [samples, inputs of all groups], evenly chosen."""
        if self.node.op_type == "Conv":
            kernel = self.shape[2:]
            return patches(
                x,
                kernel,
                strides=attribute_ints(self.node, "strides"),
                dilations=attribute_ints(self.node, "dilations"),
                pads=_pads(self.node, x.shape[2:], kernel),
                at_most=at_most,
            )
        if self.node.op_type == "Gemm" and attribute_int(self.node, "transA", 0):
            x = x.T
        flat = x.reshape(-1, self.inputs)
        return flat[:: max(-(-len(flat) // at_most), 1)]


def products(model: ir.Model, changes: Changes) -> Iterator[Product]:
    """Those of the main graph, in order; counts why others cannot be looked at."""
    for node in model.graph:
        if node.domain or node.op_type not in PRODUCTS or len(node.inputs) < 2:
            continue
        weight = node.inputs[1]
        if constant_tensor(weight) is None:
            continue
        try:
            yield _product(node, model.graph)
        except Reject as reason:
            changes.refuse(str(reason), node.name)


def _product(node: ir.Node, graph: ir.Graph) -> Product:
    data, weight = node.inputs[:2]
    shape = static_shape(weight)
    if data is None or not data.name or constant_tensor(data) is not None:
        raise Reject("it reads constants alone")
    if weight is None or shape is None or weight.dtype != ir.DataType.FLOAT or 0 in shape:
        raise Reject("its weights are not of float32")
    if graph.initializers.get(weight.name or "") is not weight:
        raise Reject("its weights are no initializer")
    if len(tuple(weight.uses())) > 1 or weight.is_graph_output():
        raise Reject("others read its weights too")
    array = constant(weight)
    if array is None or not np.isfinite(array).all():
        raise Reject("its weights are not finite")
    if node.op_type == "Conv":
        return Product(node, data, 0, attribute_int(node, "group", 1), shape)
    if len(shape) != 2:
        raise Reject("its weights are no matrix")
    if node.op_type == "Gemm" and attribute_float(node, "alpha", 1.0) != 1.0:
        raise Reject("its product is scaled")
    axis = 0 if node.op_type == "Gemm" and attribute_int(node, "transB", 0) else 1
    return Product(node, data, axis, 1, shape)


def _pads(node: ir.Node, sizes: tuple[int, ...], kernel: tuple[int, ...]) -> list[int] | None:
    """Padding before each spatial axis, then after each."""
    kind = attribute_string(node, "auto_pad", "NOTSET")
    if not kind.startswith("SAME"):
        return attribute_ints(node, "pads") if kind == "NOTSET" else None
    strides = attribute_ints(node, "strides") or [1] * len(kernel)
    dilations = attribute_ints(node, "dilations") or [1] * len(kernel)
    spans = zip(sizes, kernel, strides, dilations, strict=True)
    total = [max((-(-size // step) - 1) * step + (k - 1) * far + 1 - size, 0) for size, k, step, far in spans]
    less, more = [each // 2 for each in total], [each - each // 2 for each in total]
    return [*less, *more] if kind == "SAME_UPPER" else [*more, *less]
