"""What can be asked of the numbers of a lossy pass: that they are off by what so few bits explain, not more.

The yardstick is the original itself with noise on every input, constant and result, of the size that the pass
says it brings in. Far above it lie a scale of the wrong axis, a wrong zero point, codes in the wrong order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.errors import ExecutionError
from graphopt.execute import Oracle
from graphopt.execute.compare import compare_signatures
from graphopt.execute.mixed import MixedEvaluator
from graphopt.io import to_proto
from graphopt.testing.check.noise import meets_odd_numbers

Array = np.ndarray[Any, Any]

SAMPLES = 4
NOISE_FACTOR = 8.0
"""How many times further than the noise moves it an output may be: errors cancel out less than noise does."""
SMALLEST_NOISE = float(np.finfo(np.float32).tiny)
"""No scale is smaller: what is denormal may become zero."""


def explained(
    before: ir.Model,
    oracle: Oracle,
    results: Sequence[dict[str, Any]],
    wrong: set[tuple[int, str]],
    error: float,
) -> set[tuple[int, str]]:
    """Outputs that differ by no more than noise explains.

    Where the original meets NaN or infinities, only shapes and types are looked at: these have no codes.

    Args:
        before: The original; only read, the types of its values are known.
        oracle: What it computes.
        results: What the outcome computes, one mapping per input set.
        wrong: Input set and name of the outputs in question.
        error: Size of the noise on a tensor, as a share of its largest element.
    """
    found: set[tuple[int, str]] = set()
    for index in sorted({index for index, _ in wrong}):
        names = sorted(name for at, name in wrong if at == index)
        expected, actual = oracle.outputs[index], results[index]
        inputs = oracle.input_sets[index].values
        fits = {
            each.name
            for each in compare_signatures({name: expected[name] for name in names}, actual)
            if each.equal
        }
        if meets_odd_numbers(before, inputs):
            found.update((index, name) for name in fits)
            continue
        samples = list(_samples(before, inputs, error))
        found.update(
            (index, name)
            for name in names
            if any(name not in sample for sample in samples)
            or _within(expected[name], actual.get(name), [sample[name] for sample in samples], name in fits)
        )
    return found


def _within(expected: Any, actual: Any, samples: Sequence[Any], fits: bool) -> bool:
    """Whether `actual` is as near to what is expected as the samples are."""
    if any(not _alike(expected, sample) for sample in samples):
        return True  # noise alone changes shapes, or makes NaN
    if not fits or not _alike(expected, actual):
        return False
    if isinstance(expected, list):
        parts = zip(expected, actual, *samples, strict=True)
        return all(_within(part[0], part[1], part[2:], True) for part in parts)
    if expected.dtype.kind not in "fVc":
        return any(not np.array_equal(expected, sample) for sample in samples)
    allowed = NOISE_FACTOR * max(_distance(expected, sample) for sample in samples)
    return _distance(expected, actual) <= allowed


def _alike(expected: Any, other: Any) -> bool:
    """Whether two outputs have one structure, and NaN and infinities at the same places."""
    if isinstance(expected, list) or isinstance(other, list):
        both = isinstance(expected, list) and isinstance(other, list)
        return both and len(expected) == len(other) and all(map(_alike, expected, other))
    if expected is None or other is None:
        return expected is other
    if expected.shape != other.shape or expected.dtype != other.dtype:
        return False
    return expected.dtype.kind not in "fVc" or np.array_equal(_finite(expected), _finite(other))


def _finite(array: Array) -> Array:
    return np.asarray(np.isfinite(_wide(array)))


def _wide(array: Array) -> Array:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def _distance(expected: Array, actual: Array) -> float:
    """Root of the summed squared differences of the finite elements."""
    finite = _finite(expected) & _finite(actual)
    return float(np.linalg.norm((_wide(expected) - _wide(actual))[finite]))


def _samples(model: ir.Model, inputs: Mapping[str, Any], error: float) -> Iterator[dict[str, Any]]:
    """Outputs of the original with noise; none where that does not run, so that anything goes."""
    names = [str(value.name) for value in model.graph.outputs]
    proto = to_proto(model)
    random = np.random.default_rng(0)
    for _ in range(SAMPLES):
        shaken = MixedEvaluator(proto, change=lambda value: _shaken(value, error, random))
        try:
            yield dict(zip(names, shaken.run(names, inputs), strict=True))
        except ExecutionError:
            yield {}


def _shaken(value: Any, error: float, random: np.random.Generator) -> Any:
    if isinstance(value, list):
        return [_shaken(each, error, random) for each in value]
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fV" or not value.size:
        return value
    with np.errstate(all="ignore"):
        wide = value.astype(np.float64)
        largest = np.abs(wide[np.isfinite(wide)]).max(initial=0.0)
        noise = max(error * largest, SMALLEST_NOISE) if largest else 0.0
        return (wide + noise * random.uniform(-1.0, 1.0, value.shape)).astype(value.dtype)
