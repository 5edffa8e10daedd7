"""Candidates as files: large weights of the original are written once, and all candidates lie beside them."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from graphopt.io import to_proto
from graphopt.io.weights import Change, in_memory, is_external, lay_out, replaced, slots

INLINE_BYTES = 4_000_000
"""Candidates with fewer bytes of the original's weights are a file each, without another beside it."""

_LARGE_BYTES = 1024
_NAME = "weights.data"


class CandidateFiles:
    """Writes candidates into a folder.

    Args:
        original: Its large weights are shared by the candidates.
        folder: Exists; everything in it is ours.
    """

    def __init__(self, original: ir.Model, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        places = slots(original)
        large = [place for place in places if place.is_initializer and _is_large(place.tensor)]
        if sum(place.tensor.nbytes for place in large) <= INLINE_BYTES:
            large = []
        layout = lay_out(large)
        self._offsets = {id(slot.tensor): offset for slot, offset in layout.placed}
        self._kept = large  # so that no other tensor gets the identity of one of them
        if large:
            with open(folder / _NAME, "xb") as file:
                layout.write(file)

    def write(self, model: ir.Model) -> Path:
        """Write a candidate under a name of its own; returns its path."""
        self._count += 1
        path = self._folder / f"candidate{self._count}.onnx"
        path.write_bytes(self._serialized(model))
        return path

    def remove(self, path: Path) -> None:
        """Remove a candidate, and what a command made of it under its name with another suffix."""
        for each in self._folder.glob(f"{path.stem}.*"):
            if each.is_file() or each.is_symlink():
                each.unlink(missing_ok=True)

    def _serialized(self, model: ir.Model) -> bytes:
        places = list(slots(model))
        shared = [place for place in places if id(place.tensor) in self._offsets and place.is_initializer]
        if sum(place.tensor.nbytes for place in shared) <= INLINE_BYTES:
            shared = []
        changes = [Change(place, self._external(place.tensor)) for place in shared]
        known = {id(place.tensor) for place in shared}
        inline = [place for place in places if is_external(place.tensor) and id(place.tensor) not in known]
        with replaced(changes + [in_memory(place) for place in inline]):
            return bytes(to_proto(model).SerializeToString())

    def _external(self, tensor: ir.TensorProtocol) -> ir.ExternalTensor:
        offset, shape = self._offsets[id(tensor)], ir.Shape(tensor.shape.numpy())
        return ir.ExternalTensor(
            _NAME, offset, tensor.nbytes, tensor.dtype, shape=shape, name=tensor.name or ""
        )


def _is_large(tensor: ir.TensorProtocol) -> bool:
    return tensor.dtype != ir.DataType.STRING and tensor.nbytes >= _LARGE_BYTES
