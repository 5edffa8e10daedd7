"""What operators are lowered with: the forms of values, and how one form becomes another.

Codes become floats and floats codes only where somebody needs them so, once for all who do; so it is with
orders of axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.errors import GraphoptError
from graphopt.native.lower.forms import Coded, Codes, Form, Grid, Known, Mapped, Pending, Stored
from graphopt.native.lower.steps import NAMES, Array, Dim, Dims, Steps, Value

INTEGERS = ("s32", "s64")
"""Types of integers that are computed with, and of indices and sizes."""


class Unsupported(GraphoptError):
    """A node that no program can run; the message says why."""


class Scope:
    """Forms of the values of a graph, and the steps made so far.

    Attributes:
        steps: So far.
        floats_too: Whether products of floats may be steps.
        node: The node that is being lowered.
    """

    def __init__(self, opset: int, *, floats_too: bool = False) -> None:
        self.steps = Steps()
        self.floats_too = floats_too
        self.opset = opset
        self.forms: dict[ir.Value, Form] = {}
        self.node = ir.Node("", "", [])
        self._made: dict[tuple[object, ...], Stored] = {}

    # What a node says.

    def form(self, index: int) -> Form:
        """The form of an input of the node."""
        value = self.node.inputs[index]
        if value is not None and value in self.forms:
            return self.forms[value]
        if value is None or value.dtype is None or value.dtype.numpy() in NAMES:
            raise Unsupported("an input is not known to the program")
        raise Unsupported(f"it reads {value.dtype.name.lower()}, and programs have no such type")

    def has(self, index: int) -> bool:
        """Whether the node has this input."""
        return index < len(self.node.inputs) and self.node.inputs[index] is not None

    def array(self, index: int) -> Array:
        """The elements of an input, which must be a constant."""
        form = self.form(index)
        if not isinstance(form, Known):
            raise Unsupported(f"input {index} is computed, not constant")
        return form.array

    def number(self, index: int) -> float:
        """The only element of an input that is a constant."""
        array = self.array(index)
        if array.size != 1:
            raise Unsupported(f"input {index} has {array.size} elements, not one")
        return float(array.reshape(())[()])

    def sizes(self, index: int) -> Value:
        """The integers of an input in memory; they must be known as soon as the sizes of the inputs are."""
        stored = self.any(self.form(index))
        if stored.value.type not in INTEGERS or not self.steps.is_of_sizes(stored.value):
            raise Unsupported(f"input {index} is computed, not constant, and of more than sizes")
        return stored.value

    def dims(self, index: int) -> Dims:
        """The sizes of an input."""
        form = self.form(index)
        return form.array.shape if isinstance(form, Known) else form.dims

    def output_dims(self, index: int = 0) -> Dims:
        """The sizes of an output, as inference has them."""
        shape = self.node.outputs[index].shape
        if shape is None:
            raise Unsupported("the rank of its output is not known")
        return dims_of(shape)

    def step(
        self, kind: str, inputs: Sequence[Value], attributes: dict[str, Any], type: str, dims: Dims
    ) -> Value:
        """A step for the node."""
        return self.steps.add(kind, inputs, attributes, type, dims, self.node.name or "")

    def reshaped(self, value: Value, dims: Dims) -> Value:
        """The same elements with one axis of 1 more or less behind the first."""
        # A size before that axis is copied, one behind it inferred.
        shape = [size if isinstance(size, int) else -1 if place else 0 for place, size in enumerate(dims)]
        if shape.count(-1) > 1:
            raise Unsupported("more than one size that is known only when the program runs")
        return self.step("reshape", [value], {"dims": shape}, value.type, dims)

    def shape_of(self, parts: Sequence[int | tuple[Value, int]]) -> Value:
        """A shape of sizes that are known, and of others that are those of an axis of a value in memory."""
        values: list[Value] = []
        for key, group in groupby(parts, lambda part: 0 if isinstance(part, int) else id(part[0])):
            found = list(group)
            if not key:
                values.append(self.steps.constant(np.array(found, np.int64)))
                continue
            axes = [part[1] for part in found if not isinstance(part, int)]
            first = found[0]
            assert not isinstance(first, int)
            values.append(self.step("shape", [first[0]], {"axes": axes}, "s64", (len(axes),)))
        if len(values) == 1:
            return values[0]
        return self.step("concat", values, {"axis": 0}, "s64", (len(parts),))

    def reshaped_to(self, value: Value, dims: Dims, parts: Sequence[int | tuple[Value, int]]) -> Value:
        """The same elements with other axes, whose sizes are as `shape_of` has them."""
        fixed = [part for part in parts if isinstance(part, int)]
        if len(fixed) == len(parts) or (len(fixed) == len(parts) - 1 and 0 not in fixed):
            sizes = [part if isinstance(part, int) else -1 for part in parts]
            return self.step("reshape", [value], {"dims": sizes}, value.type, dims)
        return self.step("reshape", [value, self.shape_of(parts)], {"zeros": 1}, value.type, dims)

    # One form from another.

    def in_order(self, stored: Stored, order: tuple[int, ...]) -> Stored:
        """The same elements in another order of axes."""
        if stored.order == order:
            return stored
        sizes = stored.dims
        target = tuple(sizes[axis] for axis in order)
        if _moving(stored.order, sizes) == _moving(order, sizes):
            shape = reshape_dims(stored.value.dims, target)
            if shape is not None:
                return Stored(
                    self.step("reshape", [stored.value], {"dims": shape}, stored.value.type, target), order
                )
        perm = [stored.order.index(axis) for axis in order]
        return Stored(
            self.step("transpose", [stored.value], {"perm": perm}, stored.value.type, target), order
        )

    def codes(self, form: Form) -> Stored:
        """Codes in memory."""
        if isinstance(form, Stored) and form.value.type in ("u8", "s8"):
            return form
        if isinstance(form, Known) and form.array.dtype in (np.uint8, np.int8):
            return self.constant(form.array)
        if not isinstance(form, Coded):
            raise Unsupported("it needs codes of 8 bits, and reads something else")
        source = form.source.value
        if form.type == source.type and np.array_equal(form.table, Grid(source.type, 1.0, 0).all_codes()):
            return form.source
        table = form.table.astype(np.uint8)
        attributes = {"table": table, "type": form.type}
        return Stored(self.step("lookup", [source], attributes, form.type, source.dims), form.source.order)

    def coded(self, form: Form) -> tuple[Stored, Grid]:
        """Codes in memory that stand for the numbers of a float value."""
        if isinstance(form, Mapped) and form.coded is not None and form.grid is not None:
            return self.codes(form.coded), form.grid
        if isinstance(form, Known) and form.codes is not None and form.codes.scale.size == 1:
            array = form.codes.array
            if array.dtype in (np.uint8, np.int8):
                zero = int(form.codes.zero.reshape(-1)[0])
                return self.constant(array), Grid(
                    NAMES[array.dtype], float(form.codes.scale.reshape(-1)[0]), zero
                )
        raise Unsupported("it reads floats: no DequantizeLinear of one scale stands before it")

    def floats(self, form: Form) -> Stored:
        """Floats in memory."""
        if isinstance(form, Stored) and form.value.type == "f32":
            return form
        if isinstance(form, Known) and form.array.dtype == np.float32:
            return self.constant(form.array)
        if isinstance(form, Mapped):
            return form.floats(form.source)
        if isinstance(form, Pending):
            result = form.to_floats()
            return self.clipped(result, form.low, form.high)
        raise Unsupported("it needs float32, and reads something else")

    def clipped(self, stored: Stored, low: float, high: float) -> Stored:
        """Floats between two ends."""
        if low == -np.inf and high == np.inf:
            return stored
        largest = float(np.finfo(np.float32).max)
        attributes = {"op": "clip", "low": max(low, -largest), "high": min(high, largest)}
        return Stored(self.step("unary", [stored.value], attributes, "f32", stored.value.dims), stored.order)

    def any(self, form: Form) -> Stored:
        """Elements in memory, codes or floats, as they are."""
        if isinstance(form, Known):
            return self.constant(form.array)
        if isinstance(form, Stored):
            return form
        return self.codes(form) if isinstance(form, Coded) else self.floats(form)

    def constant(self, array: Array) -> Stored:
        """A constant in memory."""
        if array.dtype not in NAMES:
            raise Unsupported(f"a constant of type {array.dtype}")
        return Stored(self.steps.constant(array), tuple(range(array.ndim)))

    def quantized(self, form: Form, grid: Grid) -> Form:
        """Codes for the numbers of a float value."""
        if isinstance(form, Known):
            array = grid.quantize(form.array)
            return Known(array.astype(np.uint8 if grid.type == "u8" else np.int8))
        if isinstance(form, Mapped):
            table = grid.quantize(form.table) if form.rounded is None else form.rounded(grid)
            return Coded(form.source, table, grid.type)
        if isinstance(form, Pending):
            low = int(grid.quantize(np.array(form.low)))
            high = int(grid.quantize(np.array(form.high)))
            return self.as_coded(form.to_codes(grid, low, high))
        stored = self.floats(form)
        attributes = {"scale": grid.scale, "zero": grid.zero, "type": grid.type, "layout": "same"}
        codes = self.step("quantize", [stored.value], attributes, grid.type, stored.value.dims)
        return self.as_coded(Stored(codes, stored.order))

    def as_coded(self, stored: Stored) -> Coded:
        """Codes in memory as a function of themselves."""
        grid = Grid(stored.value.type, 1.0, 0)
        return Coded(stored, grid.all_codes(), stored.value.type)

    def dequantized(self, form: Form, grid: Grid) -> Mapped:
        """The numbers that codes stand for."""
        coded = form if isinstance(form, Coded) else self.as_coded(self.codes(form))

        def floats(source: Stored) -> Stored:
            stored = self.codes(replace(coded, source=source))
            attributes = {"scale": grid.scale, "zero": grid.zero, "layout": "same"}
            value = self.step("dequantize", [stored.value], attributes, "f32", stored.value.dims)
            return Stored(value, stored.order)

        return Mapped(coded.source, grid.dequantize(coded.table), floats, coded, grid)

    def tabled(self, source: Stored, table: Array) -> Mapped:
        """Numbers that are a function of codes."""
        attributes = {"table": np.ascontiguousarray(table, np.float32)}
        name = self.node.name or ""

        def floats(source: Stored) -> Stored:
            dims = source.value.dims
            return Stored(
                self.steps.add("decode", [source.value], attributes, "f32", dims, name), source.order
            )

        return Mapped(source, attributes["table"], floats)

    def floats_in(self, form: Form, order: tuple[int, ...]) -> Stored:
        """Floats in memory, in an order of axes into which their codes are brought, if they have some."""
        if isinstance(form, Mapped):
            return form.floats(self.in_order(form.source, order))
        return self.in_order(self.floats(form), order)

    def moved(self, form: Form, move: Callable[[Stored], Stored], dims: Dims) -> Form:
        """What an operator gives that moves elements and does nothing else to them.

        Numbers that are a function of codes still are it, and what is yet to be computed is moved in the form
        in which it is wanted: if nobody else reads it, who may want another one.
        """
        if isinstance(form, Mapped) and form.coded is None:
            return replace(form, source=move(form.source))
        if isinstance(form, Pending) and self._reads_alone():
            codes, floats = form.to_codes, form.to_floats
            return Pending(
                dims, lambda *given: move(codes(*given)), lambda: move(floats()), form.low, form.high
            )
        return self.same_grid(form, move)

    def _reads_alone(self) -> bool:
        value = self.node.inputs[0]
        alone = value is not None and len(value.uses()) == 1 and not value.is_graph_output()
        return alone and len(self.node.outputs) == 1

    def same_grid(self, form: Form, move: Callable[[Stored], Stored]) -> Form:
        """What an operator gives that keeps to the grid of what it reads: on codes where there are codes."""
        if isinstance(form, Mapped) and form.coded is not None and form.grid is not None:
            return self.dequantized(self.as_coded(move(self.codes(form.coded))), form.grid)
        if isinstance(form, Coded):
            return self.as_coded(move(self.codes(form)))
        return move(self.any(form))


def renamed(form: Form, perm: Sequence[int]) -> Form:
    """The same elements with their axes named in another order: what Transpose gives."""
    place = {axis: index for index, axis in enumerate(perm)}

    def moved(stored: Stored) -> Stored:
        return Stored(stored.value, tuple(place[axis] for axis in stored.order))

    if isinstance(form, Coded):
        return replace(form, source=moved(form.source))
    if isinstance(form, Mapped):
        coded = form.coded and replace(form.coded, source=moved(form.coded.source))
        return replace(form, source=moved(form.source), coded=coded)
    if isinstance(form, Pending):
        dims = tuple(form.dims[axis] for axis in perm)
        codes, floats = form.to_codes, form.to_floats
        return Pending(
            dims, lambda *given: moved(codes(*given)), lambda: moved(floats()), form.low, form.high
        )
    if isinstance(form, Known):
        made = form.codes
        if made is not None:
            made = Codes(made.array.transpose(perm), made.scale, made.zero, place[made.axis])
        return Known(form.array.transpose(perm), made)
    return moved(form)


def is_coded(form: Form) -> bool:
    """Whether `Scope.coded` has codes of a value."""
    if isinstance(form, Known):
        return (
            form.codes is not None
            and form.codes.scale.size == 1
            and form.codes.array.dtype in (np.uint8, np.int8)
        )
    return isinstance(form, Mapped) and form.coded is not None


def dims_of(shape: ir.Shape) -> Dims:
    """The sizes of a shape; symbols by their names."""
    return tuple(dim if isinstance(dim, int) else dim.value for dim in shape)


def known(size: Dim) -> int:
    """A size that must be known."""
    if not isinstance(size, int):
        raise Unsupported("a size that it needs is not known before the program runs")
    return size


def identity(rank: int) -> tuple[int, ...]:
    """The order of axes that the graph has."""
    return tuple(range(rank))


def channels_last(rank: int) -> tuple[int, ...]:
    """The order of axes of images in programs: N, spatial axes, C."""
    return (0, *range(2, rank), 1) if rank > 2 else identity(rank)


def reshape_dims(before: Dims, after: Dims) -> list[int] | None:
    """What a reshape takes to make a shape of another (0 copies, -1 infers); None if that is not enough."""
    result = []
    for place, size in enumerate(after):
        if isinstance(size, int):
            result.append(size)
        elif place < len(before) and before[place] == size and size is not None:
            result.append(0)
        else:
            result.append(-1)
    return result if result.count(-1) <= 1 and (0 not in after) else None


def _moving(order: tuple[int, ...], sizes: Dims) -> list[int]:
    return [axis for axis in order if sizes[axis] != 1]
