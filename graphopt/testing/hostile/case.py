"""One hostile file: what it is called, how it is written, and what a reader must do with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from graphopt.testing.hostile.outcome import Kind, Outcome

FILE_NAME = "model.onnx"
ANY_END = ""
"""What a case says that may be refused, or be a model by chance."""


@dataclass(frozen=True)
class Case:
    """A malformed or adversarial model.

    Attributes:
        name: Words joined by hyphens, unique within its family.
        content: The bytes of the file, or a function that writes what stands beside it into a folder and
            returns the bytes. The folder may be a subfolder, so that there is an outside.
        refused: A part of the error's message, where the model must be refused; None where it has a meaning,
            so that it must be optimized; `ANY_END` where either will do.
        file_name: The suffix chooses the format.
    """

    name: str
    content: bytes | Callable[[Path], bytes]
    refused: str | None = None
    file_name: str = FILE_NAME

    def allows(self, outcome: Outcome) -> bool:
        """Whether an outcome is right."""
        if self.refused is None:
            return outcome.kind is Kind.OK
        if self.refused == ANY_END:
            return outcome.kind.fine
        return outcome.kind is Kind.REFUSED and self.refused in outcome.detail

    def write(self, folder: Path) -> Path:
        """Write the file, and what belongs to it, into an existing folder; the file's path."""
        data = self.content if isinstance(self.content, bytes) else self.content(folder)
        path = folder / self.file_name
        path.write_bytes(data)
        return path
