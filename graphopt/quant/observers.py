"""Ranges of activations from the arrays of a calibration run, one after another.

An observer's memory does not grow with what it sees. But for the moving average, ranges depend neither on the
order of the arrays nor on how samples are batched. Values that are not finite are passed over.
"""

from __future__ import annotations

import dataclasses
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from graphopt.errors import UsageError
from graphopt.quant.affine import grid_of
from graphopt.quant.clipping import best_ranges
from graphopt.quant.entropy import best_threshold
from graphopt.quant.histogram import Counts, Histogram
from graphopt.quant.scheme import Scheme

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


class Observer(ABC):
    """Sees a tensor's values and says what range to quantize; one range for the tensor."""

    name: ClassVar[str]

    def observe(self, array: Array) -> None:
        """Take an array of any shape and floating type into account; an empty one changes nothing."""
        with np.errstate(over="ignore"):
            values = np.asarray(array).astype(np.float32, copy=False).ravel()
        if values.size and not np.isfinite([values.min(), values.max()]).all():
            values = values[np.isfinite(values)]
        if values.size:
            self._update(values)

    def range(self, scheme: Scheme) -> tuple[float, float]:
        """The lowest and highest value to represent in `scheme`; (0, 0) before anything was seen.

        Raises:
            UsageError: If the scheme is per axis or block.
        """
        if scheme.axis is not None:
            raise UsageError(f"scheme {scheme}: the range of an activation is observed for the whole tensor")
        low, high = self._range(scheme)
        return min(low, 0.0), max(high, 0.0)

    @abstractmethod
    def _update(self, values: Floats) -> None: ...

    @abstractmethod
    def _range(self, scheme: Scheme) -> tuple[float, float]: ...


@dataclass
class MinMax(Observer):
    """From the lowest to the highest value."""

    name: ClassVar[str] = "minmax"
    _low: float = field(default=0.0, init=False)
    _high: float = field(default=0.0, init=False)

    def _update(self, values: Floats) -> None:
        self._low, self._high = min(self._low, float(values.min())), max(self._high, float(values.max()))

    def _range(self, scheme: Scheme) -> tuple[float, float]:
        return self._low, self._high


@dataclass
class MovingAverage(Observer):
    """Each array's lowest and highest value, averaged with weights that fall for older arrays.

    Attributes:
        momentum: Weight of the newest array against all before, above 0 and at most 1.
    """

    name: ClassVar[str] = "moving-average"
    momentum: float = 0.1
    _ends: tuple[float, float] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not 0 < self.momentum <= 1:
            raise UsageError(f"observer moving-average: momentum is in (0, 1], found {self.momentum:g}")

    def _update(self, values: Floats) -> None:
        newest = float(values.min()), float(values.max())
        low, high = self._ends or newest
        self._ends = low + self.momentum * (newest[0] - low), high + self.momentum * (newest[1] - high)

    def _range(self, scheme: Scheme) -> tuple[float, float]:
        return self._ends or (0.0, 0.0)


@dataclass
class _HistogramObserver(Observer):
    """Ranges from counts of the values."""

    histogram: Histogram = field(default_factory=Histogram, init=False, repr=False)

    def _update(self, values: Floats) -> None:
        self.histogram.add(values)

    def _range(self, scheme: Scheme) -> tuple[float, float]:
        seen = self.histogram
        low, high = self._cut(scheme) if seen.counts.any() else (0.0, 0.0)
        if scheme.symmetric:
            seen_low, seen_high = min(seen.low, -seen.high), max(seen.high, -seen.low)
        else:
            seen_low, seen_high = seen.low, seen.high
        return max(low, seen_low), min(high, seen_high)

    @abstractmethod
    def _cut(self, scheme: Scheme) -> tuple[float, float]: ...


