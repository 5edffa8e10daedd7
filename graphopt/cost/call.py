"""One node with concrete shapes, as the cost rules see it, and the work a rule answers with.

Holds no rule and no rate, and never changes the node.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from graphopt.ir import scalar

Shape = tuple[int, ...]


class Kind(enum.Enum):
    """Which of the machine's rates bounds the arithmetic of a node."""

    GEMM = "gemm"
    CONV = "conv"
    DEPTHWISE = "depthwise"
    GROUPED = "grouped"
    """Convolutions in groups of fewer channels than kernels take at once, but more than one."""
    INT8 = "int8"
    ELEMENTWISE = "elementwise"
    TRANSCENDENTAL = "transcendental"
    MOVE = "move"
    """Copies bytes without arithmetic."""
    FREE = "free"
    """A view, a shape or a constant: neither arithmetic nor traffic."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one execution of a node does.

    Attributes:
        kind: The rate its arithmetic runs at.
        flops: Arithmetic operations; one MAC counts as two.
        macs: Multiply-accumulates among them.
        bytes_read: Bytes read, or None for every input once.
        bytes_written: Bytes written, or None for every output once.
        working_set: Distinct bytes touched, or None where each byte is touched once.
    """

    kind: Kind
    flops: int = 0
    macs: int = 0
    bytes_read: int | None = None
    bytes_written: int | None = None
    working_set: int | None = None


@dataclass(frozen=True, slots=True)
class ProgramWork:
    """What one run of a compiled region does.

    Attributes:
        steps: What each of its steps does.
        parameters: Elements of its constants.
        parameter_bytes: And their bytes.
        arena: Bytes of what is alive inside it at one time.
    """

    steps: tuple[Work, ...]
    parameters: int = 0
    parameter_bytes: int = 0
    arena: int = 0


class UnknownShapeError(Exception):
    """A rule needs a shape, or an attribute that says one, which is not known; the message names it."""


class Call:
    """A node together with the shapes of its inputs and outputs.

    Args:
        node: The node.
        inputs: One shape per input; None where the input is absent or its shape unknown.
        outputs: One shape per output, likewise.

    Attributes:
        unknown_bytes: Inputs and outputs whose bytes were asked for but are not known.
    """

    __slots__ = ("inputs", "node", "outputs", "unknown_bytes")

    def __init__(
        self, node: ir.Node, inputs: Sequence[Shape | None], outputs: Sequence[Shape | None]
    ) -> None:
        self.node = node
        self.inputs = inputs
        self.outputs = outputs
        self.unknown_bytes: list[str] = []

    def has(self, index: int) -> bool:
        """Whether the optional input is given."""
        return index < len(self.node.inputs) and self.node.inputs[index] is not None

    def shape(self, index: int) -> Shape:
        """Shape of an input; raises UnknownShapeError where it is not known."""
        found = self.inputs[index] if index < len(self.inputs) else None
        if found is None:
            raise UnknownShapeError(f"input {index}")
        return found

    def out(self, index: int = 0) -> Shape:
        """Shape of an output; raises UnknownShapeError where it is not known."""
        found = self.outputs[index] if index < len(self.outputs) else None
        if found is None:
            raise UnknownShapeError(f"output {index}")
        return found

    def size(self, index: int) -> int:
        """Elements of an input."""
        return math.prod(self.shape(index))

    def out_size(self) -> int:
        """Elements of the first output."""
        return math.prod(self.out())

    def dtype(self, index: int) -> ir.DataType | None:
        """Element type of an input, or None."""
        value = self.node.inputs[index] if index < len(self.node.inputs) else None
        return None if value is None else value.dtype

    def in_bytes(self, index: int) -> int:
        """Bytes of an input; 0 where it is absent, and 0 and noted where its shape is not known."""
        return (
            self._bytes(self.node.inputs[index], self.inputs[index], f"input {index}")
            if self.has(index)
            else 0
        )

    def out_bytes(self, index: int = 0) -> int:
        """Bytes of an output; 0 where it is left out, and 0 and noted where its shape is not known."""
        return self._bytes(self.node.outputs[index], self.outputs[index], f"output {index}")

    def _bytes(self, value: ir.Value | None, shape: Shape | None, what: str) -> int:
        if value is None or not value.name:
            return 0
        if shape is None:
            if what not in self.unknown_bytes:
                self.unknown_bytes.append(what)
            return 0
        return tensor_bytes(shape, value.dtype)

    def integer(self, name: str, default: int) -> int:
        """An integer attribute, or its default."""
        attribute = self._attribute(name)
        return default if attribute is None else attribute.as_int()

    def integers(self, name: str) -> Sequence[int] | None:
        """A list-of-integers attribute, or None."""
        attribute = self._attribute(name)
        return None if attribute is None else attribute.as_ints()

    def string(self, name: str, default: str) -> str:
        """A string attribute, or its default."""
        attribute = self._attribute(name)
        return default if attribute is None else attribute.as_string()

    def scalar(self, index: int) -> int | None:
        """The value of a constant input of one element, or None where it is no such constant."""
        found = scalar(self.node.inputs[index]) if self.has(index) else None
        return None if found is None else int(found)

    def _attribute(self, name: str) -> ir.Attr | None:
        attribute = self.node.attributes.get(name)
        if attribute is not None and attribute.is_ref():
            raise UnknownShapeError(f"attribute {name}, which the caller of the function sets")
        return attribute


Rule = Callable[[Call], Work]


def tensor_bytes(shape: Shape, dtype: ir.DataType | None) -> int:
    """Bytes of a dense tensor, low-bit types packed.

    An unknown type counts as 4 bytes an element, a string as 16 (its handle).
    """
    if dtype is None or dtype is ir.DataType.UNDEFINED:
        bits = 32
    elif dtype is ir.DataType.STRING:
        bits = 128
    else:
        bits = dtype.bitwidth
    return (math.prod(shape) * bits + 7) // 8
