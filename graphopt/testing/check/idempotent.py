"""idempotent: a second run finds nothing left to do."""

from __future__ import annotations

from graphopt.io import to_proto
from graphopt.testing.check.content import content
from graphopt.testing.check.failure import Broken, Unchecked
from graphopt.testing.check.trial import Trial, attempt


def nothing_left(trial: Trial) -> None:
    """Run once more, on a copy of the outcome.

    Raises:
        Broken: The second run counts changes, or changes the model.
        Unchecked: Passes in a row promise no fixed point.
    """
    if not trial.settled:
        raise Unchecked("several passes in a row may leave work for each other")
    if trial.unchanged:
        return  # it would be the first run again
    again = attempt(trial.subject, trial.after.clone(), "a second run")
    changed = content(to_proto(again.model)) != trial.content_after
    left = [(record.name, dict(record.hits)) for record in again.records if record.changes]
    if left and (changed or not trial.subject.is_foreign):
        raise Broken(f"a second run finds more to do: {left}")
    if changed:
        raise Broken("a second run changes the model again")
