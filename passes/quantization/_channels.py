"""Where the channels of a value can be scaled and the layers that read it scaled against that.

Factors are powers of two, so that every product, and every sum of such, is the same to the bit. Which factors
pay is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    PROVENANCE_KEY,
    Changes,
    Names,
    Reject,
    attribute_int,
    constant,
    constant_tensor,
    constant_value,
    rank,
)
from graphopt.passes.operands import an
from graphopt.passes.quantization._products import Product, products
from graphopt.passes.quantization._rounded import noted

Array = np.ndarray[Any, np.dtype[Any]]
Floats = np.ndarray[Any, np.dtype[np.float32]]

PASSES_SCALES = frozenset(
    {"Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
)
"""Operators whose output is scaled as their input is, by positive factors."""
POOLS = PASSES_SCALES - {"Relu", "LeakyRelu"}


@dataclass(frozen=True)
class Factor:
    """A constant that scales channels.

    Attributes:
        node: Its reader.
        index: At which input.
        axis: Of the constant, which runs over the channels.
    """

    node: ir.Node
    index: int
    axis: int

    @property
    def value(self) -> ir.Value:
        """The constant."""
        value = self.node.inputs[self.index]
        assert value is not None
        return value


@dataclass(frozen=True, eq=False)
class Site:
    """A value whose channels can be scaled.

    Attributes:
        value: The value.
        axis: Of its channels: 1 or -1.
        channels: Their number.
        readers: The products that read it, and can make up for the scale.
        factors: Constants to scale so that the value is; empty where none would do.
        obstacle: Why none would do.
    """

    value: ir.Value
    axis: int
    channels: int
    readers: Sequence[Product]
    factors: Sequence[Factor]
    obstacle: str


def sites(model: ir.Model, changes: Changes) -> Iterator[Site]:
    """The values that products by constants read, in order; counts why others cannot be scaled."""
    by_value: dict[ir.Value, list[Product]] = {}
    for product in products(model, changes):
        by_value.setdefault(product.data, []).append(product)
    for value, readers in by_value.items():
        axes = {_data_axis(reader) for reader in readers}
        if len(axes) > 1 or None in axes or len({reader.channels for reader in readers}) > 1:
            changes.refuse("its readers take different axes for channels", value.name)
            continue
        if any(noted(reader.weight) is not None for reader in readers):
            changes.refuse("its readers' weights are rounded already", value.name)
            continue
        (axis,) = axes
        assert axis is not None
        channels = readers[0].channels
        factors, obstacle = _factors(value, axis, channels, readers)
        yield Site(value, axis, channels, readers, factors, obstacle)


def weights_by_channel(reader: Product) -> Array:
    """The magnitudes that each output gives to each channel, [groups, outputs of a group, channels of one,
    kernel size].
    """
    array = constant(reader.weight)
    assert array is not None
    matrix = reader.matrix(np.abs(array))
    kernel = int(np.prod(reader.shape[2:])) if reader.node.op_type == "Conv" else 1
    return matrix.reshape(reader.groups, -1, reader.channels // reader.groups, kernel)


def powers_of_two(scales: Array) -> Floats:
    """The nearest powers of two."""
    return np.asarray(np.exp2(np.rint(np.log2(np.asarray(scales, np.float64)))), np.float32)


def scale(model: ir.Model, names: Names, site: Site, scales: Floats) -> None:
    """Divide a value's channels by powers of two, and multiply the weights that it meets.

    Where no constant can take the division, a Div does, which only the products read.
    """
    for reader in site.readers:
        array = constant(reader.weight)
        assert array is not None
        matrix = reader.matrix(array)
        kernel = matrix.shape[1] * reader.groups // site.channels
        by_group = np.repeat(scales.reshape(reader.groups, 1, -1), kernel, axis=2)
        scaled = matrix.reshape(reader.groups, -1, matrix.shape[1]) * by_group
        reader.weight.const_value = ir.Tensor(reader.unmatrix(scaled), name=reader.weight.name)
    for factor in site.factors:
        array = constant(factor.value)
        assert array is not None
        spread = scales.reshape([-1 if axis == factor.axis else 1 for axis in range(array.ndim)])
        _replace(model, names, factor.node, factor.index, np.asarray(array / spread, np.float32))
    if not site.factors:
        _divide(model, names, site, scales)


def _divide(model: ir.Model, names: Names, site: Site, scales: Floats) -> None:
    value, first = site.value, site.readers[0].node
    shape = (-1,) if site.axis == -1 else (-1, *(1 for _ in range((rank(value) or 4) - 2)))
    divisor = _initializer(model, names.fresh(f"{value.name}/scales"), scales.reshape(shape))
    output = ir.Value(name=names.fresh(f"{value.name}/scaled"), type=value.type, shape=value.shape)
    node = ir.Node("", "Div", [value, divisor], outputs=[output], name=output.name)
    node.metadata_props[PROVENANCE_KEY] = first.metadata_props.get(PROVENANCE_KEY) or first.name or ""
    model.graph.insert_before(first, node)
    for reader in site.readers:
        reader.node.replace_input_with(0, output)


def _replace(model: ir.Model, names: Names, node: ir.Node, index: int, array: Floats) -> None:
    old = node.inputs[index]
    assert old is not None
    node.replace_input_with(index, _initializer(model, names.fresh(f"{old.name}/scaled"), array))
    name = old.name or ""
    if not old.uses() and not old.is_graph_output() and model.graph.initializers.get(name) is old:
        del model.graph.initializers[name]


def _initializer(model: ir.Model, name: str, array: Floats) -> ir.Value:
    value = constant_value(name, np.ascontiguousarray(array))
    model.graph.initializers.add(value)
    return value


def _data_axis(reader: Product) -> int | None:
    """Which axis of what a product reads are its channels."""
    if reader.node.op_type == "Conv":
        return 1
    return None if attribute_int(reader.node, "transA", 0) else -1


def _factors(
    value: ir.Value, axis: int, channels: int, readers: Sequence[Product]
) -> tuple[list[Factor], str]:
    try:
        if value.is_graph_output() or {use.node for use in value.uses()} != {each.node for each in readers}:
            raise Reject("others read the value too")
        return list(_walk(value, axis, channels)), ""
    except Reject as reason:
        return [], str(reason)


def _walk(value: ir.Value, axis: int, channels: int) -> Iterator[Factor]:
    """The constants behind a value, up to where its scale is made."""
    while True:
        node = value.producer()
        if node is None or node.domain or value is not node.outputs[0]:
            raise Reject("no layer makes the value")
        if node.op_type in PASSES_SCALES:
            if node.op_type in POOLS and axis != 1:
                raise Reject(f"{an(node.op_type)} takes another axis for channels")
            value = _only_read(node, 0)
            continue
        if node.op_type == "Add":
            place = next((place for place in (0, 1) if constant_tensor(node.inputs[place]) is not None), None)
            if place is None:
                raise Reject("a sum of two values makes it")
            yield _factor(node, place, axis, channels, rank(node.outputs[0]))
            value = _only_read(node, 1 - place)
            continue
        yield from _makers(node, axis, channels)
        return


def _makers(node: ir.Node, axis: int, channels: int) -> Iterator[Factor]:
    """The constants of the node that makes the scale."""
    if node.op_type == "Mul":
        place = next((place for place in (0, 1) if constant_tensor(node.inputs[place]) is not None), None)
        if place is None:
            raise Reject("a product of two values makes it")
        yield _factor(node, place, axis, channels, rank(node.outputs[0]))
    elif node.op_type == "Conv" and axis == 1:
        yield _weight(node, 0, channels)
        yield from _vectors(node, (2,), channels)
    elif node.op_type == "MatMul" and axis == -1:
        yield _weight(node, 1, channels)
    elif node.op_type == "Gemm" and axis == -1:
        yield _weight(node, 0 if attribute_int(node, "transB", 0) else 1, channels)
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            yield _factor(node, 2, axis, channels, 2)
    elif node.op_type == "LayerNormalization" and axis == -1:
        if attribute_int(node, "axis", -1) not in (-1, (rank(node.outputs[0]) or 0) - 1):
            raise Reject("its LayerNormalization has several axes")
        yield from _vectors(node, (1, 2), channels)
    elif node.op_type == "BatchNormalization" and axis == 1 and len(node.outputs) == 1:
        yield from _vectors(node, (1, 2), channels)
    else:
        raise Reject(f"{an(node.op_type)} makes it, of which no constant scales channels")


def _weight(node: ir.Node, axis: int, channels: int) -> Factor:
    weight = node.inputs[1]
    tensor = constant_tensor(weight)
    if tensor is None or tensor.dtype != ir.DataType.FLOAT or weight is None or noted(weight) is not None:
        raise Reject("the weights of the layer that makes it are no constant")
    shape = tensor.shape.numpy()
    if len(shape) <= axis or shape[axis] != channels or (node.op_type == "MatMul" and len(shape) != 2):
        raise Reject("the weights of the layer that makes it have other channels")
    return Factor(node, 1, axis)


def _vectors(node: ir.Node, places: Sequence[int], channels: int) -> Iterator[Factor]:
    for place in places:
        if place < len(node.inputs) and node.inputs[place] is not None:
            yield _factor(node, place, -1, channels, 1)


def _factor(node: ir.Node, place: int, axis: int, channels: int, rank: int | None) -> Factor:
    """A constant that broadcasts over all but channels."""
    tensor = constant_tensor(node.inputs[place])
    if tensor is None or tensor.dtype != ir.DataType.FLOAT or rank is None:
        raise Reject("a bias or factor on the way is no constant of float32")
    shape = tuple(tensor.shape.numpy())
    at = (axis if axis < 0 else axis - rank) + len(shape)
    if at < 0 or shape[at] != channels or int(tensor.size) != channels:
        raise Reject("a bias or factor on the way is not one number a channel")
    return Factor(node, place, at)


def _only_read(node: ir.Node, place: int) -> ir.Value:
    value = node.inputs[place]
    if value is None or len(tuple(value.uses())) != 1 or value.is_graph_output():
        raise Reject("others read a value on the way too")
    return value
