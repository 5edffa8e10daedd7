"""Files that are no models at all: empty, text, archives, other frameworks' formats."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterator

from graphopt.testing.hostile.case import Case

_UNREADABLE = "is not a readable ONNX model"


def cases() -> Iterator[Case]:
    """Files of other kinds."""
    yield Case("empty", b"", "is empty")
    yield Case("one-zero", b"\0", _UNREADABLE)
    yield Case("zeros", bytes(4096), _UNREADABLE)
    yield Case("ones", b"\xff" * 4096, _UNREADABLE)
    yield Case("prose", b"This is not a model.\n" * 50, _UNREADABLE)
    yield Case("utf-16", "no model".encode("utf-16"), _UNREADABLE)
    yield Case("zip", _archive(), "is a zip archive")
    yield Case("pickle", pickle.dumps({"weights": [1.0] * 100}), _UNREADABLE)
    yield Case("gzip", b"\x1f\x8b\x08\x00" + bytes(64), "is a gzip archive")
    yield Case("png", b"\x89PNG\r\n\x1a\n" + bytes(64), _UNREADABLE)
    yield Case("elf", b"\x7fELF\x02\x01\x01" + bytes(64), _UNREADABLE)
    yield Case("onnxruntime-format", b"\x20\0\0\0ORTM" + bytes(64), "onnxruntime's own format")
    yield Case("tflite", b"\x1c\0\0\0TFL3" + bytes(64), "TensorFlow Lite")
    yield Case("hdf5", b"\x89HDF\r\n\x1a\n" + bytes(64), "an HDF5 file")
    yield Case("gguf", b"GGUF\x03\0\0\0" + bytes(64), "a GGUF file")
    yield Case("safetensors", b'\x08\0\0\0\0\0\0\0{"a":{}}', "a safetensors file")
    yield Case("web-page", b"<!DOCTYPE html><html></html>", "a web page")
    yield Case("lfs-pointer", b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer")


def _archive() -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("data.pkl", b"\x80\x02}.")
    return held.getvalue()
