"""From a file to a `ModelProto`: reads, recognises what is not ONNX, and says so.

It never opens external data and never judges what the model says; `repair` and `tensors` do that.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
import warnings

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import serialization

from graphopt.errors import LoadError

BINARY_FORMAT = "protobuf"

LARGEST_READ_BYTES = 64 << 20
"""Larger files are mapped, which takes their size in memory once instead of twice. Whoever cuts a mapped file
off while it is parsed ends the process with SIGBUS."""

# What the first bytes give away: (offset, bytes, what the file is, what to do).
_SIGNATURES: tuple[tuple[int, bytes, str, str], ...] = (
    (
        0,
        b"version https://git-lfs",
        "a Git LFS pointer, not the model itself",
        "run `git lfs pull` in its repository",
    ),
    (
        0,
        b"PK\x03\x04",
        "a zip archive (a PyTorch checkpoint, perhaps)",
        "export the model with torch.onnx.export",
    ),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file (a Keras model, perhaps)", "convert the model with tf2onnx"),
    (4, b"TFL3", "a TensorFlow Lite model", "convert the model with tf2onnx"),
    (4, b"ORTM", "a model in onnxruntime's own format", "give the ONNX file it was made from"),
    (0, b"GGUF", "a GGUF file", "export the model to ONNX"),
    (0, b"\x1f\x8b", "a gzip archive", "unpack it first"),
    (0, b"<?xml", "an XML file (an OpenVINO model, perhaps)", "give the ONNX file it was made from"),
    (0, b"<!DOCTYPE", "a web page", "download the file itself"),
    (0, b"<html", "a web page", "download the file itself"),
    (8, b'{"', "a safetensors file: weights without a graph", "export the model to ONNX"),
)

# Far beyond what control flow nested as deep as a binary file can be takes.
_DEEPEST_TEXT = 500
_QUOTED_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\](){}<>]', re.DOTALL)
_OPENING, _CLOSING = (b"[", b"(", b"{", b"<"), (b"]", b")", b"}", b">")


def format_of(path: str) -> str:
    """The name of the serialization that the suffix of `path` stands for; binary where it says nothing."""
    suffix = os.path.splitext(path)[1].lower()
    return serialization.registry.get_format_from_file_extension(suffix) or BINARY_FORMAT


def read_model(path: str) -> onnx.ModelProto:
    """Read the protobuf in `path` (`.onnx`, or ONNX's text, textproto and JSON forms by suffix).

    Raises:
        LoadError: There is no such file, it cannot be read, or what it holds is not an ONNX protobuf.
    """
    _check_is_file(path)
    try:
        if format_of(path) != BINARY_FORMAT:
            return _read_text(path)
        return _read_binary(path)
    except OSError as error:
        raise LoadError(f"cannot read {path!r}: {error.strerror or error}") from error


def _check_is_file(path: str) -> None:
    try:
        status = os.stat(path)
    except FileNotFoundError as error:
        raise LoadError(f"there is no file {path!r}", hint="check the path") from error
    except (OSError, ValueError) as error:
        raise LoadError(f"cannot read {path!r}: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISDIR(status.st_mode):
        raise LoadError(f"{path!r} is a folder, expected a model file", hint="name the .onnx file in it")
    if not stat.S_ISREG(status.st_mode):
        raise LoadError(f"{path!r} is not a regular file", hint="copy the model to a file first")
    if status.st_size == 0:
        raise LoadError(f"{path!r} is empty", hint="fetch or export the model again")


def _read_binary(path: str) -> onnx.ModelProto:
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size <= LARGEST_READ_BYTES:
            return _parse(path, file.read())
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return _parse(path, mapped)


def _parse(path: str, data: bytes | mmap.mmap) -> onnx.ModelProto:
    _refuse_other_formats(path, data)
    proto = onnx.ModelProto()
    with memoryview(data) as view:
        try:
            proto.ParseFromString(view)
        except DecodeError as error:
            raise LoadError(
                f"{path!r} is not a readable ONNX model ({len(data)} bytes): {_reason(error)}",
                hint="it may be truncated, damaged or of another format; fetch or export it again",
            ) from error
    return proto


def _refuse_other_formats(path: str, data: bytes | mmap.mmap) -> None:
    for offset, signature, what, remedy in _SIGNATURES:
        if data[offset : offset + len(signature)] == signature:
            raise LoadError(f"{path!r} is {what}", hint=remedy)


def _reason(error: DecodeError) -> str:
    if "MaxDepth" in str(error):
        return "its messages are nested more deeply than protobuf allows (100 levels)"
    return "its bytes are not a protobuf message"


def _read_text(path: str) -> onnx.ModelProto:
    kind = format_of(path)
    with open(path, "rb") as file:
        data = file.read()
    if _depth(data) > _DEEPEST_TEXT:
        raise LoadError(
            f"{path!r} is nested more than {_DEEPEST_TEXT} deep",
            hint="the file may be damaged; export it again",
        )
    try:
        # onnx warns that its text form is experimental; whoever names a file so knows.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return onnx.load_model_from_string(data, format=kind)
    except Exception as error:  # each format has parser errors of its own
        raise LoadError(f"{path!r} is not a model in the {kind} format: {_first_line(error)}") from error


def _depth(text: bytes) -> int:
    """How deep brackets are nested outside of quoted strings: parsers of texts follow them by recursion."""
    depth = deepest = 0
    for bracket in _QUOTED_OR_BRACKET.findall(text):
        if bracket in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif bracket in _CLOSING:
            depth -= 1
    return deepest


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
