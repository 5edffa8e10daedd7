"""Scan how sensitive a model's outputs are to each group of channels: one group loses units, all others none.

Nothing is pruned: weights that read the units are zero while the model runs, and the weights beside them make
up for it, as they do in `prune-channels`.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.compile.given import shapes_run_at
from graphopt.compile.levels import pipeline_for
from graphopt.compile.pruning.prune import HELD_OUT
from graphopt.compile.pruning.request import FREEZE, TYING, prunable_groups, tidied
from graphopt.compile.quantization.accuracy import Evaluation, Scores, TaskMetric
from graphopt.compile.quantization.request import DEFAULT_METRIC, try_metric
from graphopt.cost import SHAPES_KEY
from graphopt.errors import ExecutionError, GraphoptError, UsageError
from graphopt.execute import Samples
from graphopt.passes.pruning._effects import Effects, curvatures, effects
from graphopt.passes.pruning._samples import MOST_SAMPLES
from graphopt.passes.pruning._sensitivity import without_effect
from graphopt.passes.pruning.prune_channels import gather_moments, works
from graphopt.pipeline import Pipeline
from graphopt.pruning import Axis, Group, Groups, Sink
from graphopt.pruning.allocation import Amount
from graphopt.pruning.importance import MEASURES, Moments, rank, weighed_sinks
from graphopt.quant.metrics import Metric, parse_metric
from graphopt.report.sensitivity import GroupSensitivity, Point, Sensitivity

RATES = (0.1, 0.25, 0.5, 0.75)
"""Shares tried where none are named."""
SEED = 0
"""Of the random importance."""


@dataclasses.dataclass(frozen=True)
class ScanRequest:
    """What a user asks of a scan.

    Attributes:
        rates: Shares to try, in ascending order.
        importance: What orders the units of a group.
        metric: To tell beside the error; None without.
    """

    rates: tuple[float, ...]
    importance: str
    metric: Metric | TaskMetric | None

    @classmethod
    def asked(
        cls, calibration: Any, metric: str | TaskMetric | None, rates: Sequence[float], importance: str
    ) -> ScanRequest:
        """A request, checked. The arguments are those of `graphopt.sensitivity`.

        Raises:
            UsageError: A rate is not between 0 and 1, a name is unknown, or there are no data.
        """
        if isinstance(rates, (str, int, float)) or not len(rates):
            raise UsageError(f"rates is {rates!r}, expected shares between 0 and 1", hint="(0.25, 0.5, 0.75)")
        for rate in rates:
            if not _is_share(rate):
                raise UsageError(
                    f"the rate {rate!r} is no share between 0 and 1", hint="0.25 takes a quarter of a group"
                )
        if importance not in MEASURES:
            raise UsageError(
                f"there is no importance {importance!r}", hint=f"there are {', '.join(MEASURES)}"
            )
        measure = parse_metric(metric) if isinstance(metric, str) else metric
        if calibration is None:
            raise UsageError(
                "a sensitivity scan runs the model, and there are no data to run it on",
                hint="give some tens of real inputs: --calibration FOLDER with an .npz of each",
            )
        return cls(tuple(sorted({float(rate) for rate in rates})), importance, measure)


def scan(
    model: ir.Model,
    samples: Samples,
    request: ScanRequest,
    *,
    source: str,
    threads: int,
    tell: Callable[[str], None],
) -> Sensitivity:
    """Try each group at each rate.

    Args:
        model: Not changed.
        samples: Calibration data.
        request: What was asked for.
        source: What to call the model.
        threads: Threads of the runtime.
        tell: Called with what is going on.

    Raises:
        UsageError: There is nothing to prune, or the metric fails.
    """
    metric = parse_metric(DEFAULT_METRIC) if request.metric is None else request.metric
    try_metric(metric, model, threads)
    prunable_groups(tidied(model))
    tell("optimizing")
    prepared = _prepared(model)
    groups = prunable_groups(prepared)
    prepared.meta[SHAPES_KEY] = shapes_run_at(None, [samples.first])
    fitted, held_out = samples.split(HELD_OUT)
    evaluation = Evaluation(model, held_out, metric, threads=threads)
    whole = evaluation.score(prepared)
    if whole.fault:
        raise ExecutionError(f"the model cannot be scored: {whole.fault}")
    tell("gathering statistics of channels")
    moments = gather_moments(prepared, groups, list(itertools.islice(fitted, MOST_SAMPLES)), threads)
    known: Effects | None = None
    if request.importance == "taylor":
        known = effects(prepared, groups, list(itertools.islice(fitted, MOST_SAMPLES)), threads)
    curved: Mapping[Sink, npt.NDArray[np.float64]] = {}
    if request.importance == "curvature":
        curved = curvatures(prepared, groups, list(itertools.islice(fitted, MOST_SAMPLES)), threads)
    trials = _Trials(prepared, groups, moments, evaluation, request, known, curved)
    found = []
    for index, group in enumerate(_in_order(prepared, groups)):
        tell(f"group {index + 1} of {len(groups.groups)}")
        found.append(trials.of(group))
    is_told = request.metric is not None
    return Sensitivity(
        source=source,
        metric=whole.metric if is_told else "",
        baseline=whole.value if is_told else None,
        importance=request.importance,
        samples=whole.samples,
        rates=request.rates,
        groups=tuple(found),
        notes=tuple(samples.notes),
    )


class _Trials:
    """Scores a model with units of one group without effect."""

    def __init__(
        self,
        model: ir.Model,
        groups: Groups,
        moments: Mapping[Axis, Moments],
        evaluation: Evaluation,
        request: ScanRequest,
        known: Effects | None,
        curved: Mapping[Sink, npt.NDArray[np.float64]],
    ) -> None:
        self._model = model
        self._groups = groups
        self._moments = moments
        self._evaluation = evaluation
        self._request = request
        self._known = known
        self._curved = curved
        self._macs = Amount(groups, works(model, groups, "macs"))
        self._rng = np.random.default_rng(SEED)

    def of(self, group: Group) -> GroupSensitivity:
        """A point for each rate; rates that come to as many units share a run."""
        known = None if self._known is None else self._known.of(group)
        order = rank(
            self._groups, group, self._request.importance, self._moments, self._rng, known, self._curved
        ).order
        if not weighed_sinks(self._groups, group):
            return GroupSensitivity(group.name, len(group), (), "no constant weights read its channels")
        scores: dict[int, Scores] = {}
        points = []
        for rate in self._request.rates:
            count = min(max(1, round(len(group) * rate)), len(group) - 1)
            if count not in scores:
                scores[count] = self._scored(group, order[:count].tolist())
            points.append(self._point(group, rate, count, scores[count]))
        return GroupSensitivity(group.name, len(group), tuple(points))

    def _scored(self, group: Group, units: Iterable[int]) -> Scores:
        with without_effect(self._groups, group, units, self._moments):
            return self._evaluation.score(self._model)

    def _point(self, group: Group, rate: float, count: int, scores: Scores) -> Point:
        macs = self._macs.saved(group, count) / self._macs.whole if self._macs.whole else 0.0
        if scores.fault:
            return Point(rate, count, macs, None, fault=scores.fault)
        error = 10.0 ** (-scores.worst_sqnr / 10.0) if scores.sqnr else None
        is_told = self._request.metric is not None
        return Point(
            rate, count, macs, error, scores.value if is_told else None, scores.drop if is_told else None
        )


def _prepared(model: ir.Model) -> ir.Model:
    """The model as `graphopt.optimize` has it when channels go; only tidied where a pass fails."""
    pipeline = pipeline_for(2, None, ()).without(*TYING)
    try:
        return Pipeline((*Pipeline.parse(FREEZE).items, *pipeline.items)).run(model.clone()).model
    except GraphoptError:
        return tidied(model)


def _in_order(model: ir.Model, groups: Groups) -> list[Group]:
    """The groups in the order in which nodes read the weights that they are named after."""
    places: dict[str, int] = {}
    for index, node in enumerate(model.graph):
        for value in node.inputs:
            if value is not None:
                places.setdefault(value.name or "", index)
    return sorted(groups.groups, key=lambda group: places.get(group.name, len(places)))


def _is_share(rate: object) -> bool:
    if isinstance(rate, bool) or not isinstance(rate, (int, float, np.floating)):
        return False
    return 0.0 < float(rate) < 1.0
