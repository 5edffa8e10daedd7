"""untouched: the model given to a functional pass stays as it is, and so do tensors, which copies share."""

from __future__ import annotations

from graphopt.testing.check.content import whole
from graphopt.testing.check.failure import Broken
from graphopt.testing.check.trial import Trial


def original_untouched(trial: Trial) -> None:
    """Look at the original after the run.

    Raises:
        Broken: It is not what it was.
    """
    if whole(trial.reference.model) != trial.reference.serialized:
        raise Broken("the elements of a constant were changed in place; other copies of the model share them")
    if trial.subject.leaves_input and whole(trial.given) != trial.reference.serialized:
        raise Broken("the pass promises to leave the model that it is given, and changed it")
