"""numbers: the outcome computes what the original does, and draws as many random numbers.

Outputs are those of the outcome as it was saved and read again, in onnxruntime without its optimizations, or
in the ONNX reference evaluator where onnxruntime cannot load the original.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.errors import ExecutionError
from graphopt.execute import OutputDifference
from graphopt.testing.check.draws import different_draws
from graphopt.testing.check.failure import Broken, Unchecked
from graphopt.testing.check.noise import movement
from graphopt.testing.check.trial import Trial

NOISE_FACTOR = 8.0
"""Where a tolerance is missed, how many times further than rounding alone moves it an output may be."""


def same_numbers(trial: Trial) -> None:
    """Compare on every set of inputs.

    Raises:
        Broken: An output differs, or the outcome does not run.
        Unchecked: Nobody can run the original.
    """
    oracle = trial.reference.oracle(exact=trial.subject.exact)
    if trial.unchanged:
        if isinstance(oracle, str):
            raise Unchecked(oracle)
        return
    after = ir.from_proto(trial.proto)
    sets = () if isinstance(oracle, str) else oracle.input_sets
    if wrong := different_draws(trial.before, after, sets):
        raise Broken(wrong)
    if isinstance(oracle, str):
        raise Unchecked(oracle)
    in_runtime = oracle.backend == "onnxruntime"
    try:
        results = oracle.run(after, fallback=not in_runtime)
    except ExecutionError as error:
        raise Broken(f"the model runs before, and not after: {error.message}") from error
    exact = trial.subject.exact and in_runtime
    forgiving = not exact and trial.reference.rtol is None
    for each in oracle.judge(results, exact=exact).outputs:
        expected, actual = oracle.outputs[each.input_set], results[each.input_set]
        inputs = oracle.input_sets[each.input_set]
        if each.equal or (forgiving and _is_noise(trial, each, inputs.values)):
            continue
        trial.inputs = inputs.values
        where = inputs.description or "no inputs"
        raise Broken(f"{_told(each, expected.get(each.name), actual.get(each.name))} (with {where})")


def _is_noise(trial: Trial, difference: OutputDifference, inputs: Mapping[str, Any]) -> bool:
    if np.isnan(difference.max_abs) and not difference.same_pattern:
        return False  # of another shape or type
    noise = movement(trial.before, inputs).get(difference.name, 0.0)
    if not difference.same_pattern and not difference.elements:
        return False
    return bool(difference.max_abs <= NOISE_FACTOR * noise) or noise == np.inf


def _told(difference: OutputDifference, expected: Any, actual: Any) -> str:
    text = f"output {difference.name!r}: {difference.reason or 'not the same bits'}"
    place = _worst(expected, actual)
    if place is None:
        return text
    changed = f"{_number(expected[place])} became {_number(actual[place])}"
    largest = f"largest error {difference.max_abs:.3g}, " if difference.same_pattern else ""
    return f"{text}; {largest}at {list(place)} {changed}"


def _worst(expected: Any, actual: Any) -> tuple[int, ...] | None:
    """The index of the element that is furthest off: of another NaN or infinity first."""
    if not (isinstance(expected, np.ndarray) and isinstance(actual, np.ndarray)):
        return None
    if expected.shape != actual.shape or expected.dtype != actual.dtype or not expected.size:
        return None
    if expected.dtype.kind in "OUSb":
        distance = np.asarray(expected != actual, np.float64)
    else:
        wide: Any = np.complex128 if expected.dtype.kind == "c" else np.float64
        one, other = expected.astype(wide), actual.astype(wide)
        with np.errstate(all="ignore"):
            distance = np.abs(one - other)
            odd = np.isnan(distance) & ~(np.isnan(one) & np.isnan(other)) & (one != other)
        if expected.dtype.kind != "c" and not distance.any():
            distance = np.asarray(np.signbit(one) != np.signbit(other), np.float64)
        distance = np.where(odd, np.inf, np.nan_to_num(distance, nan=0.0))
    return tuple(int(index) for index in np.unravel_index(int(np.argmax(distance)), expected.shape))


def _number(element: Any) -> str:
    return repr(element.item() if hasattr(element, "item") else element)
