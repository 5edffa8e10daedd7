"""A value of a model under construction together with what it is for the inputs at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper

Array = np.ndarray[Any, Any]
Content = Array | list[Array]
"""What a tensor or a sequence of tensors holds."""


@dataclass(frozen=True)
class Known:
    """A value and its content.

    Attributes:
        name: Of the value.
        content: An array, or a list of arrays for a sequence.
        constant: It is known at compile time.
        random: It depends on a random operator, so that another run may give another content.
    """

    name: str
    content: Content
    constant: bool = False
    random: bool = False

    @property
    def array(self) -> Array:
        """The content of a tensor."""
        assert isinstance(self.content, np.ndarray)
        return self.content

    @property
    def is_tensor(self) -> bool:
        """Whether it is a tensor and no sequence."""
        return isinstance(self.content, np.ndarray)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of a tensor."""
        return self.array.shape

    @property
    def rank(self) -> int:
        """Number of dimensions of a tensor."""
        return self.array.ndim

    @property
    def dtype(self) -> ir.DataType:
        """Element type of a tensor, or of a sequence's tensors."""
        return dtype_of(self.content)


def dtype_of(content: Content) -> ir.DataType:
    """Element type of a tensor or of a sequence's tensors; an empty sequence counts as one of float32."""
    array = content if isinstance(content, np.ndarray) else content[0] if content else np.float32(0)
    if array.dtype.kind in "OUS":
        return ir.DataType.STRING
    return ir.DataType.from_numpy(array.dtype)


def type_of(content: Content) -> onnx.TypeProto:
    """The ONNX type, without a shape."""
    element = helper.make_tensor_type_proto(int(dtype_of(content)), None)
    return element if isinstance(content, np.ndarray) else helper.make_sequence_type_proto(element)


def value_info(name: str, content: Content) -> onnx.ValueInfoProto:
    """A declaration of a value, with its sizes where it is a tensor."""
    if isinstance(content, np.ndarray):
        return helper.make_tensor_value_info(name, int(dtype_of(content)), content.shape)
    return onnx.ValueInfoProto(name=name, type=type_of(content))


def type_name(content: Content) -> str:
    """The type as operator schemas spell it, such as `tensor(float)` or `seq(tensor(int64))`."""
    element = _ELEMENT_NAMES.get(dtype_of(content), dtype_of(content).name.lower())
    return f"tensor({element})" if isinstance(content, np.ndarray) else f"seq(tensor({element}))"


_ELEMENT_NAMES = {ir.DataType.FLOAT: "float", ir.DataType.DOUBLE: "double"}
