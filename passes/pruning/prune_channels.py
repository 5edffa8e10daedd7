"""Take out the channels, heads and hidden elements that matter least, and fit the weights of the others.

    Conv (64 channels) -> Relu -> Conv    ->    Conv (40 channels) -> Relu -> Conv, its weights fitted

What goes together is found from the graph (see `graphopt.pruning`), how much each group loses by what it
saves and by what the outputs lose. With calibration data every layer behind is fitted by least squares to
what it computed before, so that moderate rates need no training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from graphopt.cost import SHAPES_KEY, estimate, load_rates
from graphopt.errors import UsageError
from graphopt.execute import PROGRESS_KEY
from graphopt.ir import Changes, Operator, outdate_shapes, refresh_shapes
from graphopt.passes.pruning._compensate import compensate
from graphopt.passes.pruning._effects import Effects, curvatures, effects
from graphopt.passes.pruning._parts import parts
from graphopt.passes.pruning._remove import Removal
from graphopt.passes.pruning._samples import samples_to_fit
from graphopt.passes.pruning._sensitivity import Trials, mute
from graphopt.passes.pruning._values import values_of
from graphopt.pipeline import Pass
from graphopt.pruning import Axis, Group, Groups, Sink, dependency_groups
from graphopt.pruning.allocation import Amount, Work, allocate, node_works, parameter_works, uniformly
from graphopt.pruning.compensation import PARTS
from graphopt.pruning.importance import MEASURES, WITH_DATA, Moments, Ranking, rank, weighed_sinks

Floats = npt.NDArray[np.float64]

GOALS = ("macs", "params", "latency")
SCOPES = ("global", "layer")
PRUNED_KEY = "graphopt.pruned"
"""Under it a model's `meta` holds what pruned it, so that a second run changes nothing."""

CURVES_KEY = "graphopt.curves"
"""Under it a model's `meta` may hold a list. What the outputs lose by each group is kept there
for runs at other rates on the same model and data."""

FEW_SAMPLES = 16
"""Samples that tell how sensitive the outputs are to a group."""
TRIED = (0.1, 0.25, 0.5)
"""Shares of a group that are taken for that."""
MOMENT_ROWS = 8192
"""Rows that mean products of channels are taken from, of all samples together."""


