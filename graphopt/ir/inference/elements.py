"""Rules of the operators that shape arithmetic is made of, and the elements of their outputs where certain.

Constants, comparisons, logic, Where, casts and Range. Nothing here changes the layout of a tensor.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence

import onnx_ir as ir
from onnx_shape_inference import registry

from graphopt.ir.dims import Dim, same_dim
from graphopt.ir.graphs import attribute_tensor
from graphopt.ir.inference.broadcasting import correct_broadcast
from graphopt.ir.inference.context import MAX_ELEMENTS, Context, tensor_of


def infer_constant(context: Context, node: ir.Node) -> bool:
    """The plain spelling; the other attributes are left to the general rule."""
    attribute = node.attributes.get("value")
    if attribute is None:
        return False
    tensor = attribute_tensor(attribute)
    context.set_shape_and_dtype(node.outputs[0], ir.Shape(tensor.shape.numpy()), tensor.dtype)
    return True


def remember_filling(context: Context, node: ir.Node) -> None:
    """Elements of an integer ConstantOfShape."""
    attribute, shape = node.attributes.get("value"), node.outputs[0].shape
    if attribute is None or attribute.is_ref() or shape is None or not shape.is_static():
        return
    tensor = attribute_tensor(attribute)
    size = math.prod(shape.numpy())
    if tensor.dtype.is_integer() and size <= MAX_ELEMENTS:
        context.set_symbolic_value(node.outputs[0], [int(tensor.numpy().reshape(-1)[0])] * size)


COMPARE: dict[str, Callable[[int, int], bool]] = {
    "Equal": operator.eq,
    "Less": operator.lt,
    "LessOrEqual": operator.le,
    "Greater": operator.gt,
    "GreaterOrEqual": operator.ge,
}


def infer_comparison(context: Context, node: ir.Node) -> bool:
    """Elements where every pair compares the same in each run."""
    registry.get("", node.op_type, version=context.get_opset_version(""))(context, node)
    correct_broadcast(context, node)
    lists = _elements(context, node)
    pairs = None if lists is None else _aligned(lists)
    if pairs is None:
        return True
    results = [_compare(context, node.op_type, *pair) for pair in pairs]
    if all(result is not None for result in results):
        context.set_symbolic_value(node.outputs[0], [int(bool(result)) for result in results])
    return True


def _compare(context: Context, op_type: str, left: Dim, right: Dim) -> bool | None:
    """Result for two elements, None where it depends on the inputs."""
    if isinstance(left, int) and isinstance(right, int):
        return COMPARE[op_type](left, right)
    if same_dim(left, right):
        return op_type in ("Equal", "LessOrEqual", "GreaterOrEqual")
    if isinstance(right, int) and right < 0 and context.is_length(left):
        return op_type in ("Greater", "GreaterOrEqual")
    if isinstance(left, int) and left < 0 and context.is_length(right):
        return op_type in ("Less", "LessOrEqual")
    return None


LOGIC: dict[str, Callable[..., int]] = {
    "Not": lambda a: 1 - a,
    "And": operator.and_,
    "Or": operator.or_,
    "Xor": operator.xor,
}


def infer_logic(context: Context, node: ir.Node) -> bool:
    """Elements where those of all operands are known."""
    registry.get("", node.op_type, version=context.get_opset_version(""))(context, node)
    correct_broadcast(context, node)
    lists = _elements(context, node)
    rows = None if lists is None else _aligned(lists)
    if rows is not None:
        context.set_symbolic_value(node.outputs[0], [LOGIC[node.op_type](*row) for row in rows])
    return True


def infer_where(context: Context, node: ir.Node) -> bool:
    """Elements, each that of the side which a known condition takes."""
    registry.get("", node.op_type, version=context.get_opset_version(""))(context, node)
    correct_broadcast(context, node)
    lists = _elements(context, node)
    rows = None if lists is None else _aligned(lists)
    if rows is not None:
        context.set_symbolic_value(node.outputs[0], [x if condition else y for condition, x, y in rows])
    return True


def infer_cast(context: Context, node: ir.Node) -> bool:
    """The operand's shape, and its elements where they are whole numbers."""
    data = node.inputs[0]
    if data is None:
        return False
    context.set_shape_and_dtype(node.outputs[0], data.shape, ir.DataType(node.attributes["to"].as_int()))
    _remember_whole(context, data, node.outputs[0])
    return True


def infer_cast_like(context: Context, node: ir.Node) -> bool:
    """Cast to the type of the second operand, where that is known."""
    data, like = node.inputs
    if data is None or like is None or like.dtype is None:
        return False
    context.set_shape_and_dtype(node.outputs[0], data.shape, like.dtype)
    _remember_whole(context, data, node.outputs[0])
    return True


_FLOATS = (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16)


def _remember_whole(context: Context, data: ir.Value, output: ir.Value) -> None:
    """Elements of a cast: those of integers, and of short float constants that are whole numbers."""
    elements = context.get_symbolic_value(data)
    tensor = tensor_of(data)
    if elements is None and tensor is not None and tensor.size <= MAX_ELEMENTS and tensor.dtype in _FLOATS:
        numbers = [float(number) for number in tensor.numpy().reshape(-1)]
        if all(abs(number) < 1 << 24 and number == int(number) for number in numbers):
            elements = [int(number) for number in numbers]
    if elements is not None:
        context.set_symbolic_value(output, elements)


def infer_range(context: Context, node: ir.Node) -> bool:
    """Counting from 0 by 1 gives as many elements as the limit says."""
    elements = _elements(context, node)
    if elements is None or any(len(each) != 1 for each in elements):
        return False
    (start,), (limit,), (step,) = elements
    if isinstance(limit, int) or start != 0 or step != 1 or not context.is_length(limit):
        return False
    dtype = node.inputs[0].dtype if node.inputs[0] is not None else None
    context.set_shape_and_dtype(node.outputs[0], ir.Shape([limit]), dtype)
    return True


def _elements(context: Context, node: ir.Node) -> list[list[Dim]] | None:
    found = [None if value is None else context.get_symbolic_value(value) for value in node.inputs]
    return None if any(each is None for each in found) else found  # type: ignore[return-value]


def _aligned(lists: Sequence[list[Dim]]) -> list[tuple[Dim, ...]] | None:
    """Elements that meet each other; None where that is not plain (the size check then drops more)."""
    length = max(map(len, lists))
    if any(len(each) not in (1, length) for each in lists):
        return None
    return [tuple(each[0 if len(each) == 1 else index] for each in lists) for index in range(length)]
