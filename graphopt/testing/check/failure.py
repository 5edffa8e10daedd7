"""What is raised when a pass breaks a property: which, how, on which model, and how to see it again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import onnx
import onnx_ir as ir

from graphopt.testing.inputs import Inputs
from graphopt.testing.text import format_model

LINES_SHOWN = 200
"""Of a model's text; reduced models have far fewer."""


class Broken(Exception):
    """A property does not hold; the text says what differs.

    Attributes:
        property: The property, where it is not the one that was looked at.
    """

    def __init__(self, detail: str, property: str | None = None) -> None:
        super().__init__(detail)
        self.property = property


class Unchecked(Exception):
    """A property could not be looked at; the text says why."""


class PassFailure(AssertionError):
    """A pass broke a property that every pass must keep.

    Attributes:
        property: Which: "raises", "valid", "interface", "count", "numbers", "untouched", "deterministic" or
            "idempotent".
        detail: What differs, in words.
        what: The pass as the command line takes it.
        proto: The model before, as it was given.
        inputs: The set of inputs on which outputs differ; None where inputs play no part.
        rtol: The tolerance that was asked for; None for that of each type.
    """

    def __init__(
        self,
        property: str,
        detail: str,
        *,
        what: str,
        proto: onnx.ModelProto,
        inputs: Inputs | None = None,
        rtol: float | None = None,
    ) -> None:
        super().__init__(property, detail)
        self.property = property
        self.detail = detail
        self.what = what
        self.proto = proto
        self.inputs = inputs
        self.rtol = rtol

    @property
    def model(self) -> ir.Model:
        """The model before, as it was given: a fresh copy."""
        return ir.from_proto(self.proto)

    @property
    def headline(self) -> str:
        """The pass, the property and what differs."""
        return f"{self.what} breaks {self.property!r}: {self.detail}"

    def __str__(self) -> str:
        text, whole = format_model(self.proto)
        name = "model.onnxtxt" if whole else "model.onnx"
        saved = "with this text in" if whole else "with the model saved by `failure.proto` in"
        return "\n\n".join([self.headline, shown(text, whole), f"{saved} {name}: {self.command(Path(name))}"])

    def command(self, model: Path, inputs: Path | None = None) -> str:
        """What to type into a shell to check the pass on a saved model."""
        return reproduce(self.what, model, inputs=inputs, rtol=self.rtol)


def reproduce(what: str, model: Path, *, inputs: Path | None = None, rtol: float | None = None) -> str:
    """The command that checks a pass on a saved model."""
    words: list[str] = ["graphopt", "check-pass", what, str(model)]
    words += [] if inputs is None else ["--inputs", str(inputs)]
    words += [] if rtol is None else ["--rtol", f"{rtol:g}"]
    return shlex.join(words)


def shown(text: str, whole: bool) -> str:
    """A model's text, cut where it is too long to read, with a line on what it leaves out."""
    if not text:
        return "(the model holds what text cannot say)"
    lines: Sequence[str] = text.rstrip().splitlines()
    if len(lines) > LINES_SHOWN:
        lines = [*lines[:LINES_SHOWN], f"... {len(lines) - LINES_SHOWN} more lines"]
    if not whole:
        lines = [*lines, "(the text does not hold all of the model: see the file)"]
    return "\n".join(lines)
