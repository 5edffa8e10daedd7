"""External data: the tensors of a model, written one behind the other into one file.

They are streamed from where they are: large weights never pass through protobuf, and what lies in a file is
not read as a whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import onnx_ir as ir

from graphopt.errors import SaveError
from graphopt.ir import graphs

# Readers map files by pages; small tensors need no more than a cache line.
_PAGE = 4096
_CACHE_LINE = 64


class Slot(NamedTuple):
    """A place of the model that holds a tensor: an initializer, or a tensor attribute of a node."""

    tensor: ir.TensorProtocol
    holder: ir.Value | ir.Node
    attribute: str = ""

    @property
    def is_initializer(self) -> bool:
        """Whether the place is an initializer."""
        return isinstance(self.holder, ir.Value)

    def put(self, tensor: ir.TensorProtocol) -> None:
        """Put another tensor there."""
        if isinstance(self.holder, ir.Value):
            self.holder.const_value = tensor
        else:
            old = self.holder.attributes[self.attribute]
            self.holder.attributes[self.attribute] = ir.AttrTensor(
                old.name, tensor, doc_string=old.doc_string
            )


def slots(model: ir.Model) -> Iterator[Slot]:
    """Every place of the model that holds a tensor, in a fixed order."""
    for graph in graphs(model):
        for value in graph.initializers.values():
            if value.const_value is not None:
                yield Slot(value.const_value, value)
        for node in graph:
            for attribute in node.attributes.values():
                if attribute.type == ir.AttributeType.TENSOR and not attribute.is_ref():
                    yield Slot(attribute.as_tensor(), node, attribute.name)


@dataclasses.dataclass(frozen=True)
class Change:
    """Another tensor for a slot."""

    slot: Slot
    tensor: ir.TensorProtocol


def put_all(changes: list[Change]) -> None:
    """Make the changes."""
    for change in changes:
        change.slot.put(change.tensor)


@contextlib.contextmanager
def replaced(changes: list[Change]) -> Iterator[None]:
    """Make the changes for the time of the block."""
    try:
        put_all(changes)
        yield
    finally:
        for change in changes:
            change.slot.put(change.slot.tensor)


def map_external(model: ir.Model) -> None:
    """Map the files of external tensors into memory now.

    `onnx_ir` does it when a tensor is first read, and not in one step: two threads that read a tensor at the
    same time may get an array without its shape, or an error. What cannot be mapped fails when it is read.
    """
    for slot in slots(model):
        if is_external(slot.tensor):
            with contextlib.suppress(Exception):
                slot.tensor.numpy()


def is_external(tensor: ir.TensorProtocol) -> bool:
    """Whether the tensor lies in a file of external data."""
    return isinstance(tensor, ir.ExternalTensor)


def in_memory(slot: Slot) -> Change:
    """The tensor of the slot, read from its file.

    Raises:
        SaveError: It cannot be read any more.
    """
    tensor = slot.tensor
    with readable(tensor):
        array = tensor.numpy()
    return Change(slot, ir.Tensor(array, dtype=tensor.dtype, name=tensor.name, doc_string=tensor.doc_string))


@contextlib.contextmanager
def readable(tensor: ir.TensorProtocol) -> Iterator[None]:
    """Say which tensor could not be read, where the block fails to."""
    try:
        yield
    except (ValueError, TypeError, FileNotFoundError) as error:
        raise SaveError(
            f"the tensor {tensor.name!r} cannot be read: {error}", hint="load the model again"
        ) from error


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where each tensor lies in a data file.

    Attributes:
        pieces: Tensors with their offsets in bytes, each stored once.
        placed: The slots, each with the offset of its tensor.
    """

    pieces: list[tuple[int, ir.TensorProtocol]]
    placed: list[tuple[Slot, int]]

    def write(self, file: BinaryIO) -> None:
        """Stream every tensor to its offset; gaps are zeros."""
        for offset, tensor in self.pieces:
            file.write(bytes(offset - file.tell()))
            with readable(tensor):
                tensor.tofile(file)  # type: ignore[attr-defined]

    def external(self, folder: str, location: str) -> list[Change]:
        """For each slot the external tensor that stands for its tensor in the file `location` of `folder`."""
        return [
            Change(
                slot,
                ir.ExternalTensor(
                    location,
                    offset,
                    slot.tensor.nbytes,
                    slot.tensor.dtype,
                    shape=ir.Shape(slot.tensor.shape.numpy()),
                    name=slot.tensor.name or "",
                    doc_string=slot.tensor.doc_string,
                    metadata_props=dict(slot.tensor.metadata_props),
                    base_dir=folder,
                ),
            )
            for slot, offset in self.placed
        ]


def lay_out(chosen: list[Slot]) -> Layout:
    """Offsets for the tensors of `chosen`, in order; one that stands in several slots is stored once."""
    layout = Layout([], [])
    offsets: dict[tuple[object, ...], int] = {}
    end = 0
    for slot in chosen:
        tensor = slot.tensor
        key = _identity(tensor)
        if key not in offsets:
            alignment = _PAGE if tensor.nbytes >= _PAGE else _CACHE_LINE
            start = -(-end // alignment) * alignment
            offsets[key] = start
            layout.pieces.append((start, tensor))
            end = start + tensor.nbytes
        layout.placed.append((slot, offsets[key]))
    return layout


def _identity(tensor: ir.TensorProtocol) -> tuple[object, ...]:
    if isinstance(tensor, ir.ExternalTensor):
        return tensor.path, tensor.offset or 0, tensor.nbytes
    return (id(tensor),)
