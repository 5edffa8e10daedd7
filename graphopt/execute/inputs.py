"""Inputs that fit a model, found by looking at the graph and by cheap trial runs.

Never changes the model. One session serves all trials; a failed trial says at which node it stopped, and
sizes that get further are kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.errors import ExecutionError, LimitError
from graphopt.execute.session import ModelLike, NodeFailure, Session, open_model
from graphopt.execute.sizes import REPRESENTATIVE, Space, Variable, make_space, required_inputs
from graphopt.execute.usage import Usage, trace
from graphopt.execute.values import choice_key, make_value
from graphopt.execute.work import work

DEFAULT_SETS = 2
_MOST_SETS = 4
_MOST_TRIALS = 240
"""Trial runs per binding before giving up; a failed one usually ends at an early node."""
_MOST_ALTERNATIVES = 6
"""Other sizes tried for a dimension in the second binding before it counts as fixed."""
_MOST_SECONDS = 20.0
"""Time per binding before giving up."""
_MOST_ELEMENTS = 1 << 26
_BYTES_PER_ELEMENT = 16
"""Of an input while it is made: double precision first, then what the model takes."""
_LARGE_SHARE = 8
"""One set is enough where its inputs and outputs take more than one part in so many of the memory limit."""
_GROWTH = 8
"""Bindings with inputs this much larger than the first ones are tried after all others."""
_REPRESENTATIVE_WORK = 3_000_000_000
"""A measured run should not cost more than this (see `work`): some 0.03 s on one core."""
_LONGEST_SECONDS = 0.3
"""Nor should it take longer than this, where the estimate of the work was far too low."""


@dataclass(repr=False)
class InputSet:
    """One set of inputs.

    Attributes:
        values: Array (list for a sequence, None for an absent optional) by input name.
        bindings: Size chosen for each free dimension.
        description: The set in one line.
        notes: What was assumed or could not be varied.
    """

    values: dict[str, Any]
    bindings: dict[str, int] = field(default_factory=dict)
    description: str = ""
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        return (
            f"InputSet({', '.join(f'{name} {describe_value(each)}' for name, each in self.values.items())})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Shapes and types instead of the arrays, for JSON."""
        return {
            "inputs": {name: describe_value(value) for name, value in self.values.items()},
            "bindings": dict(self.bindings),
            "description": self.description,
            "notes": list(self.notes),
        }


@dataclass
class Trial:
    """A set of inputs the model ran on, with what it returned."""

    inputs: InputSet
    outputs: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    seconds: float


def make_inputs(
    model: ModelLike,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    seed: int = 0,
    count: int | None = None,
    representative: bool = False,
) -> list[InputSet]:
    """Inputs on which the model runs.

    Args:
        model: The model, only read.
        shapes: Sizes fixed by the user, by input name; a size below 1 leaves that dimension free.
        seed: Seed of all random numbers.
        count: Number of sets; by default two, and more where branches need them.
        representative: One set of the size a user would run, for measuring, instead of small ones.

    Raises:
        UsageError: `shapes` does not fit the model.
        ExecutionError: no sizes were found for which the model runs.
    """
    opened = open_model(model)
    try:
        session = Session(opened)
    except ExecutionError as error:
        return [_unprobed(opened, shapes, seed, error)]
    if representative:
        return [representative_inputs(opened, session, shapes=shapes, seed=seed)]
    return [trial.inputs for trial in find_trials(opened, session, shapes=shapes, seed=seed, count=count)]


def find_trials(
    model: ir.Model,
    session: Session,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    seed: int = 0,
    count: int | None = None,
) -> list[Trial]:
    """`make_inputs` on a session that exists, keeping the outputs of the runs."""
    prober = _Prober(model, session, shapes, seed)
    try:
        first = prober.search(prober.space.start, 0)
    except _NothingRuns as failure:
        if failure.out_of_memory and session.budget is not None:
            raise session.budget.too_large() from failure
        raise
    trials = [first]
    if _is_large(first, session):
        first.inputs.notes.append("one set of inputs: its arrays are large for the memory limit")
        return trials
    unreached: list[str] = []
    for name, values in prober.other_choices(first.inputs.bindings):
        if len(trials) >= (count or _MOST_SETS):
            break
        trial = prober.reach(first.inputs.bindings, name, values, len(trials))
        if trial is None:
            unreached.append(f"{name}{' or '.join(map(str, values))}: no sizes were found for which it runs")
        else:
            trials.append(trial)
    if count is None or len(trials) < count:
        varied, stuck = prober.vary(first.inputs.bindings, len(trials))
        if varied is not None:
            trials.insert(1, varied)
        for name in stuck:
            trials[0].inputs.notes.append(
                f"dimension {name}: no size but {first.inputs.bindings[name]} was found to run"
            )
    trials[0].inputs.notes.extend(unreached)
    while len(trials) < (count or DEFAULT_SETS):
        again = prober.run(first.inputs.bindings, len(trials))
        trials.append(again)
    return trials


