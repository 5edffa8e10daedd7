"""What the outputs of a model lose as one group of channels after the other loses units, as data."""

from __future__ import annotations

import dataclasses
import math
from typing import Any


@dataclasses.dataclass(frozen=True)
class Point:
    """A group without a share of its units, all other groups whole.

    Attributes:
        rate: The share asked for.
        units: How many of its units are without effect.
        macs: Share of the model's multiply-accumulates that would go with them.
        error: Noise over signal, as energies, at the output that is furthest off; None where outputs have no
            floats, or the model is broken.
        value: The metric; None without one.
        drop: How much worse it is than with all units; None without one.
        fault: Why the model cannot be used at all, or "".
    """

    rate: float
    units: int
    macs: float
    error: float | None
    value: float | None = None
    drop: float | None = None
    fault: str = ""

    @property
    def shown(self) -> float | None:
        """The metric, or the error where there is none."""
        return self.error if self.value is None else self.value

    @property
    def damage(self) -> tuple[float, float]:
        """To order by: greater is worse."""
        if self.fault:
            return math.inf, math.inf
        drop = 0.0 if self.drop is None else self.drop
        return drop, self.error or 0.0


@dataclasses.dataclass(frozen=True)
class GroupSensitivity:
    """How much outputs depend on a group.

    Attributes:
        name: Of the weight that makes its channels.
        units: How many it has.
        points: One for each rate, in ascending order; empty where it could not be tried.
        reason: Why it could not, or "".
    """

    name: str
    units: int
    points: tuple[Point, ...]
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """A scan over all groups of a model.

    Attributes:
        source: What the model is called.
        metric: Name of the metric, or "" where the error of outputs is told.
        baseline: The metric with all units; None without one.
        importance: What orders the units of a group.
        samples: Sets of inputs that errors are told on.
        rates: Shares that were tried, in ascending order.
        groups: In the order of the graph.
        notes: What a user should know.
    """

    source: str
    metric: str
    baseline: float | None
    importance: str
    samples: int
    rates: tuple[float, ...]
    groups: tuple[GroupSensitivity, ...]
    notes: tuple[str, ...] = ()

    @property
    def ranked(self) -> list[GroupSensitivity]:
        """The groups that were tried, those that matter most at the highest rate first."""
        tried = [group for group in self.groups if group.points]
        return sorted(tried, key=lambda group: group.points[-1].damage, reverse=True)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)
