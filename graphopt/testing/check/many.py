"""Check a pass on many generated models."""

from __future__ import annotations

import dataclasses
import warnings
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


class NothingTestedWarning(UserWarning):
    """A pass was checked on generated models and changed none of them."""


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

    def nothing_tested(self, subject: Subject, remedy: str) -> str:
        """That the pass changed none of the models, and how to have others; "" where it did."""
        if self.changed:
            return ""
        none = "not the one model" if self.models == 1 else f"none of {self.models} models"
        told = f"{subject.text} changed {none}, so nothing was tested"
        return f"{told}: name the operators it looks for ({remedy})"


def check_pass_on_models(
    what: PassLike | Subject,
    *,
    examples: int = EXAMPLES,
    seed: int = 0,
    ops: Sequence[str] = (),
    rtol: float | None = None,
    pass_timeout: float | None = None,
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
        pass_timeout: See `check_pass`.
        watch: Called before each model with its number.
        **bounds: What else the models may be: see `graphopt.testing.generate.Spec`.

    Raises:
        PassFailure: On the first model on which a property does not hold; `.origin` names its seed.
        UsageError: The bounds make no sense, or no model fits them.

    Warns:
        NothingTestedWarning: The pass changed no model.
    """
    __tracebackhide__ = True
    subject = Subject.of(what)
    tally = tally_up(
        subject, examples=examples, seed=seed, ops=ops, rtol=rtol, pass_timeout=pass_timeout, watch=watch,
        **bounds,
    )  # fmt: skip
    warn_of_nothing(subject, tally)
    return tally


def warn_of_nothing(subject: Subject, tally: Tally) -> None:
    """Warn the caller's caller where a pass changed no model.

    Warns:
        NothingTestedWarning: It did not.
    """
    if told := tally.nothing_tested(subject, "ops=[...]"):
        warnings.warn(f"{told} or opsets", NothingTestedWarning, stacklevel=3)


def tally_up(
    subject: Subject,
    *,
    examples: int,
    seed: int,
    watch: Callable[[int], object] | None = None,
    ops: Sequence[str] = (),
    rtol: float | None = None,
    pass_timeout: float | None = None,
    **bounds: Any,
) -> Tally:
    """`check_pass_on_models`, which leaves it to the caller to tell that nothing was tested."""
    __tracebackhide__ = True
    if examples < 1:
        raise UsageError(f"examples is {examples}, expected 1 or more")
    spec = Spec.of({"ops": ops, **bounds})
    directed = spec if subject.pipeline is None else aimed(spec, subject.pipeline)
    subject = subject.within(pass_timeout)
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
        tally.changed += run.changed
        tally.unchecked.update(run.unchecked.items())
    if not tally.models:
        raise UsageError("no model could be generated", hint="allow more operators or other opsets")
    return tally
