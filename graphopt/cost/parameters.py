"""Which values of a model are constants and parameters, and how large they are together.

Reads no tensor's data.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx_ir as ir

from graphopt.cost.call import Shape, tensor_bytes
from graphopt.cost.model_cost import Parameters
from graphopt.ir import constant_tensor, graphs, is_constant_node

_NOT_PARAMETERS = frozenset({ir.DataType.INT64, ir.DataType.BOOL, ir.DataType.STRING})
"""Types of shapes, axes, masks and labels; constants of every other type count as parameters."""


def is_constant(value: ir.Value) -> bool:
    """Whether a value is an initializer (also a default that a caller may override) or made of constants."""
    if value.is_initializer():
        return True
    producer = value.producer()
    return producer is not None and (is_constant_node(producer) or is_generated(producer))


def is_generated(node: ir.Node) -> bool:
    """Whether a node makes a constant out of nothing but a constant shape."""
    if node.op_type != "ConstantOfShape" or node.domain:
        return False
    shape = node.inputs[0]
    return shape is not None and (shape.is_initializer() or constant_tensor(shape) is not None)


def is_parameter(value: ir.Value) -> bool:
    """Whether a value is a constant of a type that weights have."""
    return _dtype(value) not in _NOT_PARAMETERS and is_constant(value)


def count_parameters(
    model: ir.Model, shape: Callable[[ir.Value], Shape | None]
) -> tuple[Parameters, Parameters]:
    """Parameters that are in the file, and those that ConstantOfShape generates; each value once.

    Args:
        model: The model.
        shape: The concrete shape of a value.
    """
    stored: list[ir.Value] = []
    generated: list[ir.Value] = []
    for graph in graphs(model):
        stored.extend(graph.initializers.values())
        for node in graph:
            if is_constant_node(node):
                stored.append(node.outputs[0])
            elif is_generated(node):
                generated.append(node.outputs[0])
    return _total(stored, shape), _total(generated, shape)


def _total(values: list[ir.Value], shape: Callable[[ir.Value], Shape | None]) -> Parameters:
    count = size = 0
    for value in values:
        dims = shape(value)
        if dims is not None and is_parameter(value):
            count += math.prod(dims)
            size += tensor_bytes(dims, _dtype(value))
    return Parameters(count, size)


def _dtype(value: ir.Value) -> ir.DataType | None:
    if value.dtype is not None:
        return value.dtype
    tensor = constant_tensor(value)
    return None if tensor is None else tensor.dtype
