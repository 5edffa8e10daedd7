"""Integers known as integers: what Shape gives and what is computed from it.

ONNX computes shapes with tensors; PyTorch, and torch.export above all, wants Python integers. A value
made of sizes is an array of numbers and of graph nodes that are numbers at run time; it becomes a tensor only
where an operator asks for one. Fractions (the scales of a Resize) are numbers as well, as float32 has them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import onnx_ir as ir
import torch

if TYPE_CHECKING:
    pass

Int: TypeAlias = "int | torch.fx.Node"
"""An integer known now, or a node that is one at run time."""

Array: TypeAlias = "np.ndarray[Any, Any]"
"""An array of numbers and nodes."""

Operands: TypeAlias = "list[Sizes | None]"
"""Inputs of a node; None where one is left out or is data."""

MOST_ITEMS = 64
"""Longer integer tensors are data."""

LONGEST_RANGE = 8
"""A Range of more items is data; one of fewer may be the axes of a tensor."""

SIZE_TYPES = {ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL, ir.DataType.FLOAT}


@dataclass(frozen=True)
class Sizes:
    """A small tensor whose elements are numbers.

    Attributes:
        items: Its elements in row-major order; a whole number is an `int`, in a float tensor too.
        shape: Its shape; that of a list of the items if it is not given.
        dtype: The type of the tensor it stands for: INT64, INT32, BOOL or FLOAT.
    """

    items: tuple[Int, ...]
    shape: tuple[int, ...] = (-1,)
    dtype: ir.DataType = ir.DataType.INT64

    def __post_init__(self) -> None:
        if self.shape == (-1,):
            object.__setattr__(self, "shape", (len(self.items),))

    @property
    def array(self) -> Array:
        """The elements in their shape."""
        array = np.empty(len(self.items), dtype=object)
        array[:] = self.items
        return array.reshape(self.shape)

    @property
    def known(self) -> list[int] | None:
        """The numbers, if all are known now."""
        return [i for i in self.items if not isinstance(i, torch.fx.Node)] if all_known(self.items) else None

    @property
    def nested(self) -> Any:
        """A number, a list or a list of lists, as `torch.tensor` takes it."""
        return self.array.tolist()


def sizes_of(array: Array | Int, dtype: ir.DataType = ir.DataType.INT64) -> Sizes:
    """An array of numbers and nodes as sizes."""
    if not isinstance(array, np.ndarray):
        return Sizes((array,), (), dtype)
    return Sizes(tuple(plain(item) for item in array.reshape(-1)), array.shape, dtype)


def sizes_of_constant(tensor: ir.TensorProtocol | None) -> Sizes | None:
    """A constant as sizes, if it is small and of a type that sizes may have."""
    if tensor is None or tensor.dtype not in SIZE_TYPES or tensor.size > MOST_ITEMS:
        return None
    array = np.asarray(tensor.numpy())
    if tensor.dtype == ir.DataType.FLOAT and not np.isfinite(array).all():
        return None
    return sizes_of(array, tensor.dtype)


def all_known(items: Sequence[Int]) -> bool:
    """Whether none of the numbers waits for run time."""
    return not any(isinstance(item, torch.fx.Node) for item in items)


def is_small(shape: Sequence[int]) -> bool:
    """Whether a tensor of this shape may be sizes."""
    return math.prod(shape) <= MOST_ITEMS


def plain(number: Any) -> Any:
    """A number as Python's own type; a whole one as an `int`."""
    if isinstance(number, (torch.fx.Node, bool, int)):
        return number
    if isinstance(number, np.bool_):
        return bool(number)
    return int(number) if float(number).is_integer() else float(number)
