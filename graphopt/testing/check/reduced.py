"""From a failure to the smallest model that shows it."""

from __future__ import annotations

import time

import onnx_ir as ir

from graphopt.errors import GraphoptError
from graphopt.testing.check.check import check_pass
from graphopt.testing.check.failure import PassFailure
from graphopt.testing.check.reference import Reference
from graphopt.testing.reduce import Progress, reduce

SECONDS = 60.0
"""After so long the smallest model found so far must do."""


def reduce_failure(failure: PassFailure, *, jobs: int = 1, seconds: float = SECONDS) -> PassFailure:
    """The same failure (of the same property) on a smaller model.

    Args:
        failure: As `check_pass` raised it.
        jobs: Candidates tried at a time.
        seconds: After so long it is given up to look for a smaller one.

    Returns:
        The failure on the smallest model found; the same failure where none smaller was found.
    """
    found = failure
    deadline = time.monotonic() + seconds

    def still_fails(model: ir.Model) -> bool:
        nonlocal found
        again = _failure_on(model, failure)
        if again is None:
            return False
        found = again
        return True

    def watch(progress: Progress) -> None:
        if time.monotonic() > deadline:
            raise _OutOfTimeError

    try:
        smallest = reduce(failure.model, still_fails, jobs=jobs, progress=watch)
    except _OutOfTimeError:
        return found
    except GraphoptError:  # it comes and goes, or the model is odd
        return failure
    return _failure_on(smallest, failure) or found


class _OutOfTimeError(Exception):
    pass


def _failure_on(model: ir.Model, original: PassFailure) -> PassFailure | None:
    """The failure of the same property on another model, if it is there."""
    try:
        check_pass(original.subject, Reference(model, rtol=original.rtol))
    except PassFailure as failure:
        failure.origin = ""
        return failure if failure.property == original.property else None
    return None
