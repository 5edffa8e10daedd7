"""A candidate as few bytes: large tensors of the original stand in them as numbers, all else as it is.

Those bytes are what a candidate is known by, and what onnx is asked about. Weights are never copied.
"""

from __future__ import annotations

import hashlib

import onnx_ir as ir

from graphopt.io import to_proto
from graphopt.io.weights import Change, Slot, replaced, slots
from graphopt.native.hash import hash_tensor

INLINE_BYTES = 1024
"""Tensors up to this size are written out: shape inference reads the small ones."""

LOCATION = "graphopt.reduce/original"
"""Stands as the file name of a tensor that is the original's; no such file exists."""


class Packer:
    """Packs models that share tensors with `original`.

    Args:
        original: Its tensors are numbered in their order; only read.
    """

    def __init__(self, original: ir.Model) -> None:
        large = [slot.tensor for slot in slots(original) if _is_large(slot.tensor)]
        self._large = large  # kept, so that no other tensor gets the identity of one of them
        self._numbers = {id(tensor): number for number, tensor in enumerate(large)}

    def pack(self, model: ir.Model) -> bytes:
        """The model as a serialized `ModelProto` in which the original's large tensors are external ones.

        The same bytes for the same model in any process that packs for the same original.
        """
        changes = [
            Change(slot, _stand_in(slot, self._numbers[id(slot.tensor)]))
            for slot in slots(model)
            if id(slot.tensor) in self._numbers
        ]
        with replaced(changes):
            return bytes(to_proto(model).SerializeToString(deterministic=True))

    def weights(self) -> bytes:
        """A digest of the elements of the original's large tensors, which packed models leave out."""
        return b"".join(hash_tensor(tensor) for tensor in self._large)


def digest(data: bytes) -> str:
    """The name of packed bytes in the cache of answers."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def has_stand_ins(data: bytes) -> bool:
    """Whether packed bytes refer to tensors of the original."""
    return LOCATION.encode() in data


def _is_large(tensor: ir.TensorProtocol) -> bool:
    return tensor.dtype != ir.DataType.STRING and tensor.nbytes > INLINE_BYTES


def _stand_in(slot: Slot, number: int) -> ir.ExternalTensor:
    tensor = slot.tensor
    name = slot.holder.name if slot.is_initializer else tensor.name
    return ir.ExternalTensor(
        LOCATION, number, 0, tensor.dtype, shape=ir.Shape(tensor.shape.numpy()), name=name or ""
    )
