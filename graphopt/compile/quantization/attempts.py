"""Make quantized candidates of one model, score them, and measure them side by side.

Which nodes they leave in float is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from graphopt.compile.candidates import Made, Stages, Workshop
from graphopt.compile.levels import aimed
from graphopt.compile.quantization.accuracy import Evaluation, Scores
from graphopt.compile.quantization.idle import why_idle
from graphopt.compile.quantization.request import Conditions, Request
from graphopt.compile.quantization.schemes import QuantizationScheme
from graphopt.errors import PassError
from graphopt.execute import DATA_KEY, PROGRESS_KEY, BenchResult, Samples, bench
from graphopt.ir import infer_shapes
from graphopt.pipeline import FailedPassError, Pass, Pipeline, Record
from graphopt.targets import Target

AIMED_SQNR = 20.0
"""Decibels to reach with layers in float, where nobody says how much accuracy may be lost: cosine 0.995."""
LEAST_SQNR = 10.0
"""Decibels below which a model counts as broken then."""
SEARCH_SECONDS = 120.0
"""Time for the search, unless another is asked for."""
HELD_OUT = 4
"""One sample of so many is not calibrated on, but scored."""
HELPERS = ("smooth-quant", "round-weights")
"""Passes of a preparation that make the outcome more accurate, and may be left out."""
HELPERS_UNTIL = 0.5
"""Share of a time that was asked for after which none of them is begun."""
FOR_ACCURACY = "accuracy needs it in float"
"""Why a node is kept in float whose weights are not to be codes either."""
TRIAL_SECONDS = 0.8
"""Time to measure one of several candidates for."""
MOST_EMITTED = 8
"""Models of which what the last passes make is remembered."""


@dataclasses.dataclass(frozen=True)
class Attempt:
    """A quantized candidate.

    Attributes:
        scheme: How it was quantized.
        base: The float candidate that it was made of.
        made: The candidate.
        scores: Its accuracy; None if nobody can tell.
        keep: Nodes left in float, and why.
        noise: Noise over signal at the outputs that quantizing a node alone makes, where that was measured.
    """

    scheme: QuantizationScheme
    base: Made
    made: Made
    scores: Scores | None
    keep: Mapping[str, str]
    noise: Mapping[str, float] = dataclasses.field(default_factory=dict)


def converting(made: Made, base: Made) -> list[Record]:
    """The runs of the pass that quantizes; a second one stands behind what the first one asked for."""
    records = made.records[len(base.records) :]
    return [record for record in records if record.name == records[0].name]


class Attempts:
    """Makes and judges attempts.

    Args:
        workshop: Makes candidates.
        request: What was asked for.
        conditions: Where the model will run, and how it is measured.
        samples: Calibration data; None without.
        reference: The float candidate that accuracy is measured against.
        stages: Where time is accounted for.

    Attributes:
        notes: What a user should know.
        idle: What there is to say of schemes that changed nothing, by name.
    """

    def __init__(
        self,
        workshop: Workshop,
        request: Request,
        conditions: Conditions,
        samples: Samples | None,
        reference: Made,
        stages: Stages,
    ) -> None:
        self.notes: list[str] = []
        self.idle: dict[str, str] = {}
        self._workshop = workshop
        self._request = request
        self._conditions = conditions
        calibration, held_out = (None, None) if samples is None else samples.split(HELD_OUT)
        self._calibration = calibration
        self._held_out = held_out
        self._reference = reference
        self._stages = stages
        self._evaluation: Evaluation | None = None
        self._emitted: list[tuple[ir.Model, ir.Model]] = []
        self._budget = SEARCH_SECONDS if request.time_budget is None else request.time_budget
        self._begun = time.perf_counter()

    def in_parts(self, scheme: QuantizationScheme, base: Made) -> Made:
        """The float candidate without what is fused of parts that alone run on codes."""
        fusing = Target.load(self._conditions.target).fused_in_float
        fused = any(each.changes and each.name.partition("{")[0] in fusing for each in base.records)
        if not (fused and scheme.on_codes):
            return base
        return self._workshop.make(f"{base.name} in parts", base.pipeline.without(*fusing))

    def prepare(self, scheme: QuantizationScheme, base: Made) -> Made:
        """The float candidate in the form that a scheme starts from, with the ranges it needs."""
        text = scheme.preparation()
        if not text:
            return base
        made = base
        with self._stages("calibrate"):
            for item in Pipeline.parse(text).items:
                assert isinstance(item, Pass)
                helps = item.name in HELPERS
                if helps and self._request.time_budget is not None and self._spent() > HELPERS_UNTIL:
                    self.notes.append(f"{item.name} was left out for lack of time")
                    continue
                step = Pipeline((item,))
                try:
                    made = self._extend(made, f"{scheme.name} in float", step, equal=not item.lossy)
                except FailedPassError as error:
                    if not helps:
                        raise
                    self.notes.append(f"{item.name} was left out: {error.reason}")
        return made

    def convert(
        self, scheme: QuantizationScheme, base: Made, keep: Mapping[str, str] | None = None
    ) -> Attempt | None:
        """Quantize all but some nodes; None if that changes nothing.

        Args:
            scheme: How.
            base: What `prepare` made for the scheme.
            keep: Names of nodes to leave in float, and why.
        """
        keep = dict(keep or {})
        made = self._converted(scheme, base, keep)
        return None if made is None else Attempt(scheme, base, made, self._scored(made), keep)

    def without(self, attempt: Attempt, keep: Mapping[str, str]) -> Attempt | None:
        """The attempt with further nodes left in float; None if it has none left to quantize."""
        return self.convert(attempt.scheme, attempt.base, {**attempt.keep, **keep})

    def noise_without(self, attempt: Attempt, keep: Mapping[str, str]) -> float | None:
        """Noise over signal at the outputs with further nodes left in float; None if nobody can tell."""
        made = self._converted(attempt.scheme, attempt.base, {**attempt.keep, **keep})
        evaluation = self._evaluated()
        if made is None or evaluation is None:
            return None
        with self._stages("score"):
            return evaluation.noise(made.model)

    def is_accurate(self, attempt: Attempt) -> bool:
        """Whether an attempt is as accurate as it should be: nothing needs to be taken back for that."""
        return self._within(attempt, AIMED_SQNR)

    def is_usable(self, attempt: Attempt) -> bool:
        """Whether an attempt may be emitted."""
        return self._within(attempt, LEAST_SQNR)

    def measure(self, models: Sequence[ir.Model], threads: int | None = None) -> BenchResult:
        """Latencies side by side, with as many threads as the conditions say or as given.

        Models are measured as they are emitted: as the target's last passes make them.
        """
        under = self._conditions
        with self._stages("measure"):
            return bench(
                [self._as_emitted(model) for model in models],
                inputs=under.inputs, shapes=under.shapes, threads=threads or under.threads,
                seconds=TRIAL_SECONDS * len(models),
            )  # fmt: skip

    def _as_emitted(self, model: ir.Model) -> ir.Model:
        if not self._conditions.last.items:
            return model
        for known, emitted in self._emitted:
            if known is model:
                return emitted
        emitted = model.clone()
        infer_shapes(emitted)
        with contextlib.suppress(PassError):  # such a model is emitted without
            emitted = self._conditions.last.run(emitted).model
        self._emitted = [*self._emitted[-MOST_EMITTED:], (model, emitted)]
        return emitted

    @property
    def held_out(self) -> Iterable[Mapping[str, Any]] | None:
        """What attempts are scored on: samples that were not calibrated on, as far as there are some."""
        return self._workshop.samples if self._held_out is None else self._held_out

    def out_of_time(self) -> bool:
        """Whether the best found so far has to do."""
        over = self._spent() > 1.0
        if over and not any(note.startswith("the search") for note in self.notes):
            self.notes.append("the search took all its time, and the best found by then stands")
        return over

    def _spent(self) -> float:
        """The share of the time that is over."""
        spent = time.perf_counter() - self._begun
        return spent / self._budget if self._budget else math.inf

    def _extend(self, base: Made, name: str, pipeline: Pipeline, *, equal: bool) -> Made:
        meta: dict[str, Any] = {PROGRESS_KEY: self._say_progress}
        if self._calibration is not None:
            meta[DATA_KEY] = self._calibration
        pipeline = aimed(pipeline, self._conditions.target)
        return self._workshop.extend(base, name, pipeline, equal=equal, meta=meta)

    def _say_progress(self, done: int, total: int) -> None:
        self._stages.tell(f"calibrate, run {done} of {total}")

    def _within(self, attempt: Attempt, decibels: float) -> bool:
        """Whether an attempt loses no more than was said or, where nothing was, is no noisier than that."""
        scores = attempt.scores
        if scores is None:
            return True
        if scores.fault:
            return False
        if self._request.max_drop is None:
            return attempt.scheme.as_asked or scores.worst_sqnr >= decibels
        return scores.drop <= self._request.max_drop

    def _converted(self, scheme: QuantizationScheme, base: Made, keep: Mapping[str, str]) -> Made | None:
        with self._stages("quantize"):
            exact = sorted(name for name, reason in keep.items() if reason == FOR_ACCURACY)
            made = self._extend(base, scheme.name, scheme.conversion(sorted(keep), exact), equal=False)
        runs = made.records[len(base.records) :] if scheme.as_asked else converting(made, base)
        if any(run.changes for run in runs):
            return made
        told = runs if scheme.as_asked else runs[-1:]
        refused = Counter({reason: count for run in told for reason, count in run.refusals.items()})
        reasons = [f"{count}x {reason}" for reason, count in refused.most_common(3)]
        if not reasons and not scheme.as_asked:
            reasons = [why_idle(base.model)]
        what = "changed nothing" if scheme.as_asked else "found nothing to quantize"
        self.idle[scheme.name] = f"{scheme.name} {what}" + f": {', '.join(reasons)}" * bool(reasons)
        return None

    def _scored(self, made: Made) -> Scores | None:
        evaluation = self._evaluated()
        with self._stages("score"):
            return None if evaluation is None else evaluation.score(made.model)

    def _evaluated(self) -> Evaluation | None:
        if self._evaluation is None and self.held_out is not None:
            with self._stages("score"):
                self._evaluation = Evaluation(
                    self._reference.model,
                    self.held_out,
                    self._request.metric,
                    threads=self._conditions.threads,
                )
        return self._evaluation
