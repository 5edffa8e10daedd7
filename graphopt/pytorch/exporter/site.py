"""What a translator sees of its node: operands in the form it wants, attributes, facts, ways to emit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np
import onnx_ir as ir
import torch
from torch import fx

from graphopt.errors import TranslationError
from graphopt.ir import constant, constant_tensor, rank, static_shape
from graphopt.pytorch.exporter.dtypes import torch_dtype
from graphopt.pytorch.exporter.sizes import Int, Sizes, sizes_of_constant
from graphopt.pytorch.functional import sizes as functions
from graphopt.pytorch.roles import PARAMETER_ROLES, ROLE_KEY

if TYPE_CHECKING:
    from graphopt.pytorch.exporter.emitter import Body, Emitter

Ints: TypeAlias = "list[Int] | fx.Node"
"""Integers: a list whose items are known or nodes, or one node that is a list at run time."""


class Site:
    """One ONNX node and the graph that its translation goes into.

    Attributes:
        node: The node.
        emitter: The graph under construction.
    """

    def __init__(self, emitter: Emitter, node: ir.Node) -> None:
        self.emitter = emitter
        self.node = node

    # Operands

    def has(self, index: int) -> bool:
        """Whether input `index` is given."""
        return self._input(index) is not None

    def tensor(self, index: int) -> fx.Node:
        """Input `index` as a tensor."""
        value = self._input(index)
        if value is None:
            self.refuse(f"input {index} is missing")
        return self.emitter.tensor(value)

    def optional(self, index: int) -> fx.Node | None:
        """Input `index` as a tensor, or None where it is left out."""
        return self.tensor(index) if self.has(index) else None

    def operand(self, index: int) -> fx.Node | bool | int | float:
        """Input `index` for arithmetic: a constant of one element as a Python number, otherwise a tensor.

        A number only where the result keeps its rank: another input has at least the constant's.
        """
        value = self._input(index)
        if value is None or value.metadata_props.get(ROLE_KEY) in PARAMETER_ROLES:
            return self.tensor(index)
        tensor = constant_tensor(value)
        if tensor is None or tensor.size != 1 or tensor.dtype not in _NUMBER_TYPES:
            return self.tensor(index)
        if not self._keeps_rank(value, len(tensor.shape)):
            return self.tensor(index)
        number: bool | int | float = np.asarray(tensor.numpy()).item()
        return number if math.isfinite(number) else self.tensor(index)

    def constant(self, index: int) -> np.ndarray[Any, Any] | None:
        """The array of input `index` if it is a constant."""
        return constant(self._input(index))

    def sizes(self, index: int) -> Sizes | None:
        """Input `index` as integers if they are known to be sizes or a small constant."""
        found = self.numbers(index)
        return None if found is None or found.dtype == ir.DataType.FLOAT else found

    def numbers(self, index: int) -> Sizes | None:
        """As `sizes`, fractions included."""
        value = self._input(index)
        if value is None:
            return None
        emitted = self.emitter.find(value)
        if isinstance(emitted, Sizes):
            return emitted
        is_weight = value.metadata_props.get(ROLE_KEY) in PARAMETER_ROLES
        return None if is_weight else sizes_of_constant(constant_tensor(value))

    def is_size(self, index: int) -> bool:
        """Whether input `index` is computed from sizes."""
        value = self._input(index)
        return value is not None and isinstance(self.emitter.find(value), Sizes)

    def ints(self, index: int, attribute: str | None = None) -> Ints | None:
        """Integers from input `index`, or from the attribute of that name as older versions have it.

        Returns:
            A list whose items are known or nodes; a node that is a list at run time if not even their number
            is known; None if neither is given.
        """
        value = self._input(index)
        if value is None:
            given = None if attribute is None else self.attribute(attribute)
            return None if given is None else [given] if isinstance(given, int) else list(given)
        known = self.sizes(index)
        if known is not None:
            return list(known.items)
        whole = constant(value)
        if whole is not None:
            return [int(item) for item in whole.reshape(-1)]
        items = self.call(functions.as_ints, self.tensor(index))
        shape = static_shape(value)
        if shape is None or len(shape) > 1:
            return items
        return [self.item(items, i) for i in range(shape[0] if shape else 1)]

    def known_ints(self, index: int, attribute: str | None = None) -> list[int] | None:
        """Integers that must be known now, as axes are; None if they are not given.

        Raises:
            TranslationError: They are computed at run time.
        """
        found = self.ints(index, attribute)
        if found is None:
            return None
        if isinstance(found, fx.Node) or not all(isinstance(item, int) for item in found):
            self.refuse(f"input {index} is not a constant")
        return [item for item in found if isinstance(item, int)]

    def number(self, index: int, attribute: str | None = None, default: Any = None) -> Any:
        """One number: of a constant, an attribute, the default, or a node that is a number at run time."""
        value = self._input(index)
        if value is None:
            return default if attribute is None else self.attribute(attribute, default)
        known = self.sizes(index)
        if known is not None:
            return known.items[0]
        whole = constant(value)
        if whole is not None:
            return whole.reshape(-1)[0].item()
        return self.method("item", self.tensor(index))

    # Facts

    def rank(self, index: int) -> int | None:
        """The rank of input `index` if it is known."""
        return rank(self._input(index))

    def output_rank(self, index: int) -> int | None:
        """The rank of output `index` if it is known."""
        return rank(self.node.outputs[index])

    def shape(self, index: int) -> tuple[int, ...] | None:
        """The shape of input `index` if all of it is known."""
        return static_shape(self._input(index))

    def dtype(self, index: int) -> ir.DataType | None:
        """The element type of input `index` if it is known."""
        value = self._input(index)
        return None if value is None else value.dtype

    def output_dtype(self, index: int) -> ir.DataType | None:
        """The element type of output `index`, if known."""
        return self.node.outputs[index].dtype

    def wants(self, index: int) -> bool:
        """Whether output `index` is there and used."""
        if index >= len(self.node.outputs):
            return False
        output = self.node.outputs[index]
        return bool(output.uses()) or output.is_graph_output()

    def opset(self) -> int:
        """The version of the node's operator set."""
        graph = self.node.graph
        model_version = self.node.version
        if model_version is not None:
            return model_version
        return 0 if graph is None else graph.opset_imports.get(self.node.domain, 0)

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute's value (int, float, str, tensor, graph or a list of them), or the default.

        A float is the shortest number that means the same float32: 1e-05, not 9.999999747378752e-06.
        """
        found = self.node.attributes.get(name)
        if found is None:
            return default
        if found.type == ir.AttributeType.FLOAT:
            return _shortest(found.value)
        if found.type == ir.AttributeType.FLOATS:
            return [_shortest(number) for number in found.value]
        return found.value

    def torch_type(self, name: str, default: ir.DataType | None = None) -> torch.dtype | None:
        """The PyTorch type that an attribute names as ONNX's."""
        found = self.attribute(name, default)
        return None if not found else torch_dtype(ir.DataType(found))

    def refuse(self, reason: str) -> NoReturn:
        """Say why this node cannot be translated.

        Raises:
            TranslationError: Always.
        """
        raise TranslationError(reason)

    # Emission

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> fx.Node:
        """A call of a function; keywords that are None are left out."""
        given = {key: value for key, value in kwargs.items() if value is not None}
        return self.emitter.call(function, *args, **given)

    def method(self, name: str, x: fx.Node, *args: Any, **kwargs: Any) -> fx.Node:
        """A call of a tensor's method."""
        return self.emitter.method(name, x, *args, **kwargs)

    def item(self, x: fx.Node, index: Any) -> fx.Node:
        """`x[index]`."""
        return self.emitter.item(x, index)

    def size(self, x: fx.Node, dim: int) -> fx.Node:
        """The size of a dimension of a tensor."""
        return self.emitter.size(x, dim)

    def compute(self, function: Callable[..., Any], *operands: Any) -> Any:
        """A number from numbers: now if all are known, otherwise at run time."""
        if not any(isinstance(operand, fx.Node) for operand in operands):
            result = function(*operands)
            return result if isinstance(result, (bool, float)) else int(result)
        return self.emitter.shared((function, *operands), lambda: self.call(function, *operands))

    def body(self, name: str, hint: str | None = None) -> Body:
        """The body of control flow that is the attribute `name`, with placeholders for its inputs."""
        graph = self.attribute(name)
        return self.emitter.body(graph, list(graph.inputs), hint or name)

    def _input(self, index: int) -> ir.Value | None:
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def _keeps_rank(self, number: ir.Value, own: int) -> bool:
        """Whether another input is computed and has at least `own` dimensions."""
        others = [other for other in self.node.inputs if other is not None and other is not number]
        computed = [rank(other) for other in others if constant_tensor(other) is None]
        return any(own == 0 if known is None else known >= own for known in computed)


def _shortest(number: float) -> float:
    return float(str(np.float32(number)))


_NUMBER_TYPES = {
    ir.DataType.FLOAT,
    ir.DataType.DOUBLE,
    ir.DataType.FLOAT16,
    ir.DataType.BFLOAT16,
    ir.DataType.INT64,
    ir.DataType.INT32,
}
