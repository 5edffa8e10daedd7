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
import onnx_ir as ir

from graphopt.execute.inputs import InputSet, representative_inputs
from graphopt.execute.session import ModelLike, Session, open_model
from graphopt.execute.userdata import fit_inputs

_SAMPLE_SECONDS = 0.002
"""A sample lasts at least this long: fast models are run several times per sample."""
_WARM_UP_RUNS = 3
_MOST_ROUNDS = 2000
_FEWEST_ROUNDS = 3
_EPOCHS = 4
"""Sessions are made anew this often: where a session's buffers happen to lie is worth several percent."""
_RESAMPLES = 1000
_CONFIDENCE = 0.99
_MARGIN = 0.01
"""A difference below one percent is no difference."""


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
        starts: Index of the first round of each epoch, at which the sessions were made anew.
        repeats: Runs per sample.
        notes: What was assumed.
    """

    seconds: list[list[float]]
    inputs: InputSet
    starts: list[int] = field(default_factory=lambda: [0])
    threads: int = 1
    repeats: int = 1
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
        epochs = np.split(pairs, self.starts[1:])
        rng = np.random.default_rng(0)
        # Resampled in two stages, epochs and then pairs: pairs of one session pair are not independent.
        medians = [
            np.median(np.concatenate([rng.choice(epochs[e], len(epochs[e])) for e in drawn]))
            for drawn in rng.integers(0, len(epochs), size=(_RESAMPLES, len(epochs)))
        ]
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
            "repeats": self.repeats,
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
    started = time.perf_counter()
    sessions = [Session(model, optimize=optimize, threads=threads) for model in opened]
    loading = time.perf_counter() - started
    chosen = (
        fit_inputs(opened[0], inputs)[0]
        if inputs
        else representative_inputs(opened[0], sessions[0], shapes=shapes)
    )
    repeats = _repeats(sessions, chosen.values)
    epochs = _EPOCHS if loading < seconds else 1
    samples: list[list[float]] = [[] for _ in opened]
    starts = []
    for epoch in range(epochs):
        starts.append(len(samples[0]))
        if epoch:
            sessions = _reopen(opened, optimize=optimize, threads=threads, backwards=epoch % 2 == 1)
        _measure(sessions, chosen.values, repeats, samples, seconds / epochs, -(-min_rounds // epochs))
    return BenchResult(samples, chosen, starts, threads, repeats, list(chosen.notes))


def _reopen(models: Sequence[ir.Model], *, optimize: bool, threads: int, backwards: bool) -> list[Session]:
    order = list(reversed(range(len(models)))) if backwards else list(range(len(models)))
    made = {index: Session(models[index], optimize=optimize, threads=threads) for index in order}
    return [made[index] for index in range(len(models))]


def _measure(
    sessions: Sequence[Session],
    values: Mapping[str, Any],
    repeats: int,
    samples: Sequence[list[float]],
    seconds: float,
    min_rounds: int,
) -> None:
    """Add paired samples for some seconds, every second round in the opposite order."""
    _repeats(sessions, values)
    started = time.perf_counter()
    for done in range(_MOST_ROUNDS):
        elapsed = time.perf_counter() - started
        enough = min_rounds if elapsed < 3 * seconds else min(min_rounds, _FEWEST_ROUNDS)
        if elapsed >= seconds and done >= enough:
            break
        order = range(len(sessions)) if done % 2 == 0 else reversed(range(len(sessions)))
        for index in order:
            samples[index].append(_sample(sessions[index], values, repeats))


def _repeats(sessions: Sequence[Session], values: Mapping[str, Any]) -> int:
    """Run until caches and the allocator have settled; return the runs a sample of the fastest needs."""
    fastest = min(_sample(session, values, 1) for _ in range(_WARM_UP_RUNS) for session in sessions)
    return max(1, math.ceil(_SAMPLE_SECONDS / max(fastest, 1e-7)))


def _sample(session: Session, values: Mapping[str, Any], repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        session.run(values)
    return (time.perf_counter() - started) / repeats
