"""A node as it will be, written down beside the node as it is, until it is known that all can change."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir.graphs import constant


class CannotRaise(Exception):
    """Raised by an adapter; the text says why the node means nothing at the newer version."""


@dataclasses.dataclass(slots=True)
class Planned:
    """A node that will stand before another."""

    op_type: str
    inputs: list[ir.Value | None]
    attributes: dict[str, Any]
    output: ir.Value


class Constants:
    """The new constants of a model, one for each content; none belongs to a graph yet."""

    def __init__(self) -> None:
        self.values: dict[tuple[object, ...], ir.Value] = {}

    def get(self, array: np.ndarray[Any, Any], hint: str) -> ir.Value:
        """The constant of these elements; `hint` is what the first to ask for it would call it."""
        key = (array.dtype.str, array.dtype.name, array.shape, array.tobytes())
        value = self.values.get(key)
        if value is None:
            tensor = ir.tensor(array, name=hint)
            value = ir.Value(
                name=hint, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor
            )
            self.values[key] = value
        return value


class Draft:
    """What a node becomes; adapters change it step by step.

    Attributes:
        node: The node as it is.
        target: The version that the model is raised to.
        op_type: Its operator.
        inputs: Its inputs.
        attributes: Its attributes by name.
        outputs: How many of its outputs stay.
        before: New nodes that will stand before it.
    """

    def __init__(self, node: ir.Node, target: int, constants: Constants) -> None:
        self.node = node
        self.target = target
        self.op_type = node.op_type
        self.inputs = list(node.inputs)
        self.attributes = dict(node.attributes)
        self.outputs = len(node.outputs)
        self.before: list[Planned] = []
        self._constants = constants

    def input(self, index: int) -> ir.Value | None:
        """An input, or None where it is absent."""
        return self.inputs[index] if index < len(self.inputs) else None

    def put(self, index: int, value: ir.Value | None) -> None:
        """Set an input; those before it that are missing become absent."""
        self.inputs.extend([None] * (index + 1 - len(self.inputs)))
        self.inputs[index] = value

    def take(self, name: str, default: Any = None) -> Any:
        """The Python value of an attribute, which goes; `default` where it is absent."""
        attribute = self.attributes.pop(name, None)
        return default if attribute is None else _python(attribute)

    def look(self, name: str, default: Any = None) -> Any:
        """The Python value of an attribute, which stays; `default` where it is absent."""
        attribute = self.attributes.get(name)
        return default if attribute is None else _python(attribute)

    def set(self, name: str, value: int | str) -> None:
        """Set an attribute."""
        self.attributes[name] = (
            ir.AttrInt64(name, value) if isinstance(value, int) else ir.AttrString(name, value)
        )

    def ints(self, elements: Sequence[int], hint: str) -> ir.Value:
        """A constant vector of int64."""
        return self._constants.get(np.array(elements, dtype=np.int64).reshape(-1), hint)

    def constant(self, elements: Any, dtype: ir.DataType, hint: str) -> ir.Value:
        """A constant of any dtype; numbers beyond its range become infinite."""
        with np.errstate(over="ignore"):
            return self._constants.get(np.asarray(elements).astype(dtype.numpy()), hint)

    def elements(self, value: ir.Value | None) -> np.ndarray[Any, Any] | None:
        """The elements of a constant, of the model or of a draft; None if it is not one."""
        if value is not None and value.const_value is not None and value.graph is None:
            return value.const_value.numpy()
        return constant(value)

    def emit(self, op_type: str, inputs: list[ir.Value | None], **attributes: Any) -> ir.Value:
        """The output of a new node that will stand before this one."""
        output = ir.Value(name=f"{self.node.outputs[0].name}/{op_type}")
        self.before.append(Planned(op_type, inputs, attributes, output))
        return output

    def dtype(self) -> ir.DataType:
        """Element type of the first input.

        Raises:
            CannotRaise: It is unknown.
        """
        for value in (self.inputs[0], self.node.outputs[0]):
            if value is not None and value.dtype is not None:
                return value.dtype
        raise CannotRaise("its element type is unknown")


def _python(attribute: ir.Attr) -> Any:
    value = attribute.value
    return list(value) if isinstance(value, (list, tuple)) else value
