"""A failure on disk: the model, the inputs where others would not show it, and the command that does."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from pathlib import Path

import numpy as np
import onnx

from graphopt.errors import GraphoptError
from graphopt.testing.check.check import check_pass
from graphopt.testing.check.failure import PassFailure, shown
from graphopt.testing.check.reference import Reference
from graphopt.testing.text import format_model

LONGEST_NAME = 60
OURS = ".graphopt"
"""The folder beside the user that failures are saved under, unless another is named."""


@dataclasses.dataclass(frozen=True)
class SavedFailure:
    """Where a failure went.

    Attributes:
        failure: The failure.
        model: File of the model, ONNX.
        inputs: File of the inputs, or None where made-up ones show the failure too.
        is_new: The file was made for it; else it is the one that was given, which is minimal.
    """

    failure: PassFailure
    model: Path
    inputs: Path | None
    is_new: bool = True

    @property
    def command(self) -> str:
        """What to type into a shell to see it again."""
        return self.failure.command(_near(self.model), None if self.inputs is None else _near(self.inputs))

    @property
    def text(self) -> str:
        """The model as ONNX text, where it was saved, and the command."""
        text = shown(*format_model(self.failure.proto))
        saved = f"saved as {_near(self.model)}; " if self.is_new else ""
        return f"{text}\n\n{saved}to see it again:\n{self.command}"


def save_failure(failure: PassFailure, folder: Path, name: str = "") -> SavedFailure:
    """Save the model of a failure.

    Args:
        failure: Of a reduced model, at best.
        folder: Made where it is missing.
        name: What to call the file; the end of its name tells models apart.

    Raises:
        OSError: The folder cannot be written to.
    """
    _make(folder)
    data = failure.proto.SerializeToString(deterministic=True)
    key = hashlib.sha256(data + failure.property.encode()).hexdigest()[:8]
    readable = re.sub(r"[^\w.-]+", "-", name or failure.what).strip("-")[:LONGEST_NAME]
    path = folder / f"{readable}-{failure.property}-{key}.onnx"
    path.write_bytes(data)
    if failure.inputs is None or failure.property != "numbers" or _fails_on_any_inputs(failure):
        return SavedFailure(failure, path, None)
    inputs = path.with_suffix(".npz")
    np.savez(inputs, **failure.inputs)
    return SavedFailure(failure, path, inputs)


def _make(folder: Path) -> None:
    """Make a folder; one in a `.graphopt` that is new stays out of the user's repository."""
    ours = next((each for each in (folder, *folder.parents) if each.name == OURS), None)
    is_new = ours is not None and not ours.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if ours is not None and is_new:
        (ours / ".gitignore").write_text("*\n", "utf-8")


def _fails_on_any_inputs(failure: PassFailure) -> bool:
    """Whether inputs made up for the model show the failure too."""
    model = onnx.ModelProto()
    model.CopyFrom(failure.proto)
    try:
        check_pass(failure.subject, Reference(model, rtol=failure.rtol))
    except PassFailure as again:
        return again.property == failure.property
    except GraphoptError:
        return False
    return False


def _near(path: Path) -> Path:
    here = Path.cwd()
    return Path(os.path.relpath(path, here)) if path.is_relative_to(here) else path
