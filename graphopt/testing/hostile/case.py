"""One hostile file: what it is called, how it is written, and what a reader must do with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "model.onnx"


@dataclass(frozen=True)
class Case:
    """A malformed or adversarial model.

    Attributes:
        name: Words joined by hyphens, unique within its family.
        content: The bytes of the file, or a function that writes what stands beside it into a folder and
            returns the bytes. The folder may be a subfolder, so that there is an outside.
        refused: A part of the error's message, where the model must be refused; None where it has a meaning,
            so that it must be optimized.
        file_name: The suffix chooses the format.
    """

    name: str
    content: bytes | Callable[[Path], bytes]
    refused: str | None = None
    file_name: str = FILE_NAME

    def write(self, folder: Path) -> Path:
        """Write the file, and what belongs to it, into an existing folder; the file's path."""
        data = self.content if isinstance(self.content, bytes) else self.content(folder)
        path = folder / self.file_name
        path.write_bytes(data)
        return path
