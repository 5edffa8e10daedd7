"""What was asked for when a model is to be quantized, checked before anything is loaded or run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from graphopt.compile.quantization.accuracy import TaskMetric, ask
from graphopt.compile.quantization.schemes import QuantizationScheme, schemes_of
from graphopt.errors import ExecutionError, UsageError
from graphopt.execute import InputSet, Samples, Session, make_inputs
from graphopt.pipeline import Pipeline
from graphopt.quant.metrics import Metric, parse_metric

SYNTHETIC = "synthetic"
SYNTHETIC_COUNT = 16
DEFAULT_METRIC = "cosine"


def judge(metric: str | TaskMetric | None, max_drop: float | None) -> Metric | TaskMetric:
    """What accuracy is measured in, by the arguments of `graphopt.optimize`.

    Raises:
        UsageError: There is no such metric, or no such drop of it.
    """
    found = parse_metric(DEFAULT_METRIC if metric is None else metric) if not callable(metric) else metric
    if max_drop is not None and not max_drop >= 0:
        raise UsageError(f"max_drop is {max_drop!r}, expected 0 or more")
    if isinstance(found, Metric) and max_drop is not None and max_drop > found.most:
        raise UsageError(
            f"max_drop is {max_drop:g}, and {found.name} can drop by no more than {found.most:g}",
            hint=f"0.02 lets {found.name} drop from 1 to 0.98",
        )
    return found


@dataclasses.dataclass(frozen=True)
class Request:
    """How a model is to be quantized.

    Attributes:
        schemes: To try, best first.
        calibration: Where calibration data come from, or "synthetic"; None without.
        metric: What accuracy is measured in.
        max_drop: How much of it may be lost; None only keeps the model from breaking.
        time_budget: Seconds for the search; None for a usual time.
    """

    schemes: tuple[QuantizationScheme, ...]
    calibration: Any
    metric: Metric | TaskMetric
    max_drop: float | None = None
    time_budget: float | None = None

    @classmethod
    def asked(
        cls,
        scheme: str | QuantizationScheme | None,
        calibration: Any = None,
        metric: str | TaskMetric | None = None,
        max_drop: float | None = None,
        time_budget: float | None = None,
    ) -> Request | None:
        """A request; None if nothing is to be quantized. The arguments are those of `graphopt.optimize`.

        Raises:
            UsageError: A name is unknown, a number out of range, data are missing, or nothing is to be
                quantized and an argument is for that.
        """
        if scheme is None:
            given = {
                "calibration": calibration,
                "metric": metric,
                "max_drop": max_drop,
                "time_budget": time_budget,
            }
            for name, value in given.items():
                if value is not None:
                    raise UsageError(
                        f"{name} is given, but the model is neither to be pruned nor to be quantized",
                        hint='prune="macs=0.3" and quantize="int8", on the command line --prune macs=0.3 and '
                        "--quantize int8, do that",
                    )
            return None
        schemes = tuple(schemes_of(scheme, with_data=calibration is not None))
        for each in schemes:
            if each.needs_data and calibration is None:
                raise UsageError(
                    f"{each.name} gives activations fixed ranges, which only calibration data can tell",
                    hint="give some tens of real inputs: --calibration FOLDER with an .npz of each; "
                    "dynamic-int8, weight-int8 and weight-int4 need none; --calibration synthetic makes "
                    "inputs up, and their ranges are hardly those of real ones",
                )
        if time_budget is not None and not time_budget >= 0:
            raise UsageError(f"time_budget is {time_budget!r}, expected 0 or more")
        chosen = judge(metric, max_drop)
        return cls(schemes, calibration, chosen, max_drop, time_budget)

    def with_less_drop(self, drop: float) -> Request:
        """The same, where so much of the metric is lost already."""
        if self.max_drop is None:
            return self
        return dataclasses.replace(self, max_drop=max(self.max_drop - max(drop, 0.0), 0.0))

    def samples(self, model: ir.Model, shapes: Mapping[str, Sequence[int]] | None) -> Samples | None:
        """The calibration data, for a model; None without.

        Raises:
            UsageError: They cannot be read, or do not fit the model.
        """
        return calibration_samples(self.calibration, model, shapes)


def calibration_samples(
    calibration: Any, model: ir.Model, shapes: Mapping[str, Sequence[int]] | None
) -> Samples | None:
    """What an argument `calibration` names, for a model; None without.

    Raises:
        UsageError: The data cannot be read, or do not fit the model.
    """
    if calibration is None:
        return None
    if isinstance(calibration, str) and calibration == SYNTHETIC:
        made: list[InputSet] = make_inputs(model, shapes=shapes, count=SYNTHETIC_COUNT)
        return Samples([each.values for each in made], model)
    return Samples(calibration, model)


def try_metric(metric: Metric | TaskMetric, model: ir.Model, threads: int) -> None:
    """Ask a metric of the user's own about the float model, before time goes into anything else.

    Raises:
        UsageError: It failed, or returned no number.
    """
    if isinstance(metric, Metric):
        return
    try:
        session = Session(model, optimize=True, threads=threads)
    except ExecutionError:
        return  # who cannot run the model says so elsewhere
    ask(metric, session.run)


@dataclasses.dataclass(frozen=True)
class Conditions:
    """Where the model will run, and how it is measured.

    Attributes:
        target: Name or file of the target.
        inputs: Data to measure with; made to fit the model if None.
        shapes: Input name -> shape to measure at.
        threads: Threads of the runtime.
        measure: Compare latencies.
        last: Passes of the target that come after quantizing; latencies are those of what they make.
    """

    target: str
    inputs: Sequence[InputSet] | None = None
    shapes: Mapping[str, Sequence[int]] | None = None
    threads: int = 1
    measure: bool = True
    last: Pipeline = dataclasses.field(default_factory=lambda: Pipeline(()))
