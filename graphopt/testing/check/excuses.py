"""Differences that prove nothing against a pass: what the runtime, rounding or the standard leave open.

Each is measured on the original; nothing is excused because of what a pass is known to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.errors import ExecutionError
from graphopt.execute import Oracle, OutputDifference, Session, compare
from graphopt.ir import nodes
from graphopt.testing.check.noise import excused, meets_odd_numbers, movement, near, rounded_at_each_node
from graphopt.testing.check.trial import Trial
from graphopt.testing.check.undefined import is_undefined

RUNS_AGAIN = 2
MOST_HALVINGS = 12
"""Of inputs, until nothing overflows."""
_HALVES = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def computes_in_halves(model: ir.Model) -> bool:
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


def excuse(
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
    wrote), or that depend on what the standard leaves undefined, and where rounding is allowed, elements that
    are off by no more than it moves them. Where the original computes with NaN or infinities, elements may
    differ that are so before or after: a pass that is not exact promises numbers (a masked score may be NaN,
    and a Clip makes infinity the largest float). What follows from them is compared on plain inputs (a
    Hardmax of NaN is all zeros), or on smaller ones (what is divided by a sum that overflows is zero). Half
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
    for each in differences:
        if not each.equal and _need_not_agree(trial.before, after, each, oracle, results[each.input_set]):
            results[each.input_set][each.name] = oracle.outputs[each.input_set][each.name]
    if exact or trial.reference.rtol is not None:
        return
    moved: dict[int, dict[str, Any]] = {}
    for each in differences:
        expected: Any = oracle.outputs[each.input_set].get(each.name)
        actual: Any = results[each.input_set].get(each.name)
        inputs = oracle.input_sets[each.input_set].values
        if not each.equal and _are_comparable_sequences(expected, actual):
            parts = movement(trial.before, inputs).get(each.name)
            if parts is not None:
                results[each.input_set][each.name] = list(map(excused, expected, actual, parts))
            continue
        if each.equal or not are_comparable(expected, actual):
            continue
        if meets_odd_numbers(trial.before, inputs):
            actual = _forgiving_odd_ones(expected, actual)
            tame = _tame(trial.before, inputs)
            if tame is not None and _equal(trial.before, after, each.name, tame):
                actual = expected
            results[each.input_set][each.name] = actual
        if expected.dtype.kind in "fV" and computes_in_halves(trial.before):
            rounded: Any = rounded_at_each_node(trial.before, inputs).get(each.name)
            if are_comparable(expected, rounded):
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


def _need_not_agree(
    before: ir.Model,
    after: ir.Model,
    difference: OutputDifference,
    oracle: Oracle,
    results: Mapping[str, Any],
) -> bool:
    """Whether an output is undefined, and where it is defined on plain inputs, the same on these."""
    name, inputs = difference.name, oracle.input_sets[difference.input_set].values
    if not are_comparable(oracle.outputs[difference.input_set].get(name), results.get(name)):
        return False
    if not is_undefined(before, name, inputs):
        return False
    plain = _plain(inputs)
    return plain is inputs or is_undefined(before, name, plain) or _equal(before, after, name, plain)


def _equal(before: ir.Model, after: ir.Model, name: str, inputs: Mapping[str, Any]) -> bool:
    """Whether an output is the same on other inputs, NaN and infinities aside; False if they do not run."""
    try:
        expected, actual = (Session(model).run(inputs)[name] for model in (before, after))
    except ExecutionError:
        return False
    if are_comparable(expected, actual):
        actual = _forgiving_odd_ones(expected, actual)
    return all(each.equal for each in compare({name: expected}, {name: actual}))


def _plain(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Inputs with ones in place of NaN and infinities; the same if there are none."""
    plain = {name: _without_odd_ones(array) for name, array in inputs.items()}
    return inputs if all(plain[name] is inputs[name] for name in inputs) else plain


def _tame(model: ir.Model, inputs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Plain inputs, made smaller until nothing overflows; None if they are plain and that needs too much."""
    tame = plain = _plain(inputs)
    for _ in range(MOST_HALVINGS):
        if not meets_odd_numbers(model, tame):
            return tame
        tame = {name: _halved(array) for name, array in tame.items()}
    return None if plain is inputs else plain


def _halved(array: Any) -> Any:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fV":
        return array
    return (array.astype(np.float64) / 2.0).astype(array.dtype)


def _without_odd_ones(array: Any) -> Any:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fV":
        return array
    finite = np.isfinite(array)
    return array if finite.all() else np.where(finite, array, np.ones((), array.dtype))


def _are_comparable_sequences(expected: Any, actual: Any) -> bool:
    lists = isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual)
    return lists and all(map(are_comparable, expected, actual))


def are_comparable(expected: Any, actual: Any) -> bool:
    """Whether both are arrays of one shape and type."""
    arrays = isinstance(expected, np.ndarray) and isinstance(actual, np.ndarray)
    return arrays and expected.shape == actual.shape and expected.dtype == actual.dtype
