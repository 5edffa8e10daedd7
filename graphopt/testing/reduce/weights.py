"""Candidates as files: large weights of the original are written once, and linked beside each candidate."""

from __future__ import annotations

import os
import shutil
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
        """Write a candidate into a folder of its own; returns its path."""
        self._count += 1
        folder = self._folder / str(self._count)
        folder.mkdir()
        path = folder / "model.onnx"
        path.write_bytes(self._serialized(model, folder))
        return path

    def remove(self, path: Path) -> None:
        """Remove a candidate and what lies beside it."""
        shutil.rmtree(path.parent, ignore_errors=True)

    def _serialized(self, model: ir.Model, folder: Path) -> bytes:
        places = list(slots(model))
        shared = [place for place in places if id(place.tensor) in self._offsets and place.is_initializer]
        if sum(place.tensor.nbytes for place in shared) <= INLINE_BYTES:
            shared = []
        else:
            os.link(self._folder / _NAME, folder / _NAME)
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