def representative_inputs(
    model: ir.Model, session: Session, *, shapes: Mapping[str, Sequence[int]] | None = None, seed: int = 0
) -> InputSet:
    """One set of realistic size for measuring, about 0.03 s a run at most; always the same for one model."""
    prober = _Prober(model, session, shapes, seed)
    best = prober.search(prober.space.start, 0)
    if not any(variable.kind in REPRESENTATIVE for variable in prober.space.variables.values()):
        return best.inputs
    most = _most_elements(prober, best)
    for kind, sizes in REPRESENTATIVE.items():
        names = [name for name, variable in prober.space.variables.items() if variable.kind == kind]
        for moved in [names] if len(names) < 2 else [names, *[[name] for name in names]]:
            best = _grow(prober, best, moved, sizes, most)
    return best.inputs


def _most_elements(prober: _Prober, trial: Trial) -> float:
    """Elements of the inputs of free sizes at which a run costs as much as it may."""
    try:
        observing = Session(prober.model, observe_shapes=True, prepack=False)
        _, shapes = observing.run_observed(trial.inputs.values)
    except ExecutionError:
        return math.inf
    elements = prober.varying(trial.inputs.bindings)
    return _REPRESENTATIVE_WORK * elements / max(1, work(prober.model, shapes))


def _grow(prober: _Prober, best: Trial, names: Sequence[str], sizes: Sequence[int], most: float) -> Trial:
    """The largest of `sizes` for some dimensions with which the inputs have few enough elements."""
    for size in sizes if names else ():
        grown = {**best.inputs.bindings, **dict.fromkeys(names, size)}
        if grown == best.inputs.bindings:
            continue
        larger = prober.varying(grown) > prober.varying(best.inputs.bindings)
        if larger and prober.varying(grown) > most:
            break
        try:
            trial = prober.run(grown, 0)
        except LimitError:
            raise
        except ExecutionError:
            break
        if larger and trial.seconds > _LONGEST_SECONDS:
            break
        best = trial
    return best


class _NothingRuns(ExecutionError):
    """No sizes were found for which the model runs.

    Attributes:
        out_of_memory: Some might, with more memory.
    """

    def __init__(self, message: str, *, hint: str, out_of_memory: bool) -> None:
        super().__init__(message, hint=hint)
        self.out_of_memory = out_of_memory