@dataclass(frozen=True)
class PruneChannels(Pass):
    """Remove the channels, heads and hidden elements that matter least.

    Attributes:
        rate: Share that goes: of the goal, over the whole model.
        goal: What `rate` is of: macs, params, or latency as the cost model tells it.
        importance: curvature, reconstruction, taylor, hessian, activation, l2, l1, bn-scale or random; by
            default the first with calibration data, and l2 without.
        align: Channels that are left are a multiple of it in large layers, as far as the goal lets them: as
            many as kernels work on at a time.
        scope: "global" prunes where it costs least; "layer" takes the same share of every layer.
        layers: Rates of single groups of their own, as "WEIGHT:0.3"; 0 leaves one alone.
        compensate: Fit weights on calibration data.
        sensitivity: Measure how far the outputs move with each group, on calibration data.
        data: A folder or file of sets of inputs; by default what the caller hands over with the model.
        rows: Outputs of a layer to fit it to, of all samples together.
        seed: Of the random importance.
        threads: Threads inside an operator; 0 for as many as there are processors.
    """

    name: ClassVar[str] = "prune-channels"
    lossy: ClassVar[bool] = True
    reshapes: ClassVar[bool] = True
    without_data: ClassVar[str] = "importance=l2"
    rate: float = 0.5
    goal: str = "macs"
    importance: str = ""
    align: int = 16
    scope: str = "global"
    layers: tuple[str, ...] = ()
    compensate: bool = True
    sensitivity: bool = True
    data: str = ""
    rows: int = 8192
    seed: int = 0
    threads: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.rate < 1.0:
            raise UsageError(
                f"prune-channels: the rate is {self.rate:g}, expected a share between 0 and 1",
                hint="0.3 takes 30% out",
            )
        for what, given, known in (("goal", self.goal, GOALS), ("scope", self.scope, SCOPES)):
            if given not in known:
                raise UsageError(
                    f"prune-channels: there is no {what} {given!r}", hint=f"there are {', '.join(known)}"
                )
        if self.importance and self.importance not in MEASURES:
            raise UsageError(
                f"prune-channels: there is no importance {self.importance!r}",
                hint=f"there are {', '.join(MEASURES)}",
            )
        if self.align < 1 or self.rows < 1:
            raise UsageError(f"prune-channels: align={self.align}, rows={self.rows}; expected 1 or more")
        _layer_rates(self.layers)

    @property
    def needs_data(self) -> bool:
        """Whether no data of its own are named for an importance that takes some."""
        return self.importance in WITH_DATA and not self.data

    @property
    def largest_error(self) -> float:
        """Nothing is said of how far outputs move."""
        return 1.0

    def roots(self) -> frozenset[Operator]:
        """Operators that sum over channels."""
        return frozenset(
            ("", op_type) for op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul", "GRU", "LSTM", "RNN")
        )

    def apply(self, model: ir.Model, changes: Changes) -> None:
        if PRUNED_KEY in model.meta:
            return
        refresh_shapes(model)
        groups = dependency_groups(model)
        for refusal in groups.refusals:
            changes.refuse(refusal.reason, refusal.node, refusal.weights)
        if not groups.groups:
            return
        samples = samples_to_fit(model, self.data)
        if not samples and self.importance in WITH_DATA:
            raise UsageError(
                f"the importance {self.importance!r} needs calibration data",
                hint=f"name a folder or an .npz file: {self.name}{{data=PATH}}",
            )
        told = parts(model, samples, self.threads, PARTS) if samples else []
        parted = [2 * part // PARTS for part in told]
        chosen, moments = self._chosen(model, groups, samples, parted, changes)
        whole = model.clone() if samples and self.compensate else None
        if whole is not None:
            for group, units in chosen:
                mute(groups, group, units, moments)
        removal = Removal(model, groups)
        removal.remove(chosen)
        outdate_shapes(model)
        for group, units in chosen:
            changes.add(f"units of {group.name}", len(units))
        if whole is not None:
            compensate(
                model, whole, removal.gone_by_name(), samples, told, rows=self.rows, threads=self.threads,
                tell=model.meta.get(PROGRESS_KEY, lambda done, total: None),
            )  # fmt: skip
        model.meta[PRUNED_KEY] = self.name

    def _chosen(
        self,
        model: ir.Model,
        groups: Groups,
        samples: Sequence[Mapping[str, Any]],
        parted: Sequence[int],
        changes: Changes,
    ) -> tuple[list[tuple[Group, list[int]]], dict[Axis, Moments]]:
        """Which units of which groups go, and moments of channels; samples are parted in two halves."""
        measure = self.importance or ("curvature" if samples else "l2")
        found: list[dict[Axis, Moments]] = [{}, {}]
        if samples and (measure in WITH_DATA or self.sensitivity or self.compensate):
            found = [
                gather_moments(model, groups, _half(samples, parted, half), self.threads) for half in (0, 1)
            ]
        moments = {axis: one + found[1][axis] if axis in found[1] else one for axis, one in found[0].items()}
        known = effects(model, groups, samples, self.threads, self.seed) if measure == "taylor" else None
        for each in known.missing if known is not None else ():
            changes.refuse(f"no gradients of what comes before: {each.reason}", each.node)
        curved = curvatures(model, groups, samples, self.threads, self.seed) if measure == "curvature" else {}
        rankings = self._rankings(groups, measure, moments, known, curved)
        block = self.align if self.goal == "latency" else 1
        amount = Amount(groups, works(model, groups, self.goal), block=block)
        time = (
            Amount(groups, works(model, groups, "latency"), block=self.align) if self.goal == "macs" else None
        )
        own = _layer_rates(self.layers)
        units = [0] * len(groups.groups)
        free = []
        for index, group in enumerate(groups.groups):
            if group.name in own:
                units[index] = min(round(own[group.name] * len(group)), len(group) - 1)
                if units[index]:
                    amount.remove(group, units[index])
                    if time is not None:
                        time.remove(group, units[index])
            else:
                free.append(index)
        if unknown := own.keys() - {group.name for group in groups.groups}:
            raise UsageError(
                f"no group is called {sorted(unknown)[0]!r}", hint="groups have the name of a weight"
            )
        open_groups = [groups.groups[index] for index in free]
        left = [rankings[index] for index in free]
        if self.scope == "layer":
            taken = uniformly(open_groups, amount, self.rate, align=self.align)
        else:
            curves = None
            if samples and self.sensitivity:
                curves = model.meta.get(CURVES_KEY, [])
                if not curves:
                    tried = _half(samples, parted, 1)[:FEW_SAMPLES] or samples[:FEW_SAMPLES]
                    trials = Trials(model, groups, found[0], tried, self.threads)
                    tried_order = self._rankings(groups, measure, found[0], known, curved)
                    curves += loss_curves(trials, open_groups, [tried_order[index] for index in free])
            taken = allocate(
                open_groups, left, amount, self.rate, align=self.align, curves=curves, beside=time
            )
        for index, count in zip(free, taken, strict=True):
            units[index] = count
        chosen = [
            (group, sorted(ranking.order[:count].tolist()))
            for group, ranking, count in zip(groups.groups, rankings, units, strict=True)
            if count
        ]
        return chosen, moments

    def _rankings(
        self,
        groups: Groups,
        measure: str,
        moments: Mapping[Axis, Moments],
        known: Effects | None,
        curved: Mapping[Sink, Floats],
    ) -> list[Ranking]:
        rng = np.random.default_rng(self.seed)
        return [
            rank(groups, group, measure, moments, rng, None if known is None else known.of(group), curved)
            for group in groups.groups
        ]


def works(model: ir.Model, groups: Groups, goal: str) -> list[Work]:
    """How a goal follows from the lengths of axes, at the sizes that the model is handed over with."""
    if goal == "params":
        return parameter_works(groups)
    estimated = estimate(model, shapes=model.meta.get(SHAPES_KEY), rates=load_rates())
    costs = {cost.name: cost for cost in estimated.nodes}
    amounts: dict[ir.Node, float] = {}
    for node in model.graph:
        cost = costs.get(node.name or "") or costs.get(node.outputs[0].name or "")
        if cost is not None:
            amounts[node] = cost.macs if goal == "macs" else cost.seconds or 0.0
    return node_works(groups, {node: amount for node, amount in amounts.items() if amount})


def gather_moments(
    model: ir.Model, groups: Groups, samples: Sequence[Mapping[str, Any]], threads: int
) -> dict[Axis, Moments]:
    """Mean products of the channels that weights sum over, on samples."""
    axes = dict.fromkeys(sink.data for group in groups.groups for sink in weighed_sinks(groups, group))
    names = list(dict.fromkeys(axis.value.name or "" for axis in axes))
    if not names or not samples:
        return {}
    found: dict[Axis, Moments] = {}
    most = -(-MOMENT_ROWS // len(samples))
    for count, values in enumerate(values_of(model, names, samples, threads)):
        for axis in axes:
            array = values[axis.value.name or ""]
            rows = np.moveaxis(array, axis.axis, -1).reshape(-1, array.shape[axis.axis])
            if len(rows) > most:
                rows = rows[np.random.default_rng(count).choice(len(rows), most, replace=False)]
            found.setdefault(axis, Moments(rows.shape[1])).observe(rows)
    return found


def _half(samples: Sequence[Mapping[str, Any]], parted: Sequence[int], half: int) -> list[Mapping[str, Any]]:
    return [sample for sample, own in zip(samples, parted, strict=True) if own == half]


def loss_curves(trials: Trials, groups: Sequence[Group], rankings: Sequence[Ranking]) -> list[Floats]:
    """What the outputs of the model lose by so many units of each group, from none to all of them.

    Measured at some shares; between them it grows as the ranking says. Groups that cannot be tried get the
    usual of the others.
    """
    sums = [np.concatenate([[0.0], np.cumsum(ranking.losses)]) for ranking in rankings]
    found: list[Floats | None] = [None] * len(groups)
    for index in sorted(range(len(groups)), key=lambda index: trials.place(groups[index])):
        group, ranking = groups[index], rankings[index]
        counts, noises = [0], [0.0]
        for share in TRIED:
            count = min(max(1, round(len(group) * share)), len(group) - 1)
            noise = trials.noise(group, ranking.order[:count].tolist()) if count > counts[-1] else None
            if noise is not None and np.isfinite(noise):
                counts.append(count)
                noises.append(max(noise, noises[-1]))
        if len(counts) > 1:
            found[index] = _between(sums[index], counts, noises)
    known = [curve[-1] for curve in found if curve is not None]
    usual = float(np.median(known)) if known else 1.0
    return [
        usual * cumulated / max(float(cumulated[-1]), 1e-30) if curve is None else curve
        for curve, cumulated in zip(found, sums, strict=True)
    ]


def _between(sums: Floats, counts: Sequence[int], noises: Sequence[float]) -> Floats:
    """A curve through what was measured; behind the last of it, twice as steep."""
    places = sums[list(counts)]
    curve = np.interp(sums, places, noises)
    run = places[-1] - places[-2]
    slope = 2 * (noises[-1] - noises[-2]) / run if run > 0 else 0.0
    return np.asarray(np.where(sums > places[-1], noises[-1] + slope * (sums - places[-1]), curve))


def _layer_rates(layers: Sequence[str]) -> dict[str, float]:
    """Rates by name.

    Raises:
        UsageError: An entry is not of the form NAME:RATE, or a rate is not from 0 to 1.
    """
    found = {}
    for entry in layers:
        name, _, text = entry.rpartition(":")
        try:
            rate = float(text)
        except ValueError:
            rate = -1.0
        if not name or not 0.0 <= rate < 1.0:
            raise UsageError(
                f"prune-channels: {entry!r} is no rate of a layer", hint="for example layers=conv1.weight:0.3"
            )
        found[name] = rate
    return found
