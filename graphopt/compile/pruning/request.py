"""What a user asks for in pruning: read, checked against the model, and brought into passes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import onnx_ir as ir

from graphopt.compile.quantization.accuracy import TaskMetric
from graphopt.compile.quantization.request import judge
from graphopt.errors import GraphoptError, UsageError
from graphopt.pipeline import Pass, Pipeline, default_catalog, make_pass
from graphopt.pruning import Groups, dependency_groups
from graphopt.quant.metrics import Metric

GOALS = ("macs", "params", "latency")
CLEANUP = "dedup-initializers,cse,dce"
PRUNING = "prune-channels"
FREEZE = "freeze-initializers"
"""Weights that callers may replace by others cannot lose channels."""
TYING = ("dedup-initializers", "cse")
"""Passes that let layers share weights which only happen to be equal: their channels would go together."""
_TIDY = f"{FREEZE},inline,lift-constants,fold,simplify-shapes,dce"
"""What makes sizes known, on which groups depend."""
_TEXT = "for example macs=0.3 for 30% fewer, params=0.3, or latency=0.3; and importance=l2, align=16"


@dataclasses.dataclass(frozen=True)
class PruneRequest:
    """How a model is to be pruned.

    Attributes:
        goal: What is to shrink.
        rate: By which share of it.
        options: Of the pass `prune-channels`, by name.
        metric: What accuracy is measured in.
        max_drop: How much of it may be lost; None sets no bound.
    """

    goal: str
    rate: float
    options: Mapping[str, Any]
    metric: Metric | TaskMetric
    max_drop: float | None = None

    @classmethod
    def asked(
        cls,
        prune: float | str | Mapping[str, Any] | None,
        metric: str | TaskMetric | None = None,
        max_drop: float | None = None,
    ) -> PruneRequest | None:
        """A request; None if nothing is to be pruned. The arguments are those of `graphopt.optimize`.

        Raises:
            UsageError: A rate is not between 0 and 1, or an option is unknown.
        """
        if prune is None:
            return None
        options = _options(prune)
        goals = [name for name in options if name in GOALS]
        if len(goals) != 1:
            raise UsageError(f"prune is {prune!r}, expected one goal of {', '.join(GOALS)}", hint=_TEXT)
        goal = goals[0]
        rate = _rate(goal, options.pop(goal))
        request = cls(goal, rate, options, judge(metric, max_drop), max_drop)
        request.passes()  # says what is wrong with an option
        return request

    def passes(self, rate: float | None = None, goal: str | None = None) -> Pipeline:
        """The passes that prune, by the rate that was asked for or another."""
        options = {"goal": goal or self.goal, "rate": self.rate if rate is None else rate, **self.options}
        made = make_pass(PRUNING, options, default_catalog())
        assert isinstance(made, Pass)
        return Pipeline((made, *Pipeline.parse(CLEANUP).items))

    def check(self, model: ir.Model) -> None:
        """Look for something to prune, before time goes into anything else.

        Raises:
            UsageError: There is nothing; with what is in the way.
        """
        prunable_groups(tidied(model))


def require_judge(
    calibration: Any, metric: str | TaskMetric | None, max_drop: float | None, *, check: bool
) -> None:
    """Refuse a measure of accuracy where there is nothing to tell it on.

    Raises:
        UsageError: There are no calibration data, and no inputs are made to compare the model on.
    """
    if calibration is not None or check or callable(metric):
        return
    for name, value in (("metric", metric), ("max_drop", max_drop)):
        if value is not None:
            raise UsageError(
                f"{name} is given, and there are no data to tell accuracy on",
                hint="give some tens of real inputs: --calibration FOLDER with an .npz of each",
            )


def tidied(model: ir.Model) -> ir.Model:
    """A copy of a model with the sizes known on which groups depend."""
    try:
        return Pipeline.parse(_TIDY).run(model.clone()).model
    except GraphoptError:
        return model.clone()  # whoever optimizes it leaves out what fails, and says so


def prunable_groups(model: ir.Model) -> Groups:
    """The dependency groups of a model, of which there is at least one.

    Raises:
        UsageError: There is none; with what is in the way.
    """
    groups = dependency_groups(model)
    if groups.groups:
        return groups
    found = sorted(groups.refusals, key=lambda each: -each.channels)[:3]
    told = "; ".join(f"{each.weights[0]!r}: {each.reason} ({each.node!r})" for each in found)
    raise UsageError(
        f"there are no channels to prune{': ' if told else ''}{told}",
        hint="weights must be constants of the main graph, and what reads their channels must be known",
    )


def _options(prune: float | str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(prune, Mapping):
        return dict(prune)
    if isinstance(prune, (int, float)):
        return {"macs": prune}
    options: dict[str, Any] = {}
    for part in prune.split(","):
        name, equals, text = part.strip().partition("=")
        if not equals and not options and _is_number(name):
            name, text = "macs", name
        elif not equals or not name:
            raise UsageError(f"--prune {prune}: {part!r} is not NAME=VALUE", hint=_TEXT)
        options[name] = _value(text)
    return options


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    if text.isdigit():
        return int(text)
    return float(text) if _is_number(text) else text


def _rate(goal: str, rate: Any) -> float:
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0.0 < rate < 1.0:
        raise UsageError(
            f"the pruning rate of {goal} is {rate!r}, expected a share of more than 0 and less than 1",
            hint=f"{goal}=0.3 takes 30% out",
        )
    return float(rate)
