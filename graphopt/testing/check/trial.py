"""One run of a pass on one model: what the properties look at."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import onnx
import onnx_ir as ir

from graphopt.errors import VerificationError
from graphopt.pipeline import FailedPassError, Record
from graphopt.testing.check.content import content, whole
from graphopt.testing.check.failure import Broken
from graphopt.testing.check.place import from_theirs, place_of, raised
from graphopt.testing.check.reference import Reference
from graphopt.testing.check.subject import Outcome, Subject


@dataclasses.dataclass
class Trial:
    """What a pass made of a model.

    Attributes:
        subject: The pass.
        reference: The model.
        given: The very object that the pass was run on.
        outcome: What it left.
        settled: One run must leave nothing for a second.
        proto: The outcome serialized; set when it was found valid.
        inputs: The set of inputs on which the outputs were found to differ.
    """

    subject: Subject
    reference: Reference
    given: ir.Model
    outcome: Outcome
    settled: bool = True
    proto: onnx.ModelProto = dataclasses.field(default_factory=onnx.ModelProto)
    inputs: dict[str, Any] | None = None

    @property
    def before(self) -> ir.Model:
        """The model before, shapes inferred."""
        return self.reference.model

    @property
    def after(self) -> ir.Model:
        """The model after."""
        return self.outcome.model

    @property
    def records(self) -> list[Record]:
        """The records of the run."""
        return self.outcome.records

    @cached_property
    def serialized(self) -> bytes:
        """All of the outcome."""
        return whole(self.proto)

    @property
    def unchanged(self) -> bool:
        """The model is the same to its last byte."""
        return self.serialized == self.reference.serialized

    @cached_property
    def content_after(self) -> bytes:
        """What the model computes after."""
        return content(self.proto)


def attempt(subject: Subject, model: ir.Model, which: str = "") -> Outcome:
    """raises: the pass comes to an end, and so does every other run of it.

    Args:
        subject: The pass.
        model: Given to it; may be changed.
        which: Which run this is, for the message; "" for the first.

    Raises:
        Broken: It raised, or a pass inside left an invalid graph. Its cause is what the pass raised, and
            nothing where that says no more.
    """
    prefix = f"{which}: " if which else ""
    try:
        return subject.run(model)
    except FailedPassError as error:
        reason = error.reason if error.seconds is None else f"it did not end after {error.seconds:g} s"
        told = prefix + (reason if subject.settles else f"pass {error.name}: {reason}")
        if (broken := _kind(error)) != "raises" or error.over_time or error.__cause__ is None:
            raise Broken(told, broken) from None
        raise _raised(told, error.__cause__, subject) from from_theirs(raised(error.__cause__), subject)
    except Exception as error:
        told = f"{prefix}{type(error).__name__}: {error}"
        raise _raised(told, error, subject) from from_theirs(error, subject)


def _raised(told: str, error: BaseException, subject: Subject) -> Broken:
    place = place_of(raised(error), subject)
    return Broken(f"{told} ({place})" if place else told, "raises")


def _kind(error: FailedPassError) -> str:
    """The property that is broken where a pipeline stops: it looks at the outcome of each pass itself."""
    if error.__cause__ is not None:
        return "valid" if isinstance(error.__cause__, VerificationError) else "raises"
    return "interface" if error.reason.startswith(("the inputs", "the outputs")) else "valid"
