"""What inference remembers: shapes, elements of short integer tensors, and names that broadcast together.

Only what is certain is remembered. Nothing here knows an operator.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import onnx_ir as ir
from onnx_shape_inference import SYM_DATA_KEY, ShapeInferenceContext

from graphopt.ir.dims import FALSE_SHAPE_KEY, Dim, memoized
from graphopt.ir.graphs import constant_tensor, static_shape

MAX_ELEMENTS = 128
"""Longer integer vectors are data, not shapes; their elements are not followed."""

MAX_MEETING = 16
"""Where more names broadcast together, the result is a new name each time."""


class Context(ShapeInferenceContext):  # type: ignore[misc]
    """Inference context that keeps element values only where they are certain.

    Attributes:
        is_current: Nothing has changed since the whole model was inferred.
    """

    def __init__(self, opset_imports: dict[str, int]) -> None:
        super().__init__(opset_imports)
        self.is_current = False
        self._lengths: set[str] = set()
        self._met: dict[str | None, frozenset[str | None]] = {}
        self._meetings: dict[frozenset[str | None], ir.SymbolicDim] = {}

    def set_shape(self, value: ir.Value, shape: ir.Shape) -> bool:
        """Remember a shape, unless an execution has shown it to be false."""
        if FALSE_SHAPE_KEY in value.meta:
            return False
        shape = ir.Shape([_plain(dim) for dim in shape.dims])
        self.note_lengths(shape)
        return bool(super().set_shape(value, shape))

    def new_symbolic_dim(self) -> ir.SymbolicDim:
        """A dimension with a name of its own."""
        return memoized(super().new_symbolic_dim())

    def name_anonymous_dims(self, value: ir.Value) -> bool:
        """Give the unnamed dimensions of a value names; says whether there were any."""
        shape = value.shape
        if shape is None or all(isinstance(dim, int) or dim.value is not None for dim in shape.dims):
            return False
        return bool(super().name_anonymous_dims(value))

    def note_lengths(self, shape: ir.Shape) -> None:
        """Know the names in a shape as names of lengths (see `is_length`)."""
        self._lengths.update(dim.value for dim in shape.dims if not isinstance(dim, int) and dim.value)

    def set_symbolic_value(self, value: ir.Value, data: list[Dim]) -> None:
        """Remember the elements of an integer or bool tensor if they are complete and fit the type."""
        dtype = value.dtype
        shape = static_shape(value)
        if dtype is None or shape is None or len(data) > MAX_ELEMENTS or math.prod(shape) != len(data):
            return
        data = [_plain(element) for element in data]
        if dtype == ir.DataType.BOOL:
            if not all(isinstance(element, int) for element in data):
                return
            data = [int(element != 0) for element in data]
        elif not dtype.is_integer() or not all(
            dtype.min <= element <= dtype.max for element in data if isinstance(element, int)
        ):
            return
        super().set_symbolic_value(value, data)

    def get_symbolic_value(self, value: ir.Value) -> list[Dim] | None:
        """The known elements of a value, those of short constants included."""
        if SYM_DATA_KEY in value.metadata_props:
            known: list[Dim] | None = super().get_symbolic_value(value)
            return None if known is None else [_plain(element) for element in known]
        tensor = tensor_of(value)
        if tensor is None or tensor.size > MAX_ELEMENTS:
            return None
        if not tensor.dtype.is_integer() and tensor.dtype != ir.DataType.BOOL:
            return None
        return [int(element) for element in tensor.numpy().reshape(-1)]

    def meet(self, dims: Sequence[ir.SymbolicDim]) -> ir.SymbolicDim:
        """The dimension of named dimensions broadcast together: any of them may be 1.

        Its name stands for all of them, so that meeting one of them again changes nothing.
        """
        known = {dim.value for dim in dims}
        dims = [dim for dim in dims if _bounded(dim) not in known]
        parts = frozenset().union(*(self._met.get(dim.value, {dim.value}) for dim in dims))
        for dim in dims:
            if self._met.get(dim.value, {dim.value}) == parts:
                return dim
        if parts not in self._meetings:
            made: ir.SymbolicDim = self.new_symbolic_dim()
            if len(parts) > MAX_MEETING:
                return made
            self._meetings[parts] = made
            self._met[made.value] = parts
        return self._meetings[parts]

    def is_length(self, dim: Dim) -> bool:
        """Whether an element surely is the length of something, or made of lengths by adding and the like.

        Elements whose value is unknown have names too, but may be negative.
        """
        if isinstance(dim, int):
            return dim >= 0
        text = dim.value
        if not text:
            return False
        if text in self._lengths:
            return True
        if "-" in text:
            return False
        return all(not self.is_generated_symbol(name) or name in self._lengths for name in _names(text))


def tensor_of(value: ir.Value) -> ir.TensorProtocol | None:
    """The tensor of a value that inference may look at; defaults that a caller may override are hidden."""
    return constant_tensor(value) if value.const_value is None else value.const_value


def _plain(dim: Dim) -> Dim:
    """A number where the name of a dimension is one, else a dimension that remembers its arithmetic."""
    if isinstance(dim, int):
        return dim
    return int(dim.value) if dim.value and dim.value.isdigit() else memoized(dim)


def _names(text: str) -> list[str]:
    """Identifiers in a dimension's expression, functions such as floor left out."""
    cleaned = "".join(letter if letter.isalnum() or letter == "_" else " " for letter in text)
    return [word for word in cleaned.split() if not word[0].isdigit() and word not in ("floor", "Max", "Min")]


_MINIMUM = re.compile(r"Min\((\d+), (\w+)\)")


def _bounded(dim: ir.SymbolicDim) -> str | None:
    """d where the dimension is Min(k, d), k > 1: broadcast with d it must be d, or the run fails."""
    found = _MINIMUM.fullmatch(dim.value or "")
    return found[2] if found and int(found[1]) > 1 else None
