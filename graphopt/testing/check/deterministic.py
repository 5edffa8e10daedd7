"""deterministic: two runs on copies of one model give the same bytes."""

from __future__ import annotations

from graphopt.testing.check.content import whole
from graphopt.testing.check.failure import Broken
from graphopt.testing.check.trial import Trial, attempt


def same_twice(trial: Trial) -> None:
    """Run on a fresh copy of the original and compare all that would be saved.

    Raises:
        Broken: The outcomes differ.
    """
    again = attempt(trial.subject, trial.reference.fresh(), "another run")
    if trial.serialized != whole(again.model):
        raise Broken("two runs on copies of the model give different models")