@dataclass
class Percentile(_HistogramObserver):
    """The range that holds `p` per cent of the values, leaving out as many at either end.

    Of a symmetric scheme: the range that holds `p` per cent of the absolute values.

    Attributes:
        p: Above 0 and at most 100.
    """

    name: ClassVar[str] = "percentile"
    p: float = 99.99

    def __post_init__(self) -> None:
        if not 0 < self.p <= 100:
            raise UsageError(f"observer percentile: p is in (0, 100], found {self.p:g}")

    def _cut(self, scheme: Scheme) -> tuple[float, float]:
        seen, outside = self.histogram, 1 - self.p / 100
        if scheme.symmetric:
            counts = seen.magnitudes()
            counts[0] += seen.zeros
            end = _quantile(counts, np.arange(len(counts) + 1.0) * seen.width, 1 - outside)
            return -end, end
        counts = seen.counts.copy()
        counts[-seen.first] += seen.zeros
        return _quantile(counts, seen.edges, outside / 2), _quantile(counts, seen.edges, 1 - outside / 2)


@dataclass
class Entropy(_HistogramObserver):
    """The range whose quantized histogram is nearest the original in Kullback-Leibler divergence.

    See `graphopt.quant.entropy`. Types too wide for a histogram to tell ranges apart get all values.
    """

    name: ClassVar[str] = "entropy"

    def _cut(self, scheme: Scheme) -> tuple[float, float]:
        seen = self.histogram
        if scheme.symmetric:
            end = best_threshold(seen.magnitudes(), scheme.high - scheme.middle + 1) * seen.width
            return -end, end
        levels = scheme.high - scheme.low + 1
        kept = best_threshold(seen.counts, levels)
        clamped = seen.counts[:kept].copy()
        clamped[-1] += seen.counts[kept:].sum()
        dropped = kept - best_threshold(clamped[::-1], levels)
        return float(seen.edges[dropped]), float(seen.edges[kept])


@dataclass
class MeanSquaredError(_HistogramObserver):
    """The range with the least squared error of the values; see `graphopt.quant.clipping`.

    Types too wide for a histogram to tell ranges apart get all values.
    """

    name: ClassVar[str] = "mse"

    def _cut(self, scheme: Scheme) -> tuple[float, float]:
        seen = self.histogram
        if scheme.high - scheme.low > len(seen.counts) // 4:
            return seen.low, seen.high
        low, high = best_ranges(
            seen.centers.astype(np.float32)[np.newaxis],
            np.array([seen.low]),
            np.array([seen.high]),
            grid_of(scheme),
            separate=not scheme.symmetric,
            weights=seen.counts,
            rounds=4,
        )
        return float(low[0]), float(high[0])


OBSERVERS: dict[str, type[Observer]] = {
    kind.name: kind for kind in (MinMax, MovingAverage, Percentile, Entropy, MeanSquaredError)
}
"""Observers by name."""


def make_observer(text: str) -> Observer:
    """A new observer from its name and options: `minmax`, `percentile{p=99.9}`.

    Raises:
        UsageError: If there is no such observer or option, or a value is no number in its range.
    """
    match = re.fullmatch(r"\s*([\w-]+)\s*(?:\{([^{}]*)\})?\s*", text)
    if match is None or match[1] not in OBSERVERS:
        raise UsageError(f"there is no observer {text!r}", hint=f"observers are {', '.join(OBSERVERS)}")
    kind = OBSERVERS[match[1]]
    known = [option.name for option in dataclasses.fields(kind) if option.init]  # type: ignore[arg-type]
    options: dict[str, float] = {}
    for option in (match[2] or "").split(",") if (match[2] or "").strip() else ():
        key, _, value = (part.strip() for part in option.partition("="))
        if key not in known:
            takes = ", ".join(known) or "no options"
            raise UsageError(f"observer {match[1]} has no option {key!r}", hint=f"it takes {takes}")
        try:
            options[key] = float(value)
        except ValueError:
            raise UsageError(f"observer {match[1]}: option {key} is {value!r}, expected a number") from None
    return kind(**options)


def _quantile(counts: Counts, edges: npt.NDArray[np.float64], share: float) -> float:
    """The value below which a share of the counted ones lie, spread evenly over their bins."""
    total = np.concatenate([[0], np.cumsum(counts)])
    return float(np.interp(share * total[-1], total, edges))
