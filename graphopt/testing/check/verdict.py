"""The answers of `graphopt check-pass`: whether a pass holds on a file, or on generated models.

Where it does not, the model is reduced and saved.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from graphopt.execute import load_inputs
from graphopt.io import load
from graphopt.report.units import plural
from graphopt.testing.check.check import check_pass
from graphopt.testing.check.content import whole
from graphopt.testing.check.failure import PassFailure
from graphopt.testing.check.many import tally_up
from graphopt.testing.check.reduced import reduce_failure
from graphopt.testing.check.reference import Reference
from graphopt.testing.check.saved import SavedFailure, save_failure
from graphopt.testing.check.subject import Subject
from graphopt.testing.text import format_model

REASONS_SHOWN = 5

Tell = Callable[[str], object]
"""Called with what is being done."""


@dataclasses.dataclass(frozen=True)
class Kept:
    """Every property holds.

    Attributes:
        where: The file, or the seeds.
        models: Number of models.
        changed: Number of models in which the pass found something to do.
        changes: Number of changes.
        unchecked: Property and reason -> on how many models it could not be looked at.
        untested: That the models generated were none for the pass, and how to have others; "" if some were.
    """

    where: str
    models: int
    changed: int
    changes: int
    unchecked: Counter[tuple[str, str]]
    untested: str = ""

    holds = True

    def lines(self) -> Iterator[str]:
        """The answer for people."""
        counted = self.changes or not self.changed
        found = plural(self.changes, "change") if counted else "changes, which it does not count"
        every = "every property that could be checked" if self.unchecked else "every property"
        if self.models == 1:
            yield f"{every} holds on {self.where}: {found}"
        else:
            yield f"{every} holds on {plural(self.models, 'model')}, {self.where}"
            yield f"{found}, on {self.changed} of them"
        for (name, reason), count in self.unchecked.most_common(REASONS_SHOWN):
            yield f"{name} not checked{f' on {count}' if self.models > 1 else ''}: {reason}"
        if self.untested:
            yield self.untested

    def to_dict(self) -> dict[str, Any]:
        """The answer for programs."""
        unchecked = [
            {"property": name, "reason": reason, "models": count}
            for (name, reason), count in self.unchecked.most_common()
        ]
        counts = {"models": self.models, "changed": self.changed, "changes": self.changes}
        return {"where": self.where, "holds": True, **counts, "unchecked": unchecked}


@dataclasses.dataclass(frozen=True)
class Failed:
    """A property does not hold.

    Attributes:
        where: The file, or the seed.
        failure: As it was found.
        saved: The same on the smallest model found, on disk.
    """

    where: str
    failure: PassFailure
    saved: SavedFailure

    holds = False

    def lines(self) -> Iterator[str]:
        """The answer for people."""
        yield f"{self.failure.what} breaks {self.failure.property!r} on {self.where}: {self.failure.detail}"
        if self.saved.failure.detail != self.failure.detail:
            yield f"on the smallest model found: {self.saved.failure.detail}"
        yield ""
        yield self.saved.text

    def to_dict(self) -> dict[str, Any]:
        """The answer for programs."""
        smallest = self.saved.failure
        return {
            "where": self.where,
            "holds": False,
            "property": self.failure.property,
            "detail": self.failure.detail,
            "smallest": {
                "detail": smallest.detail,
                "text": format_model(smallest.proto)[0],
                "file": str(self.saved.model),
                "inputs": None if self.saved.inputs is None else str(self.saved.inputs),
                "command": self.saved.command,
            },
        }


def on_file(
    subject: Subject, path: Path, *, inputs: Path | None, rtol: float | None, folder: Path, tell: Tell
) -> Kept | Failed:
    """Check a pass on the model of a file.

    Args:
        subject: The pass.
        path: The file.
        inputs: Data to compare outputs on; made to fit by default.
        rtol: See `check_pass`.
        folder: Where to save the smallest model that fails.
        tell: Told what is done.

    Raises:
        LoadError, ModelError: The file holds no valid model.
        UsageError: The inputs do not fit it.
    """
    tell(f"checking {subject.text} on {path.name}")
    model = load(path)
    sets = None if inputs is None else [one.values for one in load_inputs(inputs, model)]
    try:
        run = check_pass(subject, Reference(model, inputs=sets, rtol=rtol))
    except PassFailure as failure:
        tell(f"reducing the model on which {failure.what} fails")
        smallest = reduce_failure(failure)
        if whole(smallest.proto) == whole(failure.proto):
            return Failed(str(path), failure, SavedFailure(smallest, path, inputs, is_new=False))
        return Failed(str(path), failure, save_failure(smallest, folder, f"{failure.what}-{path.stem}"))
    return Kept(str(path), 1, int(run.changed), run.changes, Counter(run.unchecked.items()))


def on_generated(
    subject: Subject, *, examples: int, seed: int, bounds: Mapping[str, Any], folder: Path, tell: Tell
) -> Kept | Failed:
    """Check a pass on generated models, up to the first on which a property does not hold.

    Args:
        subject: The pass.
        examples: Number of models.
        seed: Of the first.
        bounds: See `check_pass_on_models`.
        folder: Where to save the smallest model that fails.
        tell: Told what is done.

    Raises:
        UsageError: The bounds make no sense.
    """

    def watch(number: int) -> None:
        tell(f"checking {subject.text}: model {number + 1} of {examples}")

    try:
        tally = tally_up(subject, examples=examples, seed=seed, watch=watch, **bounds)
    except PassFailure as failure:
        tell(f"reducing the model on which {failure.what} fails")
        saved = save_failure(reduce_failure(failure), folder, f"{failure.what}-{failure.origin}")
        return Failed(f"the model of {failure.origin}", failure, saved)
    seeds = f"seed {seed}" if examples == 1 else f"seeds {seed} to {seed + examples - 1}"
    untested = tally.nothing_tested(subject, "--ops A,B")
    return Kept(seeds, tally.models, tally.changed, tally.changes, tally.unchecked, untested)
