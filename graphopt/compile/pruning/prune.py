"""Prune a candidate to a goal: attempts at rates until latency or accuracy fit, and what is said of it.

Which channels go and how weights are fitted stands in the passes; here they are run, scored and measured.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from graphopt.compile.candidates import Made, Stages, Workshop
from graphopt.compile.choice import SECONDS, Choice, listed
from graphopt.compile.pruning.request import PRUNING, PruneRequest, prunable_groups
from graphopt.compile.quantization.accuracy import Evaluation, Scores
from graphopt.compile.quantization.request import Conditions
from graphopt.errors import GraphoptError, UsageError
from graphopt.execute import DATA_KEY, PROGRESS_KEY, Samples, bench
from graphopt.passes.pruning.prune_channels import CURVES_KEY
from graphopt.pipeline import FailedPassError
from graphopt.quant.metrics import Metric

HELD_OUT = 4
"""One sample of so many fits nothing, but is scored."""
MOST_ATTEMPTS = 6
"""Rates tried where a bound is set."""
CLOSE = 0.03
"""By so much of a rate of MACs or parameters, or of what stays, it may be missed."""
MOST_CORRECTIONS = 3
"""Times that a model is pruned anew for it."""
NAMES = {"macs": "MACs", "params": "parameters"}
NEAR = 0.02
"""By so much of the whole a latency may miss its goal."""


@dataclasses.dataclass
class Pruned:
    """What came of pruning.

    Attributes:
        choice: The pruned candidate, or the float one where none may be emitted.
        made: The pruned candidate; None where there is none.
        drop: How much of the metric it costs.
        evaluation: What scored it, to score others; None without data.
        unmet: What was asked for and is not reached; "" if nothing is.
    """

    choice: Choice
    made: Made | None
    drop: float
    evaluation: Evaluation | None
    unmet: str = ""


def prune(
    workshop: Workshop,
    base: Made,
    rival: Choice,
    request: PruneRequest,
    conditions: Conditions,
    samples: Samples | None,
    stages: Stages,
) -> Pruned:
    """Prune the float candidate.

    Args:
        workshop: Makes candidates.
        base: The float candidate in standard operators.
        rival: The choice of float, which stands if nothing may be pruned.
        request: What was asked for.
        conditions: Where the model will run, and how it is measured.
        samples: Calibration data; None without.
        stages: Where time is accounted for.

    Raises:
        UsageError: So much cannot go.
    """
    attempts = _Attempts(workshop, base, request, conditions, samples, stages)
    found: _Attempt | None
    if request.goal == "latency" and conditions.measure:
        found = attempts.to_latency()
    else:
        found = attempts.at(request.rate, request.goal)
    if request.max_drop is not None:
        found = attempts.within(found)
    if found is not None and request.goal != "latency":
        attempts.told_of(found, request.goal)
    notes = attempts.notes
    if found is None:
        choice = Choice(rival.made, rival.bench, rival.candidates, [*rival.notes, *notes])
        return Pruned(choice, None, 0.0, attempts.evaluation)
    choice = Choice(found.made, notes=notes)
    if conditions.measure:
        tried = [rival.made, found.made]
        with stages("measure"):
            measured = bench(
                [workshop.original, *(each.model for each in tried)], inputs=conditions.inputs,
                shapes=conditions.shapes, threads=conditions.threads, seconds=SECONDS,
            )  # fmt: skip
        choice = Choice(found.made, measured, listed(workshop, tried, measured, found.made), notes)
        if measured.slower(2, 1):
            notes.append("the pruned model measures slower than the float model: it is smaller only")
    drop = 0.0 if found.scores is None or math.isinf(found.scores.drop) else found.scores.drop
    return Pruned(choice, found.made, drop, attempts.evaluation, attempts.unmet)


@dataclasses.dataclass(frozen=True)
class _Attempt:
    rate: float
    made: Made
    scores: Scores | None


class _Attempts:
    """Prunes at rates, and scores."""

    def __init__(
        self,
        workshop: Workshop,
        base: Made,
        request: PruneRequest,
        conditions: Conditions,
        samples: Samples | None,
        stages: Stages,
    ) -> None:
        self.notes: list[str] = []
        self.unmet = ""
        self._curves: list[Any] = []
        self.evaluation: Evaluation | None = None
        self._workshop = workshop
        self._base = base
        self._request = request
        self._conditions = conditions
        self._stages = stages
        self._fitted: Iterable[Mapping[str, Any]] | None = None
        held_out: Iterable[Mapping[str, Any]] | None
        if samples is None:
            held_out = workshop.samples if isinstance(request.metric, Metric) else ()
            self.notes.append(
                "without calibration data channels are chosen by their weights, no weight makes up for them, "
                "and accuracy is told on what the model is checked with: --calibration keeps far more of it"
            )
        else:
            self._fitted, held_out = samples.split(HELD_OUT)
        if held_out is not None:
            with stages("account"):
                self.evaluation = Evaluation(
                    workshop.original, held_out, request.metric, threads=conditions.threads
                )

    def at(self, rate: float, goal: str) -> _Attempt:
        """The candidate pruned by a rate, and scored."""
        made = self._pruned(rate, goal) if goal == "latency" else self._pruned_to(rate, goal)
        if self.evaluation is None:
            return _Attempt(rate, made, None)
        with self._stages("account"):
            return _Attempt(rate, made, self.evaluation.score(made.model))

    def _pruned_to(self, rate: float, goal: str) -> Made:
        """The candidate that comes nearest to a rate of an amount.

        What the clean-up merges of layers that became equal is not foreseen where channels are chosen.
        """
        close = CLOSE * min(rate, 1.0 - rate)
        asked, best = rate, self._pruned(rate, goal)
        gone = self._gone(best, goal)
        nearest, low, high = abs(gone - rate), 0.0, 1.0
        for _ in range(MOST_CORRECTIONS):
            if nearest <= close:
                break
            low, high = (asked, high) if gone < rate else (low, asked)
            guess = asked * rate / max(gone, rate / 2)
            asked = guess if low < guess < high else (low + high) / 2
            try:
                made = self._pruned(asked, goal)
            except UsageError:
                break
            gone = self._gone(made, goal)
            if abs(gone - rate) < nearest:
                best, nearest = made, abs(gone - rate)
        return best

    def _gone(self, made: Made, goal: str) -> float:
        """The share of an amount that a candidate is without."""
        whole, left = (each.cost.macs if goal == "macs" else each.cost.params for each in (self._base, made))
        return 1.0 - left / max(whole, 1)

    def told_of(self, attempt: _Attempt, goal: str) -> None:
        """Say where a goal is not met closely."""
        gone = self._gone(attempt.made, goal)
        if abs(gone - attempt.rate) > CLOSE * min(attempt.rate, 1.0 - attempt.rate):
            self.notes.append(
                f"{gone:.1%} of the {NAMES[goal]} are gone, {attempt.rate:.1%} were asked for: channels go "
                "whole, and no choice of them was found that comes nearer"
            )

    def _pruned(self, rate: float, goal: str) -> Made:
        """The candidate that passes make at a rate.

        Raises:
            UsageError: Nothing was pruned.
        """
        meta: dict[str, Any] = {PROGRESS_KEY: self._progress, CURVES_KEY: self._curves}
        if self._fitted is not None:
            meta[DATA_KEY] = self._fitted
        try:
            with self._stages("prune"):
                made = self._workshop.extend(
                    self._base, "pruned", self._request.passes(rate, goal), equal=False, meta=meta
                )
        except FailedPassError as failure:
            hint = failure.__cause__.hint if isinstance(failure.__cause__, GraphoptError) else None
            raise UsageError(f"nothing was pruned: {failure.reason}", hint=hint) from failure
        ran = [each for each in made.records if each.name.partition("{")[0] == PRUNING]
        if not any(record.changes for record in ran):
            prunable_groups(made.model)
            raise UsageError(
                f"nothing was pruned: {rate:g} of the {NAMES.get(goal, goal)} is less than any channel takes",
                hint="ask for more",
            )
        return made

    def _progress(self, done: int, total: int) -> None:
        self._stages.tell(f"prune: layers fitted in turn {done + 1} of {total}")

    def to_latency(self) -> _Attempt:
        """The candidate that measures nearest to the latency asked for, by rates of MACs."""
        goal = 1.0 - self._request.rate
        low, high = 0.0, 1.0
        rate = self._request.rate
        best: tuple[float, _Attempt] | None = None
        by = "latency"
        for _ in range(MOST_ATTEMPTS):
            try:
                attempt = self.at(rate, by)
            except UsageError:
                if by == "macs":
                    high = rate
                    rate = (low + high) / 2
                by = "macs"
                continue
            by = "macs"
            ratio = self._ratio(attempt)
            if best is None or abs(ratio - goal) < abs(best[0] - goal):
                best = ratio, attempt
            if abs(ratio - goal) <= NEAR:
                break
            done = 1.0 - attempt.made.cost.macs / max(self._base.cost.macs, 1)
            low, high = (max(low, done), high) if ratio > goal else (low, min(high, done))
            guess = done * self._request.rate / max(1.0 - ratio, 0.05)
            rate = guess if low < guess < high else (low + high) / 2
        if best is None:
            raise UsageError(
                f"no latency is {self._request.rate:g} below", hint="a lower rate, or another goal, may go"
            )
        ratio, attempt = best
        if abs(ratio - goal) > NEAR:
            told = f"{1 - ratio:.0%} less latency was measured, {self._request.rate:.0%} less was asked for"
            self.notes.append(told)
            self.unmet = told if ratio > goal else ""
        return attempt

    def _ratio(self, attempt: _Attempt) -> float:
        with self._stages("measure"):
            measured = bench(
                [self._base.model, attempt.made.model], inputs=self._conditions.inputs,
                shapes=self._conditions.shapes, threads=self._conditions.threads, seconds=SECONDS,
            )  # fmt: skip
        return measured.ratio(1).median

    def within(self, attempt: _Attempt) -> _Attempt | None:
        """The candidate pruned as far as the drop allows, at most as far as the given one; None without."""
        most = self._request.max_drop
        assert most is not None
        if attempt.scores is None:
            self.notes.append("no data tell how much of the metric pruning costs, so max_drop is not kept")
            return attempt
        if attempt.scores.drop <= most:
            return attempt
        low, high = 0.0, attempt.rate
        best: _Attempt | None = None
        for _ in range(MOST_ATTEMPTS - 1):
            rate = (low + high) / 2
            tried = self.at(rate, self._request.goal)
            if tried.scores is not None and tried.scores.drop <= most:
                best, low = tried, rate
            else:
                high = rate
        lost = f"costs {attempt.scores.drop:.4g} of {attempt.scores.metric}"
        asked = f"{self._request.goal}={self._request.rate:g} {lost}"
        if best is None:
            self.notes.append(f"{asked}, more than max_drop, and so do lower rates: nothing is pruned")
        else:
            self.notes.append(f"{asked}, more than max_drop: pruned by {best.rate:.3g} instead")
        return best
