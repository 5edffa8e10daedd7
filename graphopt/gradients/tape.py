"""Writes the nodes of gradients behind those of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.ir import Names, constant_value, rank, same_shape, static_shape

Number = float | int


class NoGradient(Exception):
    """A rule cannot tell the gradient of an input; the message says why."""


class Tape:
    """Appends nodes to a model's main graph.

    Args:
        model: Gets the nodes, and constants as initializers.
    """

    def __init__(self, model: ir.Model) -> None:
        self._graph = model.graph
        self._names = Names(model)
        self._constants: dict[tuple[Any, ...], ir.Value] = {}

    @property
    def opset(self) -> int:
        """Version of the standard operators."""
        return self._graph.opset_imports[""]

    def op(self, op_type: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        """A node with one output."""
        return self.ops(op_type, *inputs, outputs=1, **attributes)[0]

    def ops(
        self, op_type: str, *inputs: ir.Value | None, outputs: int, **attributes: Any
    ) -> tuple[ir.Value, ...]:
        """A node with several outputs."""
        base = next((value.name for value in inputs if value is not None), None) or "gradient"
        made = [ir.Value(name=self._names.fresh(f"{base}/{op_type}")) for _ in range(outputs)]
        converted = ir.convenience.convert_attributes(attributes)
        self._graph.append(ir.Node("", op_type, inputs, converted, outputs=made, name=made[0].name))
        return tuple(made)

    def const(self, array: npt.NDArray[Any]) -> ir.Value:
        """A constant."""
        key = (array.dtype, array.shape, array.tobytes())
        found = self._constants.get(key)
        if found is None:
            name = self._names.fresh("gradient/constant")
            found = constant_value(name, array)
            self._graph.initializers.add(found)
            self._constants[key] = found
        return found

    def ints(self, *numbers: int) -> ir.Value:
        """A vector of int64."""
        return self.const(np.array(numbers, np.int64))

    def const_int(self, number: int) -> ir.Value:
        """A scalar of int64."""
        return self.const(np.array(number, np.int64))

    def name(self, base: str) -> str:
        """A name that is free."""
        return self._names.fresh(base)

    def number(self, number: Number, like: ir.Value) -> ir.Value:
        """A scalar of the type of a value of the model."""
        if like.dtype is None:
            raise NoGradient(f"the type of {like.name!r} is not known")
        return self.const(np.array(number, like.dtype.numpy()))

    def shape(self, value: ir.Value) -> ir.Value:
        """The sizes of a value: a constant where they are known."""
        known = static_shape(value)
        return self.op("Shape", value) if known is None else self.ints(*known)

    def count(self, value: ir.Value) -> ir.Value:
        """How many elements a value has, as a scalar."""
        return self.op("ReduceProd", self.shape(value), self.ints(0), keepdims=0)

    def zeros(self, shape: ir.Value, like: ir.Value) -> ir.Value:
        """Zeros of a shape, and of the type of a value of the model."""
        zero = self.number(0, like).const_value
        assert zero is not None
        return self.op("ConstantOfShape", shape, value=ir.Tensor(zero.numpy().reshape(1)))

    def add(self, *terms: ir.Value) -> ir.Value:
        """A sum."""
        return terms[0] if len(terms) == 1 else self.op("Sum", *terms)

    def total(self, value: ir.Value, axes: Sequence[int] | ir.Value, *, keep: bool = True) -> ir.Value:
        """Sum along axes."""
        along = axes if isinstance(axes, ir.Value) else self.ints(*axes)
        return self.op("ReduceSum", value, along, keepdims=int(keep), noop_with_empty_axes=1)

    def mean(self, value: ir.Value, axes: Sequence[int] | ir.Value) -> ir.Value:
        """Mean along axes, which stay with size 1."""
        along = axes if isinstance(axes, ir.Value) else self.ints(*axes)
        return self.op("ReduceMean", value, along, keepdims=1, noop_with_empty_axes=1)

    def reshaped(self, value: ir.Value, like: ir.Value) -> ir.Value:
        """The elements of a value in the shape of another one."""
        return self.op("Reshape", value, self.shape(like), allowzero=1)

    def flat(self, value: ir.Value) -> ir.Value:
        """The elements of a value in a row."""
        return self.op("Reshape", value, self.ints(-1))

    def scattered(self, gradient: ir.Value, places: ir.Value, x: ir.Value) -> ir.Value:
        """The gradient of `x` from that of copies of its elements, whose numbers in a row are the places."""
        none = self.zeros(self.op("Unsqueeze", self.count(x), self.ints(0)), x)
        sums = self.op(
            "ScatterElements", none, self.flat(places), self.flat(gradient), axis=0, reduction="add"
        )
        return self.reshaped(sums, x)

    def summed_to(self, gradient: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
        """The gradient of `x`, which a node broadcasts to the shape of `y`, from that of the broadcast."""
        if x.shape is not None and y.shape is not None and same_shape(x.shape, y.shape):
            return gradient
        small, large = static_shape(x), static_shape(y)
        if small is not None and large is not None:
            padded = (1,) * (len(large) - len(small)) + small
            axes = [axis for axis, size in enumerate(padded) if size != large[axis]]
            return self.reshaped(self.total(gradient, axes), x)
        missing = self.op("Sub", self.op("Shape", self.shape(y)), self.op("Shape", self.shape(x)))
        ones = self.op("Expand", self.ints(1), missing)
        sizes = self.op("Concat", ones, self.shape(x), axis=0)
        repeated = self.op("Not", self.op("Equal", sizes, self.shape(y)))
        found = self.op("Squeeze", self.op("NonZero", repeated), self.ints(0))
        return self.reshaped(self.total(gradient, found), x)

    def space(self, value: ir.Value) -> ir.Value:
        """The sizes of a value's axes from the third on."""
        axes = rank(value)
        if axes is None:
            raise NoGradient(f"how many axes {value.name!r} has is not known")
        return self.op("Slice", self.shape(value), self.ints(2), self.ints(axes))

    def cut(self, value: ir.Value, sizes: ir.Value, before: Sequence[int]) -> ir.Value:
        """The axes from the third on, brought to sizes.

        Args:
            value: Of so many axes more than two as `before` has numbers.
            sizes: Of these axes.
            before: So many elements are left out in front; what is missing behind is zero.
        """
        axes = self.ints(*range(2, 2 + len(before)))
        ends = self.op("Add", sizes, self.ints(*before))
        have = self.op("Slice", self.op("Shape", value), self.ints(2), self.ints(2 + len(before)))
        lacking = self.op("Max", self.op("Sub", ends, have), self.const_int(0))
        pads = self.op("Concat", self.ints(*[0] * len(before)), lacking, axis=0)
        padded = self.op("Pad", value, pads, None, axes)
        return self.op("Slice", padded, self.ints(*before), ends, axes)
