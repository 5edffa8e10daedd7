"""count: a pass says that it changed something where it did, and nowhere else."""

from __future__ import annotations

from graphopt.testing.check.failure import Broken, Unchecked
from graphopt.testing.check.trial import Trial


def honest_count(trial: Trial) -> None:
    """Hold the count against the content.

    A pass of another project may say "modified" where it changed metadata or claims alone.

    Raises:
        Broken: The count is dishonest.
        Unchecked: A function claims nothing.
    """
    counted = trial.outcome.counted
    if counted is None:
        raise Unchecked("a function does not say what it changed")
    changed = trial.reference.content != trial.content_after
    if counted and not changed and trial.subject.is_foreign:
        changed = not trial.unchanged
    if changed != (counted > 0):
        raise Broken(f"{counted} changes counted, model changed: {changed}")
