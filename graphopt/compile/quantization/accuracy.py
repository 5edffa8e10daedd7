"""What quantizing costs in accuracy: outputs on samples held out of calibration, beside the float model's.

It scores models and changes none. The float model's outputs are kept, so that each is run once.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.errors import ExecutionError, UsageError
from graphopt.execute import Session
from graphopt.execute.sampled import refuse_nan, run_sample
from graphopt.pipeline import described
from graphopt.quant.measures import sqnr_db
from graphopt.quant.metrics import Metric

Arrays = Mapping[str, Any]
Run = Callable[[Arrays], Arrays]
TaskMetric = Callable[[Run], float]
"""A metric of the user's own: is given what runs the model on arrays by input name; higher is better."""

FEW_SAMPLES = 8
"""Enough to tell which of two models is noisier."""
MOST_SAMPLES = 32
"""More than that tell hardly more, and take their time for each candidate."""


@dataclasses.dataclass(frozen=True)
class Scores:
    """How near a model comes to its float form.

    Attributes:
        metric: Name of what `drop` is measured in.
        value: The metric.
        drop: How much lower it is than of the float model; 0 is as good.
        sqnr: Signal to quantization noise in dB, by output; infinite where nothing differs.
        samples: Number of samples.
        fault: Why the model cannot be used at all, or "".
    """

    metric: str
    value: float
    drop: float
    sqnr: dict[str, float]
    samples: int
    fault: str = ""

    @property
    def worst_sqnr(self) -> float:
        """Of the output that is furthest off; infinite if all are equal."""
        return min(self.sqnr.values(), default=math.inf)


class Evaluation:
    """Scores models against one reference.

    Args:
        reference: The float model.
        samples: Sets of inputs, of which the first `MOST_SAMPLES` are used.
        metric: A metric on outputs, or one of the user's own.
        threads: Threads of the runtime.
    """

    def __init__(
        self, reference: ir.Model, samples: Iterable[Arrays], metric: Metric | TaskMetric, *, threads: int = 1
    ) -> None:
        self._metric = metric
        self._threads = threads
        self._samples = list(itertools.islice(samples, MOST_SAMPLES))
        session = Session(reference, optimize=True, threads=threads)
        self._expected = [run_sample(session, reference, values) for values in self._samples]
        for values, expected in zip(self._samples, self._expected, strict=True):
            for name, array in expected.items():
                refuse_nan(values, name, array)
        self._best = 0.0 if isinstance(metric, Metric) else ask(metric, session.run)

    def noise(self, model: ir.Model) -> float:
        """Noise over signal at the output that is furthest off, on a few samples; infinite where broken."""
        try:
            session = Session(model, optimize=True, threads=self._threads)
            actual = [session.run(values) for values in self._samples[:FEW_SAMPLES]]
        except ExecutionError:
            return math.inf
        expected = self._expected[:FEW_SAMPLES]
        if any(map(_fault, expected, actual)):
            return math.inf
        return max((10.0 ** (-decibels / 10.0) for decibels in _sqnr(expected, actual).values()), default=0.0)

    def score(self, model: ir.Model) -> Scores:
        """Run a model, with all optimizations of the runtime, and compare."""
        name = self._metric.name if isinstance(self._metric, Metric) else "own metric"
        try:
            session = Session(model, optimize=True, threads=self._threads)
            actual = [session.run(values) for values in self._samples]
        except ExecutionError as error:
            return Scores(name, math.nan, math.inf, {}, 0, f"it does not run: {error.message}")
        fault = next(filter(None, map(_fault, self._expected, actual)), "")
        sqnr = {} if fault else _sqnr(self._expected, actual)
        if fault:
            return Scores(name, math.nan, math.inf, sqnr, len(actual), fault)
        if isinstance(self._metric, Metric):
            value = self._metric(self._expected, actual)
            return Scores(name, value, self._metric.drop(value), sqnr, len(actual))
        value = ask(self._metric, session.run)
        return Scores(name, value, self._best - value, sqnr, len(actual))


def ask(metric: TaskMetric, run: Run) -> float:
    """What a metric of the user's own says of a model.

    Args:
        metric: The metric.
        run: Runs the model on arrays by input name, and returns arrays by output name.

    Raises:
        UsageError: The metric raised an exception, or returned no number.
    """
    name = getattr(metric, "__qualname__", type(metric).__qualname__)
    try:
        value = metric(run)
    except Exception as error:
        raise UsageError(
            f"the metric {name!r} failed{_place(error, metric)}: {described(error)}",
            hint="it is given a function that takes a dict of arrays by input name, and returns a dict of "
            "arrays by output name",
        ) from error
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        raise UsageError(f"the metric {name!r} returned {value!r}, expected a number")
    return number


def _place(error: Exception, metric: TaskMetric) -> str:
    """The innermost line of the metric's own file that an exception came through."""
    code = getattr(metric, "__code__", None) or getattr(type(metric).__call__, "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    return f" in {own[-1].filename}, line {own[-1].lineno}" if own else ""


def _fault(expected: Arrays, actual: Arrays) -> str:
    """What makes outputs unusable: another shape or type, or no numbers where there were some."""
    for name, wanted in expected.items():
        found = actual.get(name)
        if not isinstance(wanted, np.ndarray):
            continue
        if not isinstance(found, np.ndarray) or found.shape != wanted.shape or found.dtype != wanted.dtype:
            return f"output {name!r} has another shape or type"
        if _is_float(wanted) and np.any(np.isfinite(_wide(wanted)) & ~np.isfinite(_wide(found))):
            return f"output {name!r} is NaN or infinite where it was finite"
    return ""


def _sqnr(expected: Sequence[Arrays], actual: Sequence[Arrays]) -> dict[str, float]:
    """Decibels by float output, over all samples together."""
    names = [
        name
        for name, array in (expected[0] if expected else {}).items()
        if isinstance(array, np.ndarray) and _is_float(array)
    ]
    return {name: sqnr_db(_joined(expected, name), _joined(actual, name)) for name in names}


def _joined(outputs: Sequence[Arrays], name: str) -> np.ndarray[Any, Any]:
    return np.concatenate([_wide(each[name]).ravel() for each in outputs])


def _is_float(array: np.ndarray[Any, Any]) -> bool:
    return array.dtype.kind in "fV"


def _wide(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array.astype(np.float64)
