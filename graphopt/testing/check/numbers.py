"""numbers: the outcome computes what the original does, and draws as many random numbers.

Outputs are those of the outcome as it was saved and read again, in onnxruntime without its optimizations, or
in the ONNX reference evaluator where onnxruntime cannot load the original.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.errors import ExecutionError
from graphopt.execute import Oracle, OutputDifference, Session, compare
from graphopt.ir import nodes
from graphopt.testing.check.draws import different_draws
from graphopt.testing.check.failure import Broken, Unchecked
from graphopt.testing.check.lossy import explained
from graphopt.testing.check.noise import excused, meets_odd_numbers, movement, near, rounded_at_each_node
from graphopt.testing.check.trial import Trial

RUNS_AGAIN = 2
_HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


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
    in_runtime = oracle.backend == "onnxruntime"
    try:
        results = oracle.run(after, fallback=not in_runtime)
    except ExecutionError as error:
        raise Broken(f"the model runs before, and not after: {error.message}") from None
    exact = trial.subject.exact and in_runtime and not _computes_in_halves(trial.before)
    differences = oracle.judge(results, exact=exact).outputs
    if noise := trial.subject.largest_error:
        wrong_ones = {(each.input_set, each.name) for each in differences if not each.equal}
        for index, name in explained(trial.before, oracle, results, wrong_ones, noise):
            results[index][name] = oracle.outputs[index][name]
        differences = oracle.judge(results).outputs
    elif not all(each.equal for each in differences):
        _excuse(trial, after, oracle, results, differences, exact=exact)
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


def _computes_in_halves(model: ir.Model) -> bool:
    """Whether anything but a Cast gives half floats.

    onnxruntime computes most of these in float32 and rounds between nodes: with fewer nodes, less often.
    """
    made = [node for node in nodes(model) if node.op_type not in ("Cast", "Constant")]
    within = any(value.dtype in _HALVES for node in made for value in node.outputs)
    # Values inside functions have no types; one that holds such a Cast may well compute with it.
    functions = model.functions.values()
    return within or any(_casts_to_half(node) for each in functions for node in each.all_nodes())


def _casts_to_half(node: ir.Node) -> bool:
    to = node.attributes.get("to")
    return node.op_type == "Cast" and to is not None and not to.is_ref() and to.value in _HALVES


def _excuse(
    trial: Trial,
    after: ir.Model,
    oracle: Oracle,
    results: list[dict[str, Any]],
    differences: Sequence[OutputDifference],
    *,
    exact: bool,
) -> None:
    """Put right in `results` what proves nothing.

    That is outputs that the original gives otherwise when it runs again (a runtime's slip: memory that nobody
    wrote), and where rounding is allowed, elements that are off by no more than it moves them. Where
    the original computes with NaN or infinities, elements may differ that are so before or after: a pass that
    is not exact promises numbers (a masked score may be NaN, and a Clip makes infinity the largest float).
    What follows from inputs that are so is compared on plain ones (a Hardmax of NaN is all zeros). Half
    floats may be rounded between all nodes, as the standard has it, or not, as onnxruntime has it.
    """
    wrong = {each.name for each in differences if not each.equal}
    for _ in range(RUNS_AGAIN):
        for index, again in enumerate(oracle.run(trial.before)):
            for each in compare(oracle.outputs[index], again):
                if each.name in wrong and not each.exact:
                    results[index][each.name] = oracle.outputs[index][each.name]
    if any(node.op_type == "Loop" for node in nodes(trial.before)):
        for each in differences:
            stack: Any = oracle.outputs[each.input_set].get(each.name)
            if _are_empty(stack, results[each.input_set].get(each.name)):
                results[each.input_set][each.name] = stack
    if exact or trial.reference.rtol is not None:
        return
    moved: dict[int, dict[str, Any]] = {}
    for each in differences:
        expected: Any = oracle.outputs[each.input_set].get(each.name)
        actual: Any = results[each.input_set].get(each.name)
        if each.equal or not _comparable(expected, actual):
            continue
        inputs = oracle.input_sets[each.input_set].values
        if meets_odd_numbers(trial.before, inputs):
            actual = _forgiving_odd_ones(expected, actual)
            if _equal_on_plain_inputs(trial.before, after, each.name, inputs):
                actual = expected
            results[each.input_set][each.name] = actual
        if expected.dtype.kind in "fV" and _computes_in_halves(trial.before):
            rounded: Any = rounded_at_each_node(trial.before, inputs).get(each.name)
            if _comparable(expected, rounded):
                actual = np.where(near(rounded, actual), expected, actual)
                results[each.input_set][each.name] = actual
        if each.input_set not in moved:
            moved[each.input_set] = movement(trial.before, inputs)
        if each.name in moved[each.input_set]:
            results[each.input_set][each.name] = excused(expected, actual, moved[each.input_set][each.name])


def _are_empty(expected: Any, actual: Any) -> bool:
    """Whether both are arrays of one type without elements: stacks of a Loop that never ran.

    onnxruntime gives these the shape that it knows of their elements, if it knows one.
    """
    arrays = isinstance(expected, np.ndarray) and isinstance(actual, np.ndarray)
    return arrays and not expected.size and not actual.size and expected.dtype == actual.dtype


def _forgiving_odd_ones(expected: Any, actual: Any) -> Any:
    """The outcome with what is expected where either is NaN or infinite."""
    if expected.dtype.kind not in "fV":
        return actual
    finite = [np.isfinite(array.astype(np.float64)) for array in (expected, actual)]
    return np.where(finite[0] & finite[1], actual, expected)


def _equal_on_plain_inputs(before: ir.Model, after: ir.Model, name: str, inputs: Mapping[str, Any]) -> bool:
    """Whether an output is the same once ones stand where inputs are NaN or infinite; False if none are."""
    plain = {each: _without_odd_ones(array) for each, array in inputs.items()}
    if all(plain[each] is inputs[each] for each in inputs):
        return False
    try:
        expected, actual = (Session(model).run(plain)[name] for model in (before, after))
    except ExecutionError:
        return False
    if _comparable(expected, actual):
        actual = _forgiving_odd_ones(expected, actual)
    return all(each.equal for each in compare({name: expected}, {name: actual}))


def _without_odd_ones(array: Any) -> Any:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fV":
        return array
    finite = np.isfinite(array)
    return array if finite.all() else np.where(finite, array, np.ones((), array.dtype))


def _comparable(expected: Any, actual: Any) -> bool:
    """Whether both are arrays of one shape and type."""
    arrays = isinstance(expected, np.ndarray) and isinstance(actual, np.ndarray)
    return arrays and expected.shape == actual.shape and expected.dtype == actual.dtype


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
    if not _comparable(expected, actual) or not expected.size:
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
