"""Follows a scale or shift from where it stands to the weights that can take it up, backwards or forwards.

The answer is a plan: new weights and constants for nodes that are already there. Nothing changes until the plan
is carried out, and it exists only if every path ends in something that takes the scale or shift up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir import Reject, attribute_int, constant_tensor, is_constant_node, rank
from graphopt.passes.fusion._affine import BINARY, constant_operand, norm_affine
from graphopt.passes.fusion._arrays import ONE, ZERO, Array, aligned, along_axis, dtype_of, exact, rounded
from graphopt.passes.fusion._carry import Kind, through
from graphopt.passes.fusion._linear import LINEAR, Linear, linear, refuse_big_copy

MOST_NODES = 32
"""Nodes looked at for one scale or shift."""

Edit = tuple[ir.Node, int, npt.NDArray[Any]]


class Plan:
    """Changes that together take up one scale or shift.

    Attributes:
        views: New weights and biases of linear nodes.
    """

    def __init__(self, graph: ir.Graph, opset: int) -> None:
        self._graph = graph
        self._opset = opset
        self._seen: dict[ir.Node, None] = {}
        self.views: dict[ir.Node, Linear] = {}
        self._constants: dict[tuple[ir.Node, int], Array] = {}

    def edits(self) -> list[Edit]:
        """New constants by node and input, rounded; Reject where one overflows or underflows."""
        made: list[Edit] = []
        for (node, index), array in self._constants.items():
            old = node.inputs[index]
            assert old is not None
            made.append((node, index, rounded(array, dtype_of(old))))
        for node, view in self.views.items():
            for index, array in ((1, view.new_weight()), (2, view.new_bias())):
                if array is not None:
                    made.append((node, index, array))
        return made

    def backward(self, value: ir.Value, array: Array, kind: Kind, reader: ir.Node, index: int) -> None:
        """Let what makes `value`, input `index` of `reader`, take up a scale or shift of it."""
        if constant_tensor(value) is not None:
            self._edit(reader, index, array, kind)
            return
        node = value.producer()
        if node is None or value.index() or node.graph is not self._graph or is_constant_node(node):
            raise Reject("it reaches an input of the graph")
        if len(value.uses()) != 1 or value.is_graph_output():
            raise Reject(f"the result of the {node.op_type} is also used elsewhere")
        self._visit(node)
        known = constant_operand(node) if node.op_type in BINARY else None
        if node.domain:
            raise Reject(f"a {kind.value} does not pass a {node.op_type}")
        if node.op_type in LINEAR and constant_tensor(node.inputs[1]) is not None:
            view = linear(node)
            channels = view.of_outputs(array)
            self.views[node] = view.then(channels, ZERO) if kind is Kind.SCALE else view.then(ONE, channels)
        elif known is not None:
            self._backward_affine(node, known, array, kind)
        elif node.op_type == "BatchNormalization":
            self._norm(node, array, kind, forward=False)
        elif node.op_type == "LayerNormalization":
            self._layer_norm(node, array, kind)
        elif node.op_type == "Clip":
            self._clip(node, array, kind, forward=False)
            self._back(node, 0, array, kind)
        elif node.op_type == "Concat":
            self._backward_concat(node, array, kind)
        elif node.op_type in ("Add", "Sub") and kind is Kind.SCALE:
            for operand in (0, 1):
                self._back(node, operand, array, kind)
        elif node.op_type in ("Mul", "MatMul", "Add") and (node.op_type == "Add") == (kind is Kind.SHIFT):
            self._either(node, array if node.op_type != "MatMul" else _one_value(array), kind)
        elif node.op_type in ("Div", "Sub") and (node.op_type == "Sub") == (kind is Kind.SHIFT):
            self._back(node, 0, array, kind)
        else:
            self._back(node, 0, through(node, array, kind, forward=False), kind)

    def forward(self, value: ir.Value, array: Array, kind: Kind) -> None:
        """Let everything that reads `value` take up a scale or shift of it."""
        if value.is_graph_output() or not value.uses():
            raise Reject("it reaches an output of the graph")
        for node, index in value.uses():
            if node.graph is not self._graph:
                raise Reject("it is read in a body of control flow")
            self._visit(node)
            self._forward_node(node, index, array, kind)

    def _forward_node(self, node: ir.Node, index: int, array: Array, kind: Kind) -> None:
        if node.domain:
            raise Reject(f"a {kind.value} does not pass a {node.op_type}")
        known = constant_operand(node) if node.op_type in BINARY else None
        output = node.outputs[0]
        if node.op_type in LINEAR and index == 0 and constant_tensor(node.inputs[1]) is not None:
            self._forward_linear(node, array, kind)
        elif known is not None:
            self._forward_affine(node, known, array, kind)
        elif node.op_type == "BatchNormalization" and index == 0:
            self._norm(node, array, kind, forward=True)
        elif node.op_type == "Clip" and index == 0:
            self._clip(node, array, kind, forward=True)
            self.forward(output, array, kind)
        elif node.op_type == "Concat":
            self.forward(output, _concatenated(node, index, array, kind), kind)
        elif kind is Kind.SCALE and (node.op_type == "Mul" or (node.op_type == "Div" and index == 0)):
            self.forward(output, array, kind)
        elif kind is Kind.SCALE and node.op_type == "MatMul":
            self.forward(output, _one_value(array), kind)
        elif index == 0 and len(node.outputs) == 1:
            self.forward(output, through(node, array, kind, forward=True), kind)
        else:
            raise Reject(f"a {kind.value} does not pass a {node.op_type}")

    def _forward_linear(self, node: ir.Node, array: Array, kind: Kind) -> None:
        view = linear(node)
        channels = view.of_inputs(array)
        if kind is Kind.SCALE:
            self.views[node] = view.after(channels, ZERO)
        elif node.op_type == "MatMul":
            self.forward(node.outputs[0], view.response(channels), kind)
        else:
            self.views[node] = view.after(ONE, channels)

    def _backward_affine(self, node: ir.Node, known: int, array: Array, kind: Kind) -> None:
        """Mul and Div take up a scale, Add and Sub a shift; a scale also passes Add and Sub."""
        if node.op_type in ("Add", "Sub"):
            if kind is Kind.SCALE:
                self._edit(node, known, array, kind)
                self._back(node, 1 - known, array, kind)
            else:
                self._edit(node, known, -array if node.op_type == "Sub" and known == 1 else array, kind)
        elif kind is Kind.SCALE and node.op_type == "Mul":
            self._edit(node, known, array, kind)
        elif kind is Kind.SCALE and known == 1:
            self._edit(node, known, _inverse(array), kind)
        else:
            raise Reject(f"a {kind.value} does not pass a {node.op_type}")

    def _forward_affine(self, node: ir.Node, known: int, array: Array, kind: Kind) -> None:
        if node.op_type in ("Add", "Sub"):
            if kind is Kind.SCALE:
                self._edit(node, known, _inverse(array), kind)
                self.forward(node.outputs[0], array, kind)
            else:
                self._edit(node, known, -array if node.op_type == "Sub" else array, kind)
        elif kind is Kind.SCALE and (node.op_type == "Mul" or known == 0):
            self._edit(node, known, array if node.op_type == "Mul" else _inverse(array), kind)
        elif kind is Kind.SCALE:
            self._edit(node, known, _inverse(array), kind)
        else:
            raise Reject(f"a shift does not pass a {node.op_type}")

    def _norm(self, node: ir.Node, array: Array, kind: Kind, *, forward: bool) -> None:
        norm_affine(node, self._opset)
        channels = int(np.prod(exact(_input(node, 1)).shape))
        dims = rank(node.inputs[0])
        if dims is None:
            raise Reject("the rank of a normalized value is not known")
        values = along_axis(array, dims, 1, channels)
        if forward:
            if kind is Kind.SCALE:
                self._edit(node, 1, values, kind)
            self._edit(node, 3, _inverse(values) if kind is Kind.SCALE else -values, kind)
        else:
            if kind is Kind.SCALE:
                self._edit(node, 1, values, kind)
            self._edit(node, 2, values, kind)

    def _layer_norm(self, node: ir.Node, array: Array, kind: Kind) -> None:
        if len(node.outputs) > 1 or len(node.inputs) < 3:
            raise Reject("a LayerNormalization without a bias or with further outputs")
        for index in (1, 2) if kind is Kind.SCALE else (2,):
            self._edit(node, index, array, kind)

    def _clip(self, node: ir.Node, array: Array, kind: Kind, *, forward: bool) -> None:
        """Move the bounds of a Clip: Clip(s * x, a, b) = s * Clip(x, a / s, b / s)."""
        number = _one_value(array)
        if "min" in node.attributes or "max" in node.attributes:
            raise Reject("a Clip with bounds as attributes")
        if kind is Kind.SCALE:
            if number <= 0:
                raise Reject("a scale that is not positive does not pass a Clip")
            number = _inverse(number) if forward else number
        elif forward:
            number = -number
        for index in range(1, len(node.inputs)):
            if node.inputs[index] is not None:
                self._edit(node, index, number, kind)

    def _backward_concat(self, node: ir.Node, array: Array, kind: Kind) -> None:
        for operand, part in enumerate(_split(node, array)):
            self._back(node, operand, part, kind)

    def _either(self, node: ir.Node, array: Array, kind: Kind) -> None:
        """The first operand that takes it up alone."""
        before = dict(self._seen), dict(self.views), dict(self._constants)
        try:
            self._back(node, 0, array, kind)
        except Reject:
            self._seen, self.views, self._constants = before
            self._back(node, 1, array, kind)

    def _back(self, node: ir.Node, index: int, array: Array, kind: Kind) -> None:
        self.backward(_input(node, index), array, kind, node, index)

    def _edit(self, node: ir.Node, index: int, array: Array, kind: Kind) -> None:
        """Scale or shift a constant operand; it must not grow beyond the larger of the two."""
        value = _input(node, index)
        old = self._constants.get((node, index))
        old = exact(value) if old is None else old
        new = old * array if kind is Kind.SCALE else old + array
        if new.size > max(old.size, array.size) or (new.shape != old.shape and node.op_type not in BINARY):
            raise Reject("a constant would grow")
        refuse_big_copy(value)
        self._constants[node, index] = new

    def _visit(self, node: ir.Node) -> None:
        if node in self._seen:
            raise Reject(f"it reaches a {node.op_type} twice")
        if len(self._seen) >= MOST_NODES:
            raise Reject("it reaches too many nodes")
        self._seen[node] = None


def _input(node: ir.Node, index: int) -> ir.Value:
    value = node.inputs[index]
    if value is None:
        raise Reject(f"a {node.op_type} lacks an input")
    return value


def _inverse(array: Array) -> Array:
    if not array.all():
        raise Reject("a scale of zero")
    return 1 / array


def _one_value(array: Array) -> Array:
    if array.size != 1:
        raise Reject("more than one value")
    return array.reshape(())


def _concat_sizes(node: ir.Node, dims: int) -> tuple[int, list[int]]:
    """The axis of a Concat and how much of it each input makes up."""
    axis = attribute_int(node, "axis", 0) % dims
    shapes = [value.shape.dims[axis] if value is not None and value.shape is not None else None for value in node.inputs]
    sizes = [size for size in shapes if isinstance(size, int)]
    if len(sizes) != len(shapes):
        raise Reject("the sizes of the inputs of a Concat are not known")
    return axis, sizes


def _split(node: ir.Node, array: Array) -> list[Array]:
    """What belongs to each input of a Concat of an array that belongs to its output."""
    if array.size == 1:
        return [array.reshape(())] * len(node.inputs)
    dims = rank(node.outputs[0])
    if dims is None or array.ndim > dims:
        raise Reject("the rank of a Concat is not known")
    axis, sizes = _concat_sizes(node, dims)
    wide = array.reshape(aligned(array.shape, dims))
    if wide.shape[axis] == 1:
        return [wide] * len(node.inputs)
    return np.split(wide, np.cumsum(sizes)[:-1], axis=axis)


def _concatenated(node: ir.Node, index: int, array: Array, kind: Kind) -> Array:
    """What belongs to the output of a Concat of an array that belongs to input `index`."""
    dims = rank(node.outputs[0])
    if dims is None or array.ndim > dims:
        raise Reject("the rank of a Concat is not known")
    axis, sizes = _concat_sizes(node, dims)
    wide = array.reshape(aligned(array.shape, dims))
    if wide.size != wide.shape[axis]:
        raise Reject("more than one value per channel does not pass a Concat")
    neutral = 1.0 if kind is Kind.SCALE else 0.0
    shape = [1] * dims
    parts = []
    for operand, size in enumerate(sizes):
        shape[axis] = size
        parts.append(np.broadcast_to(wide if operand == index else np.array(neutral), shape))
    return np.concatenate(parts, axis=axis)