class _Prober:
    """Tries bindings on one session."""

    def __init__(
        self, model: ir.Model, session: Session, shapes: Mapping[str, Sequence[int]] | None, seed: int
    ) -> None:
        self.model = model
        self.session = session
        self.seed = seed
        self.inputs = required_inputs(model)
        self.usages = {value.name or "": trace(model, value) for value in self.inputs}
        self.space = make_space(model, self.usages, shapes)
        for value in self.inputs:
            _add_choice(self.space, value, self.usages[value.name or ""])

    def run(self, bindings: Mapping[str, int], index: int) -> Trial:
        if self.elements(bindings) > self._most_elements():
            raise NodeFailure("the inputs would be too large to try", position=None, out_of_memory=True)
        values = self.values(bindings, index)
        started = time.perf_counter()
        outputs, observed = self.session.run_observed(values)
        seconds = time.perf_counter() - started
        inputs = InputSet(values, dict(bindings), _describe(values, bindings), self.notes())
        return Trial(inputs, outputs, observed, seconds)

    def _most_elements(self) -> int:
        budget = self.session.budget
        return (
            _MOST_ELEMENTS if budget is None else min(_MOST_ELEMENTS, budget.peak_bytes // _BYTES_PER_ELEMENT)
        )

    def values(self, bindings: Mapping[str, int], index: int) -> dict[str, Any]:
        return {
            name: make_value(
                value, self.usages[name], self.space, bindings, model=self.model, seed=self.seed, index=index
            )
            for name, value in ((value.name or "", value) for value in self.inputs)
        }

    def notes(self) -> list[str]:
        found = []
        for name, usage in self.usages.items():
            if usage.limit is not None:
                found.append(f"{name}: an index, 0 to {usage.limit - 1}")
            elif usage.mask:
                order = "zeros then ones" if usage.hides else "ones then zeros"
                found.append(f"{name}: a mask, {order}")
            elif usage.constants:
                few = ", ".join(f"{number:g}" for number in usage.constants[:4])
                found.append(f"{name}: compared with {few}{' ...' if len(usage.constants) > 4 else ''}")
            elif usage.operands:
                node, _ = usage.operands[0]
                found.append(f"{name}: a parameter of {node.op_type}")
        defaults = [v.name for v in self.model.graph.inputs if v.name in self.model.graph.initializers]
        if defaults:
            found.append(f"{len(defaults)} inputs with defaults were left at them")
        return found

    def other_choices(self, bindings: Mapping[str, int]) -> Iterator[tuple[str, tuple[int, ...]]]:
        """For each branch a scalar input can choose beside the present one, the values that choose it."""
        for name, variable in self.space.variables.items():
            if variable.kind != "choice":
                continue
            for value in variable.candidates[: variable.branches]:
                if value != bindings[name]:
                    yield name, (value,)
            others = variable.candidates[variable.branches :]
            if others and bindings[name] not in others:
                yield name, others

    def reach(
        self, bindings: Mapping[str, int], name: str, values: Sequence[int], index: int
    ) -> Trial | None:
        """A trial with `name` set to the first of `values` that runs."""
        for value in values:
            try:
                return self.search({**bindings, name: value}, index, frozenset({name}))
            except LimitError:
                raise
            except ExecutionError:
                continue
        return None

    def search(self, start: Mapping[str, int], index: int, fixed: frozenset[str] = frozenset()) -> Trial:
        """Bindings that run, by coordinate descent on how far a run gets.

        Raises:
            ExecutionError: none was found within so many trials and so much time.
            LimitError: a run took what was left of the session's budget.
        """
        bindings = dict(start)
        tried: set[tuple[int, ...]] = set()
        deadline = time.perf_counter() + _MOST_SECONDS
        budget = self.session.budget
        reserved = 0.0 if budget is None else budget.seconds_left / 2
        best: tuple[int, NodeFailure] | None = None
        out_of_memory = False
        moves = iter([dict(start)])
        while (candidate := next(moves, None)) is not None:
            key = tuple(candidate.values())
            if key in tried:
                continue
            if len(tried) >= _MOST_TRIALS or time.perf_counter() > deadline:
                break
            if tried and budget is not None and budget.seconds_left < reserved:
                break
            tried.add(key)
            try:
                return self.run(candidate, index)
            except NodeFailure as failure:
                out_of_memory |= failure.out_of_memory
                reached = -1 if failure.position is None else failure.position
                if best is None or reached > best[0]:
                    best = (reached, failure)
                    bindings = candidate
                    moves = iter(self._moves(bindings, fixed))
        assert best is not None
        raise _NothingRuns(
            f"no input sizes were found for which the model runs ({len(tried)} tried); {best[1].message}",
            hint="give the sizes of the inputs, or your own data",
            out_of_memory=out_of_memory,
        )

    def _moves(self, bindings: Mapping[str, int], fixed: frozenset[str]) -> list[dict[str, int]]:
        """Neighbours of a binding: one variable or all of one kind changed; much larger inputs come last."""
        free = {name: v for name, v in self.space.variables.items() if name not in fixed}
        sizes = {name: v for name, v in free.items() if v.kind not in ("choice", "rank")}
        kinds: dict[str, list[str]] = {}
        for name, variable in sizes.items():
            kinds.setdefault(variable.kind, []).append(name)
        changes: list[list[dict[str, int]]] = []
        for name, variable in free.items():
            kin = [bindings[other] for other in sizes if name in sizes and _may_equal(variable, sizes[other])]
            candidates = dict.fromkeys((*kin, *variable.candidates))
            changes.append([{name: size} for size in candidates])
        for names in kinds.values():
            if len(names) > 1:
                changes.append([dict.fromkeys(names, size) for size in sizes[names[0]].candidates])
        # Round-robin over the variables, so that no one is exhausted before another was touched.
        moves = [
            {**bindings, **change} for row in zip_longest(*changes) for change in row if change is not None
        ]
        moves.extend({**bindings, **dict.fromkeys(sizes, size)} for size in (2, 1, 4, 8))
        usual = _GROWTH * self.elements(self.space.start)
        return sorted(moves, key=lambda move: self.elements(move) > usual)

    def elements(self, bindings: Mapping[str, int]) -> int:
        """Elements of all inputs together, sequences and unknown ranks counted roughly."""
        return sum(
            math.prod(max(1, bindings[dim] if isinstance(dim, str) else dim) for dim in dims or ())
            for dims in self.space.dims.values()
        )

    def varying(self, bindings: Mapping[str, int]) -> int:
        """Elements of the inputs that have free dimensions."""
        return sum(
            math.prod(bindings[dim] if isinstance(dim, str) else dim for dim in dims)
            for dims in self.space.dims.values()
            if dims and any(isinstance(dim, str) for dim in dims)
        )

    def vary(self, bindings: Mapping[str, int], index: int) -> tuple[Trial | None, list[str]]:
        """A second binding that differs in as many dimensions as the model allows, and those it does not."""
        groups = self._groups(bindings)
        changed = dict(bindings)
        for names in groups:
            changed.update(dict.fromkeys(names, self._alternatives(names, bindings)[0]))
        if not groups:
            return None, []
        try:
            return self.run(changed, index), []
        except LimitError:
            raise
        except ExecutionError:
            pass
        found: Trial | None = None
        current = dict(bindings)
        stuck: list[str] = []
        for names in groups:
            trial = self._vary_group(names, current, index)
            if trial is None:
                stuck.extend(names)
            else:
                found, current = trial, trial.inputs.bindings
        return found, stuck

    def _vary_group(self, names: list[str], current: Mapping[str, int], index: int) -> Trial | None:
        for moved in [names] if len(names) == 1 else [names, *[[name] for name in names]]:
            for size in self._alternatives(moved, current):
                try:
                    return self.run({**current, **dict.fromkeys(moved, size)}, index)
                except LimitError:
                    raise
                except ExecutionError:
                    continue
        return None

    def _groups(self, bindings: Mapping[str, int]) -> list[list[str]]:
        """Dimensions of one kind and size, which may have to stay equal; image sides vary one by one."""
        groups: dict[tuple[str, int | str], list[str]] = {}
        for name, variable in self.space.variables.items():
            if variable.kind not in ("choice", "rank"):
                groups.setdefault((variable.kind, bindings[name]), []).append(name)
        return list(groups.values())

    def _alternatives(self, names: Sequence[str], bindings: Mapping[str, int]) -> list[int]:
        variable = self.space.variables[names[0]]
        current = bindings[names[0]]
        nearby = sorted(
            (size for size in variable.candidates if 4 * size >= current),
            key=lambda size: abs(size - current),
        )
        ordered = dict.fromkeys((variable.alternative, *variable.candidates[:2], *nearby))
        return [size for size in ordered if size != current][:_MOST_ALTERNATIVES]


def _is_large(trial: Trial, session: Session) -> bool:
    if session.budget is None:
        return False
    values = (*trial.inputs.values.values(), *trial.outputs.values())
    return sum(map(_nbytes, values)) > session.budget.peak_bytes // _LARGE_SHARE


def _nbytes(value: Any) -> int:
    if value is None:
        return 0
    return sum(map(_nbytes, value)) if isinstance(value, list) else int(np.asarray(value).nbytes)


def _may_equal(one: Variable, other: Variable) -> bool:
    """Whether two dimensions are likely to share a size: image sides only with image sides."""
    return one.kind == other.kind or not {"image", "signal"} & {one.kind, other.kind}


def _add_choice(space: Space, value: ir.Value, usage: Usage) -> None:
    name = value.name or ""
    key = choice_key(name)
    if isinstance(value.type, ir.OptionalType):
        space.add(Variable(key, "choice", (1, 0), 0, branches=2), 1)
        return
    scalar = space.dims[name] is not None and all(dim == 1 for dim in space.dims[name] or ())
    if not scalar or not usage.decides or value.dtype is None:
        return
    if value.dtype == ir.DataType.BOOL:
        space.add(Variable(key, "choice", (1, 0), 0, branches=2), 1)
        return
    compared = tuple(int(number) for number in usage.constants if float(number).is_integer())[:3]
    if not compared:
        return
    others = (compared[0] // 2, compared[0] + 1, compared[0] - 1)
    candidates = tuple(dict.fromkeys((*compared, *others)))
    space.add(Variable(key, "choice", candidates, candidates[1], branches=len(compared)), compared[0])


def _unprobed(
    model: ir.Model, shapes: Mapping[str, Sequence[int]] | None, seed: int, error: ExecutionError
) -> InputSet:
    inputs = required_inputs(model)
    usages = {value.name or "": trace(model, value) for value in inputs}
    space = make_space(model, usages, shapes)
    for value in inputs:
        _add_choice(space, value, usages[value.name or ""])
    values = {
        value.name or "": make_value(
            value, usages[value.name or ""], space, space.start, model=model, seed=seed, index=0
        )
        for value in inputs
    }
    note = f"sizes were not tried out: {error.message}"
    return InputSet(values, dict(space.start), _describe(values, space.start), [note])


def describe_value(value: Any) -> str:
    """Type and shape of an input or output in a few characters."""
    if value is None:
        return "absent"
    if isinstance(value, list):
        return f"[{', '.join(describe_value(item) for item in value)}]"
    array = np.asarray(value)
    name = "string" if array.dtype.kind in "OUS" else array.dtype.name
    return f"{name}[{'x'.join(map(str, array.shape))}]"


def _describe(values: Mapping[str, Any], bindings: Mapping[str, int]) -> str:
    parts = [
        f"{name}={value.item()}"
        if isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "iub"
        else f"{name} {describe_value(value)}"
        for name, value in values.items()
    ]
    return ", ".join(parts) if parts else "no inputs"
