"""What is raised when a pass breaks a property: which, how, on which model, and how to see it again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import onnx
import onnx_ir as ir

from graphopt.testing.check.subject import Subject
from graphopt.testing.inputs import INPUTS_KEY, Inputs
from graphopt.testing.text import format_model

LINES_SHOWN = 100
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
        subject: The pass.
        proto: The model before, as it was given.
        inputs: The set of inputs on which outputs differ, or one on which the model runs; None if nobody
            could run it.
        rtol: The tolerance that was asked for; None for that of each type.
        origin: Where the model comes from, or "".
        report: What is shown instead of the model and the command, once the model was reduced and saved.
    """

    def __init__(
        self,
        property: str,
        detail: str,
        *,
        subject: Subject,
        proto: onnx.ModelProto,
        inputs: Inputs | None = None,
        rtol: float | None = None,
    ) -> None:
        super().__init__(property, detail)
        self.property = property
        self.detail = detail
        self.subject = subject
        self.proto = proto
        self.inputs = inputs
        self.rtol = rtol
        self.origin = ""
        self.report = ""

    @property
    def what(self) -> str:
        """The pass as the command line takes it."""
        return self.subject.text

    @property
    def model(self) -> ir.Model:
        """The model before, as it was given: a fresh copy, which carries the inputs."""
        model = ir.from_proto(self.proto)
        if self.inputs is not None:
            model.meta[INPUTS_KEY] = [dict(self.inputs)]
        return model

    @property
    def headline(self) -> str:
        """The pass, the property and what differs."""
        origin = f" on the model of {self.origin}" if self.origin else ""
        return f"{self.what} breaks {self.property!r}{origin}: {self.detail}"

    def __str__(self) -> str:
        return f"{self.headline}\n\n{self.report or self._unsaved()}"

    def _unsaved(self) -> str:
        """The model, and the command once somebody saves it."""
        text, whole = format_model(self.proto)
        name = "model.onnxtxt" if whole else "model.onnx"
        how = "with this text in" if whole else "with `onnx.save(failure.proto, path)` in"
        return f"{shown(text, whole)}\n\n{how} {name}:\n{self.command(Path(name))}"

    def command(self, model: Path, inputs: Path | None = None) -> str:
        """What to type into a shell to check the pass on a saved model."""
        words = ["graphopt", "check-pass"]
        words += [] if inputs is None else ["--inputs", str(inputs)]
        words += [] if self.rtol is None else ["--rtol", f"{self.rtol:g}"]
        seconds = self.subject.pass_timeout
        words += [] if seconds is None else ["--pass-timeout", f"{seconds:g}"]
        words += ["--"] if self.what.startswith("-") else []
        words += [self.what, str(model)]
        hidden = "<locals>" in self.what or "<lambda>" in self.what
        return shlex.join(words) + ("  # once the pass stands in a module of its own" if hidden else "")


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
