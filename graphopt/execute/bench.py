"""Measure models side by side in onnxruntime: interleaved, paired rounds, medians and ratios with spread.

Times on shared machines drift by more than the differences that matter, so only ratios of runs made right
after each other are trusted. It measures and states; it never changes or chooses a model.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from graphopt.execute.inputs import InputSet, representative_inputs
from graphopt.execute.session import ModelLike, Session, open_model
from graphopt.execute.userdata import fit_inputs

_SAMPLE_SECONDS = 0.002
"""A sample lasts at least this long: fast models are run several times per sample."""
_WARM_UP_RUNS = 3
_MOST_ROUNDS = 2000
_FEWEST_ROUNDS = 3
_RESAMPLES = 1000
_CONFIDENCE = 0.99
_MARGIN = 0.005
"""A difference below half a percent is no difference."""


@dataclass(frozen=True)
class Ratio:
    """Time of one model over that of another, pair by pair.

    Attributes:
        median: Median of the pairs; above 1 is slower.
        quartiles: First and third quartile of the pairs.
        interval: Bootstrap interval (99%) of the median.
    """

    median: float
    quartiles: tuple[float, float]
    interval: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "median": self.median,
            "quartiles": list(self.quartiles),
            "interval": list(self.interval),
        }


@dataclass
class BenchResult:
    """What was measured.

    Attributes:
        seconds: Seconds per run of each model, one number per round.
        inputs: The inputs used.
        threads: Threads inside an operator.
        repeats: Runs per sample of each model.
        notes: What was assumed.
    """

    seconds: list[list[float]]
    inputs: InputSet
    threads: int = 1
    repeats: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def rounds(self) -> int:
        """Number of paired rounds."""
        return len(self.seconds[0])

    def median(self, index: int) -> float:
        """Median seconds per run of a model."""
        return float(np.median(self.seconds[index]))

    def quartiles(self, index: int) -> tuple[float, float]:
        """First and third quartile of the seconds per run of a model."""
        low, high = np.percentile(self.seconds[index], (25, 75))
        return float(low), float(high)

    def ratio(self, index: int, baseline: int = 0) -> Ratio:
        """Time of a model over the baseline's."""
        pairs = np.asarray(self.seconds[index]) / np.asarray(self.seconds[baseline])
        draws = np.random.default_rng(0).integers(0, len(pairs), size=(_RESAMPLES, len(pairs)))
        medians = np.median(pairs[draws], axis=1)
        tail = 50 * (1 - _CONFIDENCE)
        low, high = np.percentile(medians, (tail, 100 - tail))
        first, third = np.percentile(pairs, (25, 75))
        return Ratio(float(np.median(pairs)), (float(first), float(third)), (float(low), float(high)))

    def slower(self, index: int, baseline: int = 0) -> bool:
        """Whether a model is clearly slower: the whole interval of the ratio lies above 1 and its margin."""
        return self.ratio(index, baseline).interval[0] > 1 + _MARGIN

    def faster(self, index: int, baseline: int = 0) -> bool:
        """Whether a model is clearly faster."""
        return self.ratio(index, baseline).interval[1] < 1 - _MARGIN

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: medians, quartiles and ratios to the first model."""
        return {
            "median_seconds": [self.median(index) for index in range(len(self.seconds))],
            "quartile_seconds": [list(self.quartiles(index)) for index in range(len(self.seconds))],
            "ratios": [self.ratio(index).to_dict() for index in range(len(self.seconds))],
            "rounds": self.rounds,
            "repeats": list(self.repeats),
            "threads": self.threads,
            "inputs": self.inputs.to_dict(),
            "notes": list(self.notes),
        }


def bench(
    models: Sequence[ModelLike],
    *,
    inputs: Sequence[InputSet] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    threads: int = 1,
    seconds: float = 2.0,
    optimize: bool = True,
    min_rounds: int = 10,
) -> BenchResult:
    """Measure models that take the same inputs.

    Args:
        models: Models or paths; the first is the baseline and is the one inputs are made for.
        inputs: Sets of inputs, of which the first is used; made of realistic size if not given.
        shapes: Sizes fixed by the user, for inputs that are made.
        threads: Threads inside an operator.
        seconds: Time to measure for, all models together, without loading and warm-up.
        optimize: With onnxruntime's own optimizations, as users run models.
        min_rounds: Rounds made even when `seconds` is over (3 for models too slow for that).

    Raises:
        ExecutionError: a model cannot be loaded or run.
        UsageError: `inputs` or `shapes` do not fit the first model.
    """
    opened = [open_model(model) for model in models]
    sessions = [Session(model, optimize=optimize, threads=threads) for model in opened]
    chosen = (
        fit_inputs(opened[0], inputs)[0]
        if inputs
        else representative_inputs(opened[0], sessions[0], shapes=shapes)
    )
    repeats = [_warm_up(session, chosen.values) for session in sessions]
    samples: list[list[float]] = [[] for _ in sessions]
    started = time.perf_counter()
    for done in range(_MOST_ROUNDS):
        elapsed = time.perf_counter() - started
        enough = min_rounds if elapsed < 3 * seconds else min(min_rounds, _FEWEST_ROUNDS)
        if elapsed >= seconds and done >= enough:
            break
        order = range(len(sessions)) if done % 2 == 0 else reversed(range(len(sessions)))
        for index in order:
            samples[index].append(_sample(sessions[index], chosen.values, repeats[index]))
    return BenchResult(samples, chosen, threads, repeats, list(chosen.notes))


def _warm_up(session: Session, values: Mapping[str, Any]) -> int:
    """Run until caches and the allocator have settled; return the runs one sample needs."""
    fastest = math.inf
    for _ in range(_WARM_UP_RUNS):
        fastest = min(fastest, _sample(session, values, 1))
    return max(1, math.ceil(_SAMPLE_SECONDS / max(fastest, 1e-7)))


def _sample(session: Session, values: Mapping[str, Any], repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        session.run(values)
    return (time.perf_counter() - started) / repeats
