"""Is one model equal to another: the original, run as written, is the oracle for its rewritten forms.

Runs models and compares outputs; never changes a model. A check that could not run says so and never passes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.errors import ExecutionError, GraphoptError, LimitError
from graphopt.execute.compare import (
    EXACT,
    OutputDifference,
    Tolerance,
    compare,
    compare_signatures,
    default_tolerance,
)
from graphopt.execute.conditioning import rounding_noise
from graphopt.execute.inputs import InputSet, Trial, find_trials
from graphopt.execute.limits import Budget
from graphopt.execute.session import ModelLike, Session, open_model
from graphopt.execute.sizes import required_inputs
from graphopt.execute.support import dying
from graphopt.execute.userdata import fit_inputs
from graphopt.ir import facts, is_deterministic, subgraphs

Shape = tuple[int, ...]

NOISE_FACTOR = 4.0
"""Where a tolerance is missed, a candidate may differ by so many times what rounding alone moves."""

_LOW_PRECISION = (ir.DataType.BFLOAT16, ir.DataType.FLOAT16)
"""Coarsest first."""
_SIZED_BY_ELEMENTS = frozenset({"Compress", "Loop", "NonMaxSuppression", "NonZero", "Range", "Unique"})


@dataclass(repr=False)
class CheckResult:
    """The answer to "are they equal?".

    Attributes:
        ran: Both models were asked; if not, `equal` is False and `reason` says what stopped it.
        equal: Same interface, and all outputs within tolerance on every input set.
        exact: All outputs have the same bits.
        reason: Why the answer is negative, or "".
        outputs: One entry per output and input set.
        input_sets: The inputs used.
        notes: What was assumed, left out or worth knowing.
    """

    ran: bool
    equal: bool
    exact: bool = False
    reason: str = ""
    outputs: list[OutputDifference] = field(default_factory=list)
    input_sets: list[InputSet] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        return (
            f"CheckResult(ran={self.ran}, equal={self.equal}, exact={self.exact}, reason={self.reason!r}, "
            f"{len(self.outputs)} outputs, {len(self.input_sets)} input sets)"
        )

    @property
    def worst(self) -> list[OutputDifference]:
        """Per output, the input set on which it differs most."""
        found: dict[str, OutputDifference] = {}
        for difference in self.outputs:
            present = found.get(difference.name)
            if present is None or _severity(difference) > _severity(present):
                found[difference.name] = difference
        return list(found.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "ran": self.ran,
            "equal": self.equal,
            "exact": self.exact,
            "reason": self.reason,
            "outputs": [difference.to_dict() for difference in self.outputs],
            "input_sets": [one.to_dict() for one in self.input_sets],
            "notes": list(self.notes),
        }


def _severity(difference: OutputDifference) -> tuple[bool, float, float]:
    def number(value: float) -> float:
        return float("inf") if np.isnan(value) else value

    return not difference.equal, number(difference.max_rel), number(difference.max_abs)


class Oracle:
    """The outputs of the original model, to which candidates are compared.

    Args:
        model: The original; only read.
        inputs: Sets of inputs; made to fit the model if not given.
        shapes: Sizes fixed by the user, for inputs that are made.
        seed: Seed of the inputs.
        count: Number of sets made.
        rtol: Relative tolerance of float outputs; by default that of each output's type.
        atol: Absolute tolerance likewise.
        observe_shapes: Fill `shapes`.
        forgive: Let candidates that miss a tolerance be off by what rounding alone moves the original.
        budget: What all runs, the original's and its candidates', may take; without, there is no limit.

    Attributes:
        input_sets: The inputs used.
        outputs: The oracle's outputs, one mapping per input set.
        shapes: Real shapes of main-graph tensors per input set, by value name (of a very large graph, of the
            most telling ones); empty if not asked for.
        backend: What ran the original: "onnxruntime" or "onnx.reference".
        nondeterministic: Outputs that hold unseeded random numbers; only their shapes and types are compared,
            and only ranks where such numbers decide the sizes.
        notes: What was assumed or left out.

    Raises:
        ExecutionError: the original cannot be run, or no inputs were found for which it runs; a `LimitError`
            where the budget is too small to tell.
        UsageError: `inputs` or `shapes` do not fit the model.
    """

    def __init__(
        self,
        model: ModelLike,
        *,
        inputs: Sequence[InputSet] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        seed: int = 0,
        count: int | None = None,
        rtol: float | None = None,
        atol: float | None = None,
        observe_shapes: bool = False,
        forgive: bool = True,
        budget: Budget | None = None,
    ) -> None:
        self._model = open_model(model)
        self._budget = budget
        self._rtol = rtol
        self._atol = atol
        self._forgive = forgive
        self.notes: list[str] = []
        self._noise: dict[int, dict[str, float]] = {}
        self._floor = _working_precision(self._model)
        if self._floor != EXACT and rtol is None:
            self.notes.append(f"computes in half precision: compared with rtol {self._floor.rtol:g}")
        session = self._open(observe_shapes)
        self.backend = session.backend
        if session.backend != "onnxruntime":
            self.notes.append("run by the ONNX reference evaluator: onnxruntime cannot load the model")
        trials = (
            find_trials(self._model, session, shapes=shapes, seed=seed, count=count)
            if inputs is None
            else [_trial(session, one) for one in fit_inputs(self._model, inputs)]
        )
        del session
        self.input_sets = [trial.inputs for trial in trials]
        self.outputs = [trial.outputs for trial in trials]
        self.shapes = _by_value(trials)
        self._stateful = not all(is_deterministic(node) for node in self._model.graph)
        self.nondeterministic: frozenset[str] = frozenset()
        self._unsized: set[str] = set()
        if self._stateful:
            self._settle_random_outputs()

    def compare(self, candidate: ModelLike, *, exact: bool = False, as_written: bool = False) -> CheckResult:
        """Run a candidate on the oracle's inputs and compare.

        Args:
            candidate: A rewritten form of the original; only read.
            exact: Ask for the same bits instead of the tolerances.
            as_written: With the types and shapes that it declares of intermediate values, and by the runtime
                that runs the original alone.

        Returns:
            The result; a candidate that cannot be loaded or run is a negative answer, not an error.

        Raises:
            LimitError: The budget is spent.
        """
        try:
            opened = open_model(candidate)
            if differences := interface_differences(self._model, opened):
                return self._negative("; ".join(differences), self._all_notes())
            alone = as_written and self.backend == "onnxruntime"
            results = self.run(opened, fallback=not alone, annotate=as_written)
        except LimitError:
            raise
        except GraphoptError as error:
            return self._negative(f"the rewritten model does not run: {error.message}", self._all_notes())
        return self.judge(results, exact=exact)

    def judge(self, results: Sequence[Mapping[str, Any]], *, exact: bool = False) -> CheckResult:
        """Compare outputs that something else computed from the oracle's inputs.

        Args:
            results: Arrays by output name, one mapping per input set.
            exact: Ask for the same bits instead of the tolerances.
        """
        notes = self._all_notes()
        outputs: list[OutputDifference] = []
        for index, (expected, actual) in enumerate(zip(self.outputs, results, strict=True)):
            outputs.extend(self._compare_set(index, expected, actual, exact=exact))
        if not exact and self._forgive:
            outputs = [self._weigh(difference, notes) for difference in outputs]
        wrong = [difference for difference in outputs if not difference.equal]
        for difference in wrong:
            tie = self._near_ties(difference, results[difference.input_set])
            if tie:
                notes.append(tie)
        settled = all(one.exact for one in outputs if one.name not in self.nondeterministic)
        if wrong:
            first = wrong[0]
            where = self.input_sets[first.input_set].description
            return self._negative(f"output {first.name!r}: {first.reason} (with {where})", notes, outputs)
        return CheckResult(True, True, settled, "", outputs, self.input_sets, notes)

    def _negative(
        self, reason: str, notes: list[str], outputs: Sequence[OutputDifference] = ()
    ) -> CheckResult:
        return CheckResult(True, False, False, reason, list(outputs), self.input_sets, notes)

    def _all_notes(self) -> list[str]:
        notes = [*self.notes, *(note for one in self.input_sets for note in one.notes)]
        return list(dict.fromkeys(notes))

    def _open(self, observe_shapes: bool) -> Session:
        if not observe_shapes:
            return Session(self._model, prepack=False, budget=self._budget)
        try:
            return Session(self._model, observe_shapes=True, prepack=False, budget=self._budget)
        except LimitError:
            raise
        except ExecutionError:
            session = Session(self._model, prepack=False, budget=self._budget)
            self.notes.append("the shapes of intermediate values could not be observed")
            return session

    def run(self, model: ir.Model, *, fallback: bool = True, annotate: bool = False) -> list[dict[str, Any]]:
        """The outputs of a candidate, one mapping per input set.

        Args:
            model: The candidate; only read.
            fallback: Let the ONNX reference evaluator run what onnxruntime lacks.
            annotate: Tell the runtime the declared types and shapes of intermediate values.

        Raises:
            ExecutionError: It cannot be run.
            LimitError: The budget is spent.
        """
        for node in dying(model):
            if any(
                0 in shape
                for value in node.inputs
                if value
                for shape in self.shapes.get(value.name or "", ())
            ):
                raise ExecutionError(f"onnxruntime cannot run {node.op_type} of nothing, as {node.name!r} is")
        results = []
        session = None
        for one in self.input_sets:
            if session is None or self._stateful:  # seeded random operators need a new one to start alike
                session = Session(
                    model, prepack=False, fallback=fallback, annotate=annotate, budget=self._budget
                )
            results.append(session.run(one.values))
        return results

    def _settle_random_outputs(self) -> None:
        self.outputs = self.run(self._model)
        again = self.run(self._model)
        differing = {
            difference.name
            for first, second in zip(self.outputs, again, strict=True)
            for difference in compare(first, second, rtol=0.0, atol=0.0)
            if not difference.exact
        }
        random = differing | _random_outputs(self._model)
        self.nondeterministic = frozenset(random)
        self._unsized = _unsized_outputs(self._model)
        for name in (value.name for value in self._model.graph.outputs):
            if name in random:
                self.notes.append(f"output {name!r} is random: only its shape and type are compared")

    def _compare_set(
        self, index: int, expected: Mapping[str, Any], actual: Mapping[str, Any], *, exact: bool
    ) -> list[OutputDifference]:
        settled = {name: value for name, value in expected.items() if name not in self.nondeterministic}
        random = {name: value for name, value in expected.items() if name in self.nondeterministic}
        rtol, atol = self._rtol, self._atol
        found = compare(settled, actual, rtol=rtol, atol=atol, floor=self._floor, input_set=index)
        if exact:
            found = [_demand_exact(difference) for difference in found]
        for name in random.keys() & self._unsized & actual.keys():
            one, other = random[name], actual[name]
            arrays = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
            if arrays and (one.ndim, one.dtype) == (other.ndim, other.dtype):
                random[name] = other
        return [*found, *compare_signatures(random, actual, input_set=index)]

    def _weigh(self, difference: OutputDifference, notes: list[str]) -> OutputDifference:
        """Excuse a difference of the size that rounding alone makes in the original, and say so by name."""
        if difference.equal or not difference.same_pattern or self._rtol is not None:
            return difference
        if self._stateful:  # two runs of the original differ by more than rounding
            return difference
        index = difference.input_set
        if index not in self._noise:
            self._noise[index] = rounding_noise(
                self._model, self.input_sets[index].values, self.outputs[index], budget=self._budget
            )
        noise = self._noise[index].get(difference.name, 0.0)
        if not difference.max_abs <= NOISE_FACTOR * noise:
            return difference
        notes.append(
            f"output {difference.name!r}: differs by up to {difference.max_abs:.1e}, looser than its "
            f"tolerance; rounding alone moves it by {noise:.1e} in the original"
        )
        return replace(difference, equal=True, reason="")

    def _near_ties(self, difference: OutputDifference, actual: Mapping[str, Any]) -> str:
        """For an index output that differs: how many indices are chosen between nearly equal scores."""
        chooser = _chooser(self._model, difference.name)
        expected = self.outputs[difference.input_set][difference.name]
        if chooser is None or not isinstance(expected, np.ndarray) or difference.name not in actual:
            return ""
        scores_name = chooser.inputs[0].name if chooser.inputs[0] is not None else None
        try:
            session = Session(self._model, extra_outputs=[scores_name or ""], budget=self._budget)
            scores = session.run(self.input_sets[difference.input_set].values)[scores_name or ""]
        except LimitError:
            raise
        except ExecutionError:
            return ""
        axis = chooser.attributes.get_int("axis", 0) or 0
        shape = [1 if i == axis % scores.ndim else size for i, size in enumerate(scores.shape)]
        mine, theirs = np.asarray(expected), np.asarray(actual[difference.name])
        if mine.size != int(np.prod(shape)) or mine.shape != theirs.shape:
            return ""
        one = np.take_along_axis(scores, mine.reshape(shape).astype(np.int64), axis)
        other = np.take_along_axis(scores, theirs.reshape(shape).astype(np.int64), axis)
        close = compare({"": one}, {"": other}, rtol=self._rtol, atol=self._atol, floor=self._floor)[0]
        ties = difference.mismatched - close.mismatched
        return (
            f"output {difference.name!r}: {ties} of the {difference.mismatched} different indices are "
            f"near-ties, chosen between scores that are equal within tolerance"
        )


def check(
    original: ModelLike,
    candidate: ModelLike,
    *,
    inputs: Sequence[InputSet] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    exact: bool = False,
    seed: int = 0,
) -> CheckResult:
    """Compare two models on inputs that fit the first.

    Returns:
        The result; `ran` is False where the original cannot be run (custom operators, no fitting sizes).

    Raises:
        LoadError: a path cannot be read as a model.
        UsageError: `inputs` or `shapes` do not fit the model.
    """
    first, second = open_model(original), open_model(candidate)
    if differences := interface_differences(first, second):
        return CheckResult(True, False, reason="; ".join(differences))
    try:
        oracle = Oracle(first, inputs=inputs, shapes=shapes, seed=seed, rtol=rtol, atol=atol)
    except ExecutionError as error:
        return CheckResult(False, False, reason=error.message, notes=[error.hint] if error.hint else [])
    return oracle.compare(second, exact=exact)


def interface_differences(original: ir.Model, candidate: ir.Model) -> list[str]:
    """How the inputs (without defaults) and outputs of two models differ: names, order and types."""
    return [
        *input_differences(original, candidate),
        *_value_differences("output", original.graph.outputs, candidate.graph.outputs),
    ]


def input_differences(original: ir.Model, candidate: ir.Model) -> list[str]:
    """How the inputs (without defaults) of two models differ: names, order and types."""
    return _value_differences("input", required_inputs(original), required_inputs(candidate))


def _value_differences(kind: str, expected: Sequence[ir.Value], actual: Sequence[ir.Value]) -> list[str]:
    before = {value.name or "": value for value in expected}
    after = {value.name or "": value for value in actual}
    found = [f"{kind} {name!r} is missing" for name in before if name not in after]
    found += [f"{kind} {name!r} is new" for name in after if name not in before]
    if not found and list(before) != list(after):
        found.append(f"the {kind}s are in another order: {', '.join(after)} instead of {', '.join(before)}")
    for name in before:
        if name not in after:
            continue
        one, other = before[name].type, after[name].type
        if one is not None and other is not None and one != other:
            found.append(f"{kind} {name!r} has type {other}, expected {one}")
    return found


def _trial(session: Session, inputs: InputSet) -> Trial:
    outputs, shapes = session.run_observed(inputs.values)
    return Trial(inputs, outputs, shapes, 0.0)


def _by_value(trials: Sequence[Trial]) -> dict[str, list[Shape]]:
    shapes: dict[str, list[Shape]] = {}
    for trial in trials:
        for name, shape in trial.shapes.items():
            shapes.setdefault(name, []).append(shape)
    return shapes


def _demand_exact(difference: OutputDifference) -> OutputDifference:
    if difference.exact or not difference.equal:
        return difference
    return replace(difference, equal=False, reason="within tolerance, but not the same bits")


def _working_precision(model: ir.Model) -> Tolerance:
    """Tolerance of the coarsest float type activations are computed in; `EXACT` for float32 and finer."""
    used = {value.dtype for value in model.graph.inputs}
    for node in model.graph.all_nodes():
        source = node.inputs[0] if node.inputs else None
        if node.op_type == "Cast" and source is not None and source.const_value is None:
            used.add(ir.DataType(node.attributes.get_int("to", 1) or 1))
    for dtype in _LOW_PRECISION:
        if dtype in used:
            return default_tolerance(dtype.numpy())
    return EXACT


def _random_outputs(model: ir.Model) -> set[str]:
    """Outputs that unseeded random operators reach."""
    reached: set[ir.Value] = set()
    for node in model.graph:
        if any(value in reached for value in _read_by(node)) or _draws(model, node):
            reached.update(node.outputs)
    return {value.name or "" for value in model.graph.outputs if value in reached}


def _unsized_outputs(model: ir.Model) -> set[str]:
    """Outputs whose sizes unseeded random operators decide."""
    random: set[ir.Value | None] = set()
    unsized: set[ir.Value | None] = set()
    for node in model.graph:
        read = set(_read_by(node)) - {None}
        sizes = {node.inputs[index] for index in facts(node).shape_inputs if index < len(node.inputs)}
        if read & unsized or sizes & random or (read & random and node.op_type in _SIZED_BY_ELEMENTS):
            unsized.update(node.outputs)
        if read & random or _draws(model, node):
            random.update(node.outputs)
    return {value.name or "" for value in model.graph.outputs if value in unsized}


def _read_by(node: ir.Node) -> Iterator[ir.Value | None]:
    """What a node reads: its inputs, and what its bodies take from around them."""
    yield from node.inputs
    for body in subgraphs(node):
        for inner in body:
            yield from _read_by(inner)
        yield from body.outputs


def _draws(model: ir.Model, node: ir.Node) -> bool:
    function = model.functions.get(node.op_identifier())
    if function is not None:
        return any(_draws(model, inner) for inner in function)
    bodies = subgraphs(node)
    if bodies:
        return any(_draws(model, inner) for body in bodies for inner in body)
    random = facts(node).random or (node.op_type == "Dropout" and not is_deterministic(node))
    return random and "seed" not in node.attributes


def _chooser(model: ir.Model, output: str) -> ir.Node | None:
    """The ArgMax or ArgMin whose indices an output shows, through casts and reshapes."""
    value = next((value for value in model.graph.outputs if value.name == output), None)
    node = value.producer() if value is not None else None
    while node is not None and (node.op_type == "Cast" or facts(node).view):
        node = node.inputs[0].producer() if node.inputs[0] is not None else None
    return node if node is not None and node.op_type in ("ArgMax", "ArgMin") else None
