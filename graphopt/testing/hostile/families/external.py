"""External data outside the model's folder, beyond its file, or in things that are no files."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx

from graphopt.testing.hostile.build import tensor, with_weight
from graphopt.testing.hostile.case import Case

SECRET = struct.pack("<2f", 41, 42)
"""What lies outside the model's folder and must not be read."""
_NAME = "weights.bin"


def cases() -> Iterator[Case]:
    """Places that external data may not be in."""
    yield Case("fine", _beside(lambda path: path.write_bytes(SECRET)))
    yield Case("missing", _at("nowhere.bin"), "cannot be read")
    yield Case("parent", _outside("../secret.bin"), "outside the folder")
    yield Case("parent-hidden", _outside("a/../../secret.bin"), "outside the folder")
    yield Case("parent-backwards", _outside("..\\secret.bin"), "outside the folder")
    yield Case("absolute", _absolute, "outside the folder")
    yield Case("password-file", _at("/etc/passwd"), "outside the folder")
    yield Case("drive", _at("C:\\secret.bin"), "outside the folder")
    yield Case("no-location", _at(""), "outside the folder")
    yield Case("nul", _at("a\0b"), "outside the folder")
    yield Case("dot", _at("."), "outside the folder")
    yield Case("newline", _at("a\nb"), "cannot be read")
    yield Case("long", _at("a" * 5000), "is external data in")
    yield Case("long-path", _at("/".join(["a" * 200] * 40)), "is external data in")
    yield Case("symbolic-link", _beside(_link_outside), "outside the folder")
    yield Case("link-to-itself", _beside(lambda path: path.symlink_to(path.name)), "cannot be read")
    yield Case("linked-folder", _linked_folder, "outside the folder")
    yield Case("hard-link", _beside(_hard_link), "hard links")
    yield Case("folder", _beside(Path.mkdir), "not a regular file")
    yield Case("pipe", _beside(os.mkfifo), "not a regular file")
    yield Case("endless-device", _beside(lambda path: path.symlink_to("/dev/zero")), "outside the folder")
    yield Case("too-short", _beside(lambda path: path.write_bytes(SECRET[:4])), "which has 4")
    for offset in ("4", "99999999999", str(1 << 63), "9" * 400):
        yield Case(f"offset-of-{len(offset)}-digits", _entries(offset=offset), "which has 8")
    for offset in ("-4", "four", "1e3", "0x10", "٣"):
        yield Case(f"offset-{offset.encode().hex()}", _entries(offset=offset), "expected a number of bytes")
    yield Case("length-short", _entries(length="4"), "expected external data of 8 bytes")
    yield Case("length-long", _entries(length=str(1 << 62)), "expected external data of 8 bytes")
    yield Case("length-negative", _entries(length="-8"), "expected a number of bytes")
    yield Case("terabytes", _entries(dims=[1 << 38]), "which has 8")
    yield Case("strings", _entries(dtype=onnx.TensorProto.STRING), "cannot be external data")
    yield Case("itself", _at("model.onnx"))
    yield Case("two-places", _two_places, "outside the folder")


def _external(
    location: str, dims: list[int] | None = None, dtype: int = onnx.TensorProto.FLOAT, **entries: str
) -> bytes:
    weight = tensor("w", dims or [2], dtype, data_location=onnx.TensorProto.EXTERNAL)
    for key, entry in {"location": location, **entries}.items():
        weight.external_data.add(key=key, value=entry)
    return with_weight(weight)


def _at(location: str) -> bytes:
    return _external(location)


def _entries(**entries: object) -> Callable[[Path], bytes]:
    def write(folder: Path) -> bytes:
        (folder / _NAME).write_bytes(SECRET)
        return _external(_NAME, **entries)  # type: ignore[arg-type]

    return write


def _beside(make: Callable[[Path], object]) -> Callable[[Path], bytes]:
    def write(folder: Path) -> bytes:
        make(folder / _NAME)
        return _external(_NAME)

    return write


def _outside(location: str) -> Callable[[Path], bytes]:
    def write(folder: Path) -> bytes:
        (folder.parent / "secret.bin").write_bytes(SECRET)
        (folder / "a").mkdir()
        return _external(location)

    return write


def _absolute(folder: Path) -> bytes:
    secret = folder.parent / "secret.bin"
    secret.write_bytes(SECRET)
    return _external(str(secret))


def _link_outside(path: Path) -> None:
    secret = path.parent.parent / "secret.bin"
    secret.write_bytes(SECRET)
    path.symlink_to(secret)


def _hard_link(path: Path) -> None:
    secret = path.parent.parent / "secret.bin"
    secret.write_bytes(SECRET)
    os.link(secret, path)


def _linked_folder(folder: Path) -> bytes:
    (folder.parent / "secret.bin").write_bytes(SECRET)
    (folder / "data").symlink_to(folder.parent)
    return _external("data/secret.bin")


def _two_places(folder: Path) -> bytes:
    """Two locations: readers differ in which they take."""
    (folder / _NAME).write_bytes(SECRET)
    weight = tensor("w", [2], data_location=onnx.TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value=_NAME)
    weight.external_data.add(key="location", value="../secret.bin")
    return with_weight(weight)
