"""Which dimensions of a model's values belong together: shrinking one of a class shrinks all.

What an operator demands is known for the common ones; for others dimensions of one size at matching places
are taken to belong together. A wrong guess makes an invalid candidate, never a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from graphopt.ir import attribute_int, attribute_ints, graphs, is_constant_node, static_shape

Place = tuple[ir.Value, int]
"""A value and one of its axes, counted from 0."""


class Classes:
    """Disjoint sets of places (union-find, Tarjan 1975)."""

    def __init__(self) -> None:
        self._parents: dict[Place, Place] = {}

    def find(self, place: Place) -> Place:
        """The place that stands for the class of `place`."""
        root = place
        while (parent := self._parents.get(root, root)) != root:
            root = parent
        while place != root:
            self._parents[place], place = root, self._parents.get(place, place)
        return root

    def join(self, left: Place, right: Place) -> None:
        """Make one class of two."""
        self._parents[self.find(left)] = self.find(right)


def dimension_classes(model: ir.Model) -> Classes:
    """Classes over the static dimensions of every value; dimensions of different sizes never share one."""
    classes = Classes()
    for graph in graphs(model):
        for node in graph:
            for left, right in _links(node):
                if _size(left) == _size(right) != 1 and _size(left) is not None:
                    classes.join(left, right)
    return classes


def _size(place: Place) -> int | None:
    value, axis = place
    if value.shape is None or not -len(value.shape) <= axis < len(value.shape):
        return None
    dim = value.shape.dims[axis]
    return dim if isinstance(dim, int) else None


def _links(node: ir.Node) -> Iterator[tuple[Place, Place]]:
    if is_constant_node(node):
        return
    inputs = [value if value is not None and value.shape is not None else None for value in node.inputs]
    outputs = [value for value in node.outputs if value.shape is not None]
    special = None if node.domain else _SPECIAL.get(node.op_type)
    if special is not None:
        for left, right in special(node, inputs, outputs):
            yield _counted(left), _counted(right)
        return
    known = [value for value in (*inputs, *outputs) if value is not None]
    for output in outputs:
        for value in known:
            if value is not output:
                yield from _aligned(value, output)
    for value in known[1:]:
        yield from _aligned(known[0], value)


def _counted(place: Place) -> Place:
    value, axis = place
    return value, axis % len(value.shape) if value.shape is not None and len(value.shape) else axis


def _aligned(left: ir.Value, right: ir.Value) -> Iterator[tuple[Place, Place]]:
    """Places that match: from the end, and where the ranks differ from the beginning too."""
    a, b = left.shape, right.shape
    assert a is not None and b is not None
    shorter = min(len(a), len(b))
    same_rank = len(a) == len(b)
    for offset in range(1, shorter + 1):
        yield (left, len(a) - offset), (right, len(b) - offset)
        if not same_rank and a[len(a) - offset] != b[len(b) - offset]:
            break
    for axis in () if same_rank else range(shorter):
        yield (left, axis), (right, axis)
        if a[axis] != b[axis]:
            break


Values = Sequence["ir.Value | None"]
Links = Iterator[tuple[Place, Place]]


def _transpose(node: ir.Node, inputs: Values, outputs: Sequence[ir.Value]) -> Links:
    if inputs[0] is None or not outputs:
        return
    assert inputs[0].shape is not None
    perm = attribute_ints(node, "perm") or list(reversed(range(len(inputs[0].shape))))
    for axis, source in enumerate(perm):
        yield (inputs[0], source), (outputs[0], axis)


def _conv(node: ir.Node, inputs: Values, outputs: Sequence[ir.Value]) -> Links:
    transposed = node.op_type == "ConvTranspose"
    x, weight = inputs[0], inputs[1]
    if weight is None:
        return
    if x is not None:
        yield (x, 1), (weight, 0 if transposed else 1)
        if attribute_int(node, "group", 1) > 1:
            yield (x, 1), (weight, 0)
        for output in outputs:
            yield (x, 0), (output, 0)
            yield from (((x, axis), (output, axis)) for axis in range(2, len(output.shape or ())))
    made = 1 if transposed else 0
    for output in outputs:
        yield (weight, made), (output, 1)
    if len(inputs) > 2 and inputs[2] is not None:
        yield (weight, made), (inputs[2], 0)


def _matmul(node: ir.Node, inputs: Values, outputs: Sequence[ir.Value]) -> Links:
    left, right = inputs[0], inputs[1]
    if left is not None and right is not None and len(left.shape or ()) and len(right.shape or ()):
        yield (left, -1), (right, -2 if len(right.shape or ()) > 1 else -1)
    for output in outputs:
        batch = range(3, len(output.shape or ()) + 1)
        for value in (left, right):
            for axis in batch:
                if value is not None and len(value.shape or ()) >= axis:
                    yield (value, -axis), (output, -axis)
        if left is not None and len(left.shape or ()) > 1 and len(output.shape or ()) > 1:
            yield (left, -2), (output, -2)
        if right is not None and len(right.shape or ()) > 1 and len(output.shape or ()):
            yield (right, -1), (output, -1)


def _gemm(node: ir.Node, inputs: Values, outputs: Sequence[ir.Value]) -> Links:
    a, b = attribute_int(node, "transA", 0), attribute_int(node, "transB", 0)
    left, right = inputs[0], inputs[1]
    if left is not None and right is not None:
        yield (left, 0 if a else 1), (right, 1 if b else 0)
    for output in outputs:
        if left is not None:
            yield (left, 1 if a else 0), (output, 0)
        if right is not None:
            yield (right, 0 if b else 1), (output, 1)
        if len(inputs) > 2 and inputs[2] is not None:
            yield from _aligned(inputs[2], output)


def _by_channel(node: ir.Node, inputs: Values, outputs: Sequence[ir.Value]) -> Links:
    x = inputs[0]
    if x is None:
        return
    for output in outputs[:1]:
        yield from _aligned(x, output)
    for value in (*inputs[1:], *outputs[1:]):
        if value is not None and len(value.shape or ()) == 1:
            yield (x, 1), (value, 0)


def _along_axis(node: ir.Node, inputs: Values, outputs: Sequence[ir.Value]) -> Links:
    """Concat and Split: all dimensions but that of the axis are those of every other value."""
    values = [value for value in (*inputs[: 1 if node.op_type == "Split" else None], *outputs) if value]
    if not values:
        return
    rank = len(values[0].shape or ())
    axis = attribute_int(node, "axis", 0)
    for value in values[1:]:
        for place in range(rank):
            if place != axis % max(rank, 1):
                yield (values[0], place), (value, place)


def _gather(node: ir.Node, inputs: Values, outputs: Sequence[ir.Value]) -> Links:
    data, indices = inputs[0], inputs[1]
    if data is None or indices is None:
        return
    axis = attribute_int(node, "axis", 0) % max(len(data.shape or ()), 1)
    length = len(indices.shape or ())
    for output in outputs:
        yield from (((data, each), (output, each)) for each in range(axis))
        yield from (((indices, each), (output, axis + each)) for each in range(length))
        for each in range(axis + 1, len(data.shape or ())):
            yield (data, each), (output, each + length - 1)


_SPECIAL = {
    "Transpose": _transpose,
    "Conv": _conv,
    "ConvTranspose": _conv,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "BatchNormalization": _by_channel,
    "InstanceNormalization": _by_channel,
    "GroupNormalization": _by_channel,
    "Concat": _along_axis,
    "Split": _along_axis,
    "Gather": _gather,
}
"""How the operators that do not simply align their dimensions link them."""


def shape_elements(model: ir.Model) -> Iterator[tuple[ir.Value, int, Place]]:
    """Elements of shape operands that say a dimension of an output: operand, index, that dimension."""
    for graph in graphs(model):
        for node in graph:
            index = {"Reshape": 1, "Expand": 1, "ConstantOfShape": 0}.get(node.op_type)
            if index is None or node.domain or len(node.inputs) <= index:
                continue
            operand, output = node.inputs[index], node.outputs[0]
            length = static_shape(operand)
            if operand is None or output.shape is None or length is None or len(length) != 1:
                continue
            for element in range(length[0]):
                axis = len(output.shape) - length[0] + element
                if axis >= 0:
                    yield operand, element, (output, axis)
