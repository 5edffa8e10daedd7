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
_WARM_UP_SHARE = 0.25
"""Of an epoch's time; a model too slow for that is warmed up by one run."""
_MOST_ROUNDS = 2000
_FEWEST_ROUNDS = 3
_EPOCHS = 4
"""Sessions are made anew this often: where a session's buffers happen to lie is worth several percent."""
_FEWEST_EPOCHS = 2
_MOST_EPOCHS = 10
_MORE_SECONDS = 4.0
"""A model that seems slower is measured in so many epochs, for so much longer, loading included."""
_RESAMPLES = 1000
_CONFIDENCE = 0.99
_NORMAL_QUANTILE = 2.576
"""Two-sided, for that confidence."""
_FEWEST_PAIRS = 8
"""Of fewer, not even all on one side of 1 would be enough: 2 / 2^8 is below one percent, 2 / 2^7 is not."""
_MARGIN = 0.01
"""A difference below one percent is no difference."""
_DOUBT = 0.02
"""A loss above two percent counts against a model, even where it is not sure."""
_SEVERAL = 4
"""Epochs that must agree on that."""


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


@dataclass(repr=False)
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

    def __repr__(self) -> str:
        """One line: the sizes and the medians."""
        medians = ", ".join(f"{self.median(index) * 1e3:.3g} ms" for index in range(len(self.seconds)))
        return f"BenchResult({medians}; {self.rounds} rounds, {self.threads} threads)"

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
        low, high = _interval(pairs, self.starts)
        first, third = np.percentile(pairs, (25, 75))
        return Ratio(float(np.median(pairs)), (float(first), float(third)), (low, high))

    def slower(self, index: int, baseline: int = 0) -> bool:
        """Whether a model is surely slower, or by more than two percent in most of several epochs.

        A gain needs proof, a loss does not: of a few epochs the interval of a steady loss may well reach 1.
        """
        if self.rounds < _FEWEST_PAIRS:
            return False
        ratio = self.ratio(index, baseline)
        return _is_surely_slower(ratio) or (_is_doubtful(ratio) and self._mostly_slower(index, baseline))

    def faster(self, index: int, baseline: int = 0) -> bool:
        """Whether a model is surely faster, and by more than the margin."""
        ratio = self.ratio(index, baseline)
        return self.rounds >= _FEWEST_PAIRS and ratio.interval[1] < 1 and ratio.median < 1 - _MARGIN

    def decided(self, index: int, baseline: int = 0) -> bool:
        """Whether a model is surely slower, or surely not slower by more than the margin."""
        if self.rounds < _FEWEST_PAIRS:
            return False
        ratio = self.ratio(index, baseline)
        return ratio.interval[1] < 1 + _MARGIN or _is_surely_slower(ratio)

    def _mostly_slower(self, index: int, baseline: int) -> bool:
        pairs = np.asarray(self.seconds[index]) / np.asarray(self.seconds[baseline])
        epochs = np.split(pairs, self.starts[1:])
        against = sum(float(np.median(epoch)) > 1 + _DOUBT for epoch in epochs if len(epoch))
        return against >= _SEVERAL and 2 * against > len(epochs)

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
    until_decided: bool = False,
) -> BenchResult:
    """Measure models that take the same inputs.

    Args:
        models: Models or paths; the first is the baseline and is the one inputs are made for.
        inputs: Sets of inputs, of which the first is used; made of realistic size if not given.
        shapes: Sizes fixed by the user, for inputs that are made.
        threads: Threads inside an operator.
        seconds: Time to measure for, all models together, without loading and warm-up; a few seconds more
            where a model seems slower than the first and it is not clear.
        optimize: With onnxruntime's own optimizations, as users run models.
        min_rounds: Rounds made even when `seconds` is over (3 for models too slow for that).
        until_decided: Stop as soon as it is clear which models are slower than the first.

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
    result = BenchResult([[] for _ in opened], chosen, [], threads, notes=list(chosen.notes))
    epochs = min(_EPOCHS, max(1, int(2 * seconds / loading)))
    deadline = math.inf
    for epoch in range(_MOST_EPOCHS):
        if epoch == epochs:
            deadline = time.perf_counter() + _MORE_SECONDS
        if epoch >= epochs and (time.perf_counter() > deadline or not _seems_slower(result)):
            break
        if epoch:
            sessions.clear()  # or the weights of both would be in memory at once
            sessions = _reopen(opened, optimize=optimize, threads=threads, backwards=epoch % 2 == 1)
        fastest = _warm_up(sessions, chosen.values, seconds / epochs)
        if not epoch:
            result.repeats = max(1, math.ceil(_SAMPLE_SECONDS / max(fastest, 1e-7)))
        result.starts.append(result.rounds)
        _measure(sessions, result, seconds / epochs, -(-min_rounds // epochs))
        if until_decided and epoch + 1 >= _FEWEST_EPOCHS and not _undecided(result):
            break
    return result


def _undecided(result: BenchResult) -> list[int]:
    return [index for index in range(1, len(result.seconds)) if not result.decided(index)]


def _seems_slower(result: BenchResult) -> bool:
    """Whether a model is slower on the whole, which more epochs may confirm or refute."""
    return any(_is_doubtful(result.ratio(index)) for index in _undecided(result))


def _is_surely_slower(ratio: Ratio) -> bool:
    return ratio.interval[0] > 1 and ratio.median > 1 + _MARGIN


def _is_doubtful(ratio: Ratio) -> bool:
    return ratio.median > 1 + _DOUBT


def _reopen(models: Sequence[ir.Model], *, optimize: bool, threads: int, backwards: bool) -> list[Session]:
    order = list(reversed(range(len(models)))) if backwards else list(range(len(models)))
    made = {index: Session(models[index], optimize=optimize, threads=threads) for index in order}
    return [made[index] for index in range(len(models))]


def _warm_up(sessions: Sequence[Session], values: Mapping[str, Any], seconds: float) -> float:
    """Run until caches and the allocator have settled; return the shortest time of a run."""
    started = time.perf_counter()
    fastest = math.inf
    for _ in range(_WARM_UP_RUNS):
        fastest = min(fastest, *(_sample(session, values, 1) for session in sessions))
        if time.perf_counter() - started > _WARM_UP_SHARE * seconds:
            break
    return fastest


def _measure(sessions: Sequence[Session], result: BenchResult, seconds: float, min_rounds: int) -> None:
    """Add paired samples for some seconds."""
    values = result.inputs.values
    rng = np.random.default_rng(len(result.starts))
    started = time.perf_counter()
    for done in range(_MOST_ROUNDS):
        elapsed = time.perf_counter() - started
        enough = min_rounds if elapsed < 3 * seconds else min(min_rounds, _FEWEST_ROUNDS)
        if elapsed >= seconds and done >= enough:
            break
        for index in _order(len(sessions), done, rng):
            result.seconds[index].append(_sample(sessions[index], values, result.repeats))


def _order(count: int, done: int, rng: np.random.Generator) -> list[int]:
    """The order of a round: all models follow themselves, with their data in the caches, equally often.

    Two take turns in going first. Of three, turned about, the one in the middle would never follow itself.
    """
    if count <= 2:
        return list(range(count)) if done % 2 == 0 else list(reversed(range(count)))
    return [int(index) for index in rng.permutation(count)]


def _sample(session: Session, values: Mapping[str, Any], repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        session.run(values)
    return (time.perf_counter() - started) / repeats


def _interval(pairs: np.ndarray[Any, Any], starts: Sequence[int]) -> tuple[float, float]:
    """Interval of the median: the wider of a bootstrap's and the distribution-free one of order statistics.

    The bootstrap resamples epochs and then pairs of each, since pairs of one epoch share their sessions and
    are not independent; every drawn epoch gives equally many pairs, in all about as many as there are. Of
    few pairs it makes too narrow an interval. Order statistics k and n + 1 - k bound the median with
    confidence 1 - 2 P(Binomial(n, 1/2) < k).
    """
    rng = np.random.default_rng(0)
    begins = np.asarray(starts)
    sizes = np.diff([*starts, len(pairs)])
    drawn = rng.integers(0, len(begins), size=(_RESAMPLES, len(begins), 1))
    within = rng.random((_RESAMPLES, len(begins), -(-len(pairs) // len(begins))))
    picked = begins[drawn] + (within * sizes[drawn]).astype(np.intp)
    medians = np.median(pairs[picked].reshape(_RESAMPLES, -1), axis=1)
    tail = 50 * (1 - _CONFIDENCE)
    low, high = np.percentile(medians, (tail, 100 - tail))
    ordered = np.sort(pairs)
    skipped = max(0, math.floor((len(pairs) - _NORMAL_QUANTILE * math.sqrt(len(pairs))) / 2))
    return min(float(low), float(ordered[skipped])), max(float(high), float(ordered[-1 - skipped]))
