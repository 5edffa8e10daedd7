"""How accurate a quantized model is, told from its outputs beside the float model's: metrics by name.

A metric looks at the outputs of all samples together. It runs nothing and knows no labels.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from graphopt.errors import UsageError
from graphopt.quant.measures import cosine, sqnr_db

Array = npt.NDArray[Any]
Outputs = Sequence[Mapping[str, Any]]
"""The outputs of each sample, by name."""

DECISION_THRESHOLD = 0.5
"""Of outputs that are one probability: above it, the answer is yes."""
CTC_BLANK = 0


@dataclass(frozen=True)
class Metric:
    """A measure of how alike outputs are.

    Attributes:
        name: What it is called.
        best: Of outputs that are equal.
        compute: From the arrays of one output, of all samples, expected and actual.
        higher_is_better: False for a distance.
        most: How far it can be from the best.
    """

    name: str
    best: float
    compute: Callable[[Sequence[Array], Sequence[Array]], float]
    higher_is_better: bool = True
    most: float = math.inf

    def __call__(self, expected: Outputs, actual: Outputs) -> float:
        """The metric of the output that fares worst; of outputs in float, where there are such.

        Args:
            expected: Outputs of the float model.
            actual: Of the quantized one, under the same names.
        """
        arrays = {
            name: [np.asarray(each[name]) for each in expected]
            for name, array in (expected[0] if expected else {}).items()
            if isinstance(array, np.ndarray)
        }
        floats = [name for name, found in arrays.items() if _is_float(found[0])]
        values = (
            self.compute(arrays[name], [np.asarray(each[name]) for each in actual])
            for name in floats or arrays
        )
        worst = min if self.higher_is_better else max
        return worst(values, default=self.best)

    def drop(self, value: float) -> float:
        """How much worse a value is than the best; 0 for one that is infinite as the best is."""
        if value == self.best:
            return 0.0
        return self.best - value if self.higher_is_better else value - self.best


def _top_1(expected: Sequence[Array], actual: Sequence[Array]) -> float:
    """Share of answers that are the same.

    An answer is the place of the largest element of a row (last axis); for rows of one probability, whether
    it is above one half; for integers, which are answers already, each element.
    """
    same = [
        (_answers(one) == _answers(other)).ravel()
        for one, other in zip(expected, actual, strict=True)
        if one.size
    ]
    return float(np.mean(np.concatenate(same))) if same else 1.0


def _answers(scores: Array) -> Array:
    if not _is_float(scores):
        return scores
    rows = np.atleast_1d(scores)
    answers: Array = rows > DECISION_THRESHOLD if rows.shape[-1] == 1 else rows.argmax(-1)
    return answers


def _cosine(expected: Sequence[Array], actual: Sequence[Array]) -> float:
    """Mean cosine of a sample's output, as one vector."""
    return float(np.mean([cosine(one, other) for one, other in zip(expected, actual, strict=True)]))


def _sqnr(expected: Sequence[Array], actual: Sequence[Array]) -> float:
    """Signal to noise of all samples together, in dB."""
    return sqnr_db(_joined(expected), _joined(actual))


def _max_abs(expected: Sequence[Array], actual: Sequence[Array]) -> float:
    """Largest difference of two elements; infinite where one alone is NaN or infinite."""
    one, other = _joined(expected), _joined(actual)
    apart = np.zeros_like(one)
    different = ~((one == other) | (np.isnan(one) & np.isnan(other)))
    apart[different] = np.abs(one[different] - other[different])
    return float(np.nan_to_num(apart, nan=math.inf, posinf=math.inf).max(initial=0.0))


def _ctc_text(expected: Sequence[Array], actual: Sequence[Array]) -> float:
    """Share of samples read alike: the best class of each step, without repetitions and blanks (class 0)."""
    same = [_read(one) == _read(other) for one, other in zip(expected, actual, strict=True)]
    return float(np.mean(same)) if same else 1.0


def _read(scores: Array) -> list[list[int]]:
    """The classes of each line, from [batch, steps, classes], [steps, 1, classes] or [steps, classes]."""
    steps = np.argmax(np.atleast_2d(scores), -1)
    lines = steps.T if scores.ndim == 3 and scores.shape[1] == 1 else np.atleast_2d(steps)
    return [
        [
            int(step)
            for place, step in enumerate(line)
            if step != CTC_BLANK and (not place or step != line[place - 1])
        ]
        for line in lines
    ]


def _is_float(array: Array) -> bool:
    """The types that onnx adds to numpy's, bfloat16 and the like, are of kind V."""
    return array.dtype.kind in "fV"


def _joined(arrays: Sequence[Array]) -> Array:
    return np.concatenate([array.astype(np.float64).ravel() for array in arrays])


METRICS = {
    metric.name: metric
    for metric in (
        Metric("top-1", 1.0, _top_1, most=1.0),
        Metric("cosine", 1.0, _cosine, most=2.0),
        Metric("sqnr", math.inf, _sqnr),
        Metric("ctc-text", 1.0, _ctc_text, most=1.0),
        Metric("max-abs", 0.0, _max_abs, higher_is_better=False),
    )
}
"""The metrics there are, by name."""


def parse_metric(name: str) -> Metric:
    """The metric of a name.

    Raises:
        UsageError: There is none.
    """
    if name not in METRICS:
        close = difflib.get_close_matches(name, METRICS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"metrics are {', '.join(METRICS)}"
        raise UsageError(f"there is no metric {name!r}", hint=hint)
    return METRICS[name]
