"""numbers: the outcome computes what the original does, and draws as many random numbers.

Outputs are those of the outcome as it was saved and read again, in onnxruntime without its optimizations, or
in the ONNX reference evaluator where onnxruntime cannot load the original.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.errors import ExecutionError
from graphopt.execute import OutputDifference
from graphopt.execute.support import dying
from graphopt.testing.check.draws import different_draws
from graphopt.testing.check.excuses import are_comparable, computes_in_halves, excuse
from graphopt.testing.check.failure import Broken, Unchecked
from graphopt.testing.check.lossy import explained
from graphopt.testing.check.trial import Trial
from graphopt.testing.check.undefined import averages_nothing


def same_numbers(trial: Trial) -> None:
    """Compare on every set of inputs.

    Raises:
        Broken: An output differs, or the outcome does not run.
        Unchecked: Nobody can run the original.
    """
    oracle = trial.reference.oracle(exact=trial.subject.exact, overrides=trial.subject.keeps_defaults)
    if trial.unchanged:
        if isinstance(oracle, str):
            raise Unchecked(oracle)
        return
    after = ir.from_proto(trial.proto)
    sets = () if isinstance(oracle, str) else oracle.input_sets
    before = trial.before if trial.subject.keeps_defaults else _with_constants(trial.before)
    if wrong := different_draws(before, after, sets):
        raise Broken(wrong)
    if isinstance(oracle, str):
        raise Unchecked(oracle)
    if dying(after) and any(averages_nothing(trial.before, each.values) for each in oracle.input_sets):
        raise Unchecked("it takes the mean of nothing")
    in_runtime = oracle.backend == "onnxruntime"
    try:
        results = oracle.run(after, fallback=not in_runtime)
    except ExecutionError as error:
        if any(averages_nothing(trial.before, each.values) for each in oracle.input_sets):
            raise Unchecked("it takes the mean of nothing") from None
        raise Broken(f"the model runs before, and not after: {error.message}") from None
    exact = trial.subject.exact and in_runtime and not computes_in_halves(trial.before)
    differences = oracle.judge(results, exact=exact).outputs
    if noise := trial.subject.largest_error:
        wrong_ones = {(each.input_set, each.name) for each in differences if not each.equal}
        for index, name in explained(trial.before, oracle, results, wrong_ones, noise):
            results[index][name] = oracle.outputs[index][name]
        differences = oracle.judge(results).outputs
    elif not all(each.equal for each in differences):
        excuse(trial, after, oracle, results, differences, exact=exact)
        differences = oracle.judge(results, exact=exact).outputs
    for each in differences:
        if not each.equal:
            inputs = oracle.input_sets[each.input_set]
            trial.inputs = inputs.values
            outputs = oracle.outputs[each.input_set], results[each.input_set]
            where = inputs.description or "no inputs"
            raise Broken(f"{_told(each, *(one.get(each.name) for one in outputs))} (with {where})")


def _with_constants(model: ir.Model) -> ir.Model:
    """A copy in which the defaults of inputs are constants."""
    copy = model.clone()
    for value in [value for value in copy.graph.inputs if value.is_initializer()]:
        copy.graph.inputs.remove(value)
    return copy


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
    if not are_comparable(expected, actual) or not expected.size:
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
