"""A value of a model under construction together with what it is for the inputs at hand."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper

Array = np.ndarray[Any, Any]
Content = Array | list[Array] | None
"""What a tensor, a sequence of tensors or an optional holds; None for an optional that is empty."""


@dataclass(frozen=True, eq=False)
class Known:
    """A value and its content.

    Attributes:
        name: Of the value.
        content: An array, a list of arrays for a sequence, None for an empty optional.
        constant: It is known at compile time.
        random: It depends on a random operator, so that another run may give another content.
        type_text: The type as schemas spell it, where the content does not tell: optionals, empty sequences.
    """

    name: str
    content: Content
    constant: bool = False
    random: bool = False
    type_text: str = ""

    @property
    def array(self) -> Array:
        """The content of a tensor."""
        assert isinstance(self.content, np.ndarray)
        return self.content

    @property
    def type_name(self) -> str:
        """The type as operator schemas spell it, such as `tensor(float)` or `seq(tensor(int64))`."""
        return self.type_text or type_name(self.content)

    @property
    def is_tensor(self) -> bool:
        """Whether it is a tensor: no sequence and no optional."""
        return isinstance(self.content, np.ndarray) and not self.is_optional

    @property
    def is_optional(self) -> bool:
        """Whether it is an optional, empty or not."""
        return self.type_text.startswith("optional(")

    @property
    def is_sequence(self) -> bool:
        """Whether it is a sequence of tensors."""
        return isinstance(self.content, list) and not self.is_optional

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of a tensor."""
        shape: tuple[int, ...] = self.array.shape
        return shape

    @property
    def rank(self) -> int:
        """Number of dimensions of a tensor."""
        return self.array.ndim

    @property
    def dtype(self) -> ir.DataType:
        """Element type of a tensor, or of a sequence's tensors."""
        if self.type_text:
            return ir.DataType(_parse(self.type_text)[1])
        return dtype_of(self.content)

    @property
    def type_proto(self) -> onnx.TypeProto:
        """The ONNX type, without a shape."""
        return type_of(self.type_name)


def dtype_of(content: Content) -> ir.DataType:
    """Element type of a tensor or of a sequence's tensors; what holds none counts as one of float32."""
    array = content if isinstance(content, np.ndarray) else content[0] if content else np.zeros(0, np.float32)
    return _data_type(array.dtype)


@functools.lru_cache
def _data_type(dtype: np.dtype[Any]) -> ir.DataType:
    return ir.DataType.STRING if dtype.kind in "OUS" else ir.DataType.from_numpy(dtype)


def type_name(content: Content) -> str:
    """The type of a tensor or sequence as operator schemas spell it; see `Known.type_name`."""
    element = f"tensor({element_name(dtype_of(content))})"
    return element if isinstance(content, np.ndarray) else f"seq({element})"


def element_name(dtype: ir.DataType) -> str:
    """An element type as operator schemas spell it."""
    return _SPELLED.get(dtype) or dtype.name.lower()


def type_of(text: str) -> onnx.TypeProto:
    """The ONNX type of that spelling, without a shape."""
    containers, element = _parse(text)
    made = helper.make_tensor_type_proto(element, None)
    for container in reversed(containers):
        wrap = helper.make_sequence_type_proto if container == "seq" else helper.make_optional_type_proto
        made = wrap(made)
    return made


def spelled(proto: onnx.TypeProto) -> str:
    """An ONNX type as operator schemas spell it; "" where it is none of tensors, sequences and optionals."""
    kind = proto.WhichOneof("value")
    if kind == "tensor_type":
        return f"tensor({element_name(ir.DataType(proto.tensor_type.elem_type))})"
    if kind == "sequence_type":
        return f"seq({spelled(proto.sequence_type.elem_type)})"
    return f"optional({spelled(proto.optional_type.elem_type)})" if kind == "optional_type" else ""


@functools.lru_cache
def _parse(text: str) -> tuple[tuple[str, ...], int]:
    """Containers from the outermost, and the element type."""
    *containers, element = text.rstrip(")").split("(")
    if not containers or containers[-1] != "tensor":
        raise ValueError(f"{text} is no type of tensors")
    by_name = {element_name(each): each for each in ir.DataType}
    return tuple(containers[:-1]), int(by_name[element])


_SPELLED = {ir.DataType.FLOAT: "float", ir.DataType.DOUBLE: "double"}
