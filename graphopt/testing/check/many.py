"""Check a pass on many generated models."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from graphopt.errors import UsageError
from graphopt.testing.aim import aimed
from graphopt.testing.check.check import check_pass
from graphopt.testing.check.failure import PassFailure
from graphopt.testing.check.reference import Reference
from graphopt.testing.check.subject import PassLike, Subject
from graphopt.testing.generate import Spec, Unfit, generate_model

EXAMPLES = 100


@dataclasses.dataclass
class Tally:
    """What came of checking a pass on many models.

    Attributes:
        models: Number of models.
        changed: In how many of them the pass found something to do: one that never does is not tested.
        changes: Number of changes.
        unchecked: Property and reason -> on how many models it could not be looked at.
    """

    models: int = 0
    changed: int = 0
    changes: int = 0
    unchecked: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)


def check_pass_on_models(
    what: PassLike | Subject,
    *,
    examples: int = EXAMPLES,
    seed: int = 0,
    ops: Sequence[str] = (),
    rtol: float | None = None,
    watch: Callable[[int], object] | None = None,
    **bounds: Any,
) -> Tally:
    """Run a pass on generated models and hold it to every property on each.

    Models of odd seeds are generated for it (see `graphopt.testing.aim`), if it is a pass or pipeline.

    Args:
        what: See `check_pass`.
        examples: Number of models.
        seed: Of the first; each has a seed of its own, one more than the last.
        ops: Operators to build models of; () for all of the standard.
        rtol: See `check_pass`.
        watch: Called before each model with its number.
        **bounds: What else the models may be: see `graphopt.testing.generate.Spec`.

    Raises:
        PassFailure: On the first model on which a property does not hold; `.origin` names its seed.
        UsageError: The bounds make no sense, or no model fits them.
    """
    __tracebackhide__ = True
    subject = Subject.of(what)
    if examples < 1:
        raise UsageError(f"examples is {examples}, expected 1 or more")
    spec = Spec.of({"ops": ops, **bounds})
    directed = spec if subject.pipeline is None else aimed(spec, subject.pipeline)
    tally = Tally()
    for number in range(examples):
        if watch is not None:
            watch(number)
        try:
            model = generate_model(seed + number, directed if (seed + number) % 2 else spec)
            run = check_pass(subject, Reference(model, rtol=rtol))
        except Unfit:
            continue
        except PassFailure as failure:
            failure.origin = f"seed {seed + number}"
            raise
        tally.models += 1
        tally.changes += run.changes
        tally.changed += bool(run.changes)
        tally.unchecked.update(run.unchecked.items())
    if not tally.models:
        raise UsageError("no model could be generated", hint="allow more operators or other opsets")
    return tally
