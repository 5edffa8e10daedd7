"""Make candidates: run a pipeline on the model, check the outcome, and leave out passes until it is right.

Nothing leaves here unchecked, unless the caller asked for that or the original itself cannot be run. What
is made is neither measured nor chosen here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from graphopt.compile.background import Background
from graphopt.compile.emit import METADATA_PREFIX, forget_claims, forget_declarations
from graphopt.cost import SHAPES_KEY, ModelCost, estimate, load_rates
from graphopt.errors import DataError, ExecutionError, GraphoptError, LimitError
from graphopt.execute import Budget, CheckResult, InputSet, Oracle
from graphopt.io import Interface, map_external, restore
from graphopt.ir import TAKEN_KEY, adopt_shapes, drop_false_shapes, infer_shapes, value_names
from graphopt.native.work import program_work
from graphopt.pipeline import (
    FailedPassError,
    Observer,
    Pass,
    Pipeline,
    PipelineResult,
    Record,
    bisect,
    described,
    format_item,
)
from graphopt.pytorch.signature import SIGNATURE_KEY, Signature
from graphopt.report import LeftOut

SHAPES_SHOWN = 3


class Stages:
    """Times the stages of an optimization and announces each as it begins.

    Attributes:
        seconds: Time spent, by stage.
    """

    def __init__(self, announce: Callable[[str], None]) -> None:
        self.seconds: dict[str, float] = {}
        self._announce = announce
        self._within: list[float] = []  # seconds of the stages inside each open one

    def tell(self, text: str) -> None:
        """Say how far the present stage has come."""
        self._announce(text)

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time the block as a part of the stage `name`, but for the stages within it."""
        self._announce(name)
        self._within.append(0.0)
        begin = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begin
            self.seconds[name] = self.seconds.get(name, 0.0) + spent - self._within.pop()
            if self._within:
                self._within[-1] += spent


@dataclasses.dataclass
class Made:
    """A candidate: a model ready to be emitted, and how it came about.

    Attributes:
        name: "original", a level, or "pipeline".
        model: With the original's interface and no claims about inner values.
        pipeline: What ran, without the passes left out.
        records: One for each pass run.
        left_out: Passes that broke the model.
        cost: Its cost estimate.
        check: The comparison with the original; None if it was not asked for.
        corrections: Declared shapes that were false and are corrected.
    """

    name: str
    model: ir.Model
    pipeline: Pipeline
    records: list[Record]
    left_out: list[LeftOut]
    cost: ModelCost
    check: CheckResult | None
    corrections: list[str]

    @property
    def lossy(self) -> bool:
        """Whether its outputs differ from the original's, as they are meant to."""
        return any(isinstance(each, Pass) and each.lossy for each in self.pipeline.passes())

    @property
    def reshaped(self) -> bool:
        """Whether values of the original stand in it under their names in other shapes."""
        changed = {record.name for record in self.records if record.changes}
        return any(format_item(each) in changed for each in _reshaping(self.pipeline))


def _reshaping(pipeline: Pipeline) -> list[Pass]:
    return [each for each in pipeline.passes() if isinstance(each, Pass) and each.reshapes]


class Workshop:
    """Makes candidates of one model.

    Args:
        original: The model as it came, the oracle of every check.
        start: The model that pipelines start from: the original, or the same at another opset.
        interface: Of the original, before anything was inferred.
        inputs: Data to check with; made to fit the model if None.
        insisted: The user asked for these inputs or shapes, so it is an error if they do not run.
        shapes: Input name -> shape to check at.
        costed: Input name -> shape to count costs at; None for sizes that are assumed.
        budget: Says of the start, its shapes inferred, what comparing candidates with the original may take;
            None compares nothing.
        stages: Where time is accounted for.
        observer: Called after each pass run.
        pass_timeout: Seconds that one run of a pass may take; see `Pipeline.run`.

    Raises:
        ExecutionError: The original cannot be run with the inputs or at the shapes given.
        LimitError: Comparing takes more than it may; from any method.

    Attributes:
        original: As given; its shapes are inferred.
        cost: Cost estimate of the original.
        notes: What a user should know.
    """

    def __init__(
        self,
        original: ir.Model,
        start: ir.Model,
        interface: Interface,
        *,
        inputs: Sequence[InputSet] | None,
        insisted: bool,
        shapes: Mapping[str, Sequence[int]] | None,
        costed: Mapping[str, Sequence[int]] | None,
        budget: Callable[[ir.Model], Budget] | None,
        stages: Stages,
        observer: Observer | None,
        pass_timeout: float | None = None,
    ) -> None:
        self.original = original
        self.notes: list[str] = []
        self._start = start
        self._interface = interface
        self._insisted = insisted
        self._costed = costed
        self._stages = stages
        self._observer = observer
        self._pass_timeout = pass_timeout
        self._hanging: dict[str, str] = {}
        self._unchecked: CheckResult | None = None
        with stages("shapes"):
            infer_shapes(start)
            self.cost = self._estimate(start)
        self._asked: Background[Oracle | None] | None = None
        if budget is not None:
            map_external(original)  # the oracle and the passes share them, each in a thread of its own
            limits = budget(start)
            self._asked = Background(lambda: self._ask_oracle(inputs, shapes, limits))
        self._refuted: list[str] | None = [] if budget is None else None
        if insisted:
            self._hold_against_oracle()  # what does not fit is told at once

    @property
    def _oracle(self) -> Oracle | None:
        """The oracle, waited for; None if there is none."""
        return None if self._asked is None else self._asked.result()

    def make(self, name: str, pipeline: Pipeline) -> Made:
        """Run a pipeline on a clone, leaving out passes that raise, break the graph or change outputs.

        Raises:
            ExecutionError: Even without any pass the outputs differ from the original's, as after a wrong
                conversion of the opset: nothing that may be emitted is left.
        """
        left_out: list[LeftOut] = []
        for hanging, reason in self._hanging.items():  # once is enough to wait for a pass that never ends
            if (shorter := pipeline.without(hanging)) != pipeline:
                left_out.append(LeftOut(hanging, reason))
                pipeline = shorter
        while True:
            try:
                made = self._run(name, pipeline)
            except FailedPassError as failure:
                if failure.over_time:
                    self._hanging[failure.name] = failure.reason
                left_out.append(LeftOut(failure.name, failure.reason))
                pipeline = _shorter(pipeline, failure.name)
                continue
            except _UnfitError as error:
                guilty = self._blame(pipeline)
                left_out.append(LeftOut(guilty, f"left a model that cannot be used: {error}"))
                pipeline = _shorter(pipeline, guilty)
                continue
            made.left_out = left_out
            if made.check is None or made.check.equal or not made.check.ran:
                return made
            if not made.records:
                raise ExecutionError(
                    f"nothing was written: even without any pass the model differs: {made.check.reason}",
                    hint="if the opset was converted, --opset keep leaves it as it is",
                )
            guilty = self._blame(pipeline)
            left_out.append(LeftOut(guilty, f"changed the model: {made.check.reason}"))
            pipeline = _shorter(pipeline, guilty)

    def extend(
        self, base: Made, name: str, pipeline: Pipeline, *, equal: bool, meta: Mapping[str, Any]
    ) -> Made:
        """Run further passes on a candidate, with all the time they need.

        Args:
            base: The candidate; stays as it is.
            name: Of the new one.
            pipeline: The passes.
            equal: They keep the numbers, so the outcome is compared with the original.
            meta: What the passes find in the model's `meta`.

        Raises:
            FailedPassError: A pass raised, or left a graph that the verifier refuses.
            ExecutionError: The outcome differs though it should not, or has inputs or outputs of other types.
        """
        with self._stages("passes"):
            model = base.model.clone()
            infer = infer_shapes if base.reshaped or _reshaping(pipeline) else self._infer
            infer(model)
            model.meta.update(meta)
            model.meta[SHAPES_KEY] = self._costed
            model.meta[TAKEN_KEY] = self._taken
            watch = [node.name for node in model.graph if node.name]
            ran = pipeline.run(
                model, infer=infer, observer=self._observer, watch=watch, pass_timeout=math.inf
            )
            if retyped := self._interface.retyped(ran.model):
                raise ExecutionError(f"inputs and outputs keep their types, and {'; '.join(retyped)}")
            cost = self._estimate(ran.model)
            with _kept_notes(ran.model):
                corrections = self._finish(ran.model)
        check = None
        if equal and not base.lossy:
            with self._stages("check"):
                check = self._compare(ran.model)
            if check is not None and check.ran and not check.equal:
                raise ExecutionError(f"{name} differs from the original: {check.reason}")
        whole = Pipeline((*base.pipeline.items, *pipeline.items))
        records = [*base.records, *ran.records]
        return Made(name, ran.model, whole, records, base.left_out, cost, check, corrections)

    @property
    def samples(self) -> list[dict[str, Any]] | None:
        """The inputs that candidates are checked with; None if they are not checked."""
        oracle = self._oracle
        return None if oracle is None else [each.values for each in oracle.input_sets]

    def as_it_came(self) -> Made:
        """The model without any pass."""
        made = self._run("original", Pipeline(()))
        made.cost = self.cost
        return made

    def unchanged(self, made: Made) -> bool:
        """Whether a candidate computes as the original does, node by node."""
        return self._start is self.original and not any(record.changes for record in made.records)

    def notes_of(self, made: Made) -> list[str]:
        """What a user should know where a candidate is emitted, beside `notes`."""
        inputs = {value.name for value in made.model.graph.inputs}
        traced: Signature | None = self.original.meta.get(SIGNATURE_KEY)
        state = () if traced is None else traced.state.values()  # what forward writes to is meant to change
        count = sum(
            port.has_default and port.name in inputs and port.name not in state
            for port in self._interface.inputs
        )
        if not count:
            return []
        return [
            f"{count} initializers are graph inputs too, which callers may override, so they are no "
            "constants; if nobody does, `--passes freeze-initializers,-O2` makes them so"
        ]

    def judge(self, compute: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> CheckResult | None:
        """Compare what a function makes of the check's inputs with the original's outputs; None without."""
        oracle = self._oracle
        if oracle is None:
            return self._unchecked
        return oracle.judge([compute(one.values) for one in oracle.input_sets])

    def _run(self, name: str, pipeline: Pipeline) -> Made:
        ran = self._rewrite(pipeline)
        with _told_as_unfit(ran):
            with self._stages("passes"):
                cost = self._estimate(ran.model)
                with _kept_notes(ran.model):
                    corrections = self._finish(ran.model)
            with self._stages("check"):
                check = self._compare(ran.model)
        return Made(name, ran.model, pipeline, ran.records, [], cost, check, corrections)

    def _rewrite(self, pipeline: Pipeline) -> PipelineResult:
        """Run the passes while the oracle runs the original; again if that refutes a shape they relied on."""

        def run() -> PipelineResult:
            with self._stages("passes"):
                model = self._start.clone()
                adopt_shapes(model, self._start)
                model.meta[TAKEN_KEY] = self._taken
                return pipeline.run(
                    model, infer=self._infer, observer=self._observer, pass_timeout=self._pass_timeout
                )

        try:
            ran = run()
        except FailedPassError:
            if not self._hold_against_oracle():
                raise
            return run()
        except DataError:
            with contextlib.suppress(ExecutionError):
                self._oracle  # noqa: B018  a process that ends while onnxruntime is at work is aborted
            raise
        return run() if self._hold_against_oracle() else ran

    def _hold_against_oracle(self) -> bool:
        """Drop inferred shapes that the oracle refutes; whether any was, now that it is first known."""
        if self._refuted is not None:
            return False
        with self._stages("oracle"):
            oracle = self._oracle
        self._refuted = [] if oracle is None else drop_false_shapes(self._start, oracle.shapes)
        self._note_false_shapes(self._refuted)
        if self._refuted:
            self.cost = self._estimate(self._start)
        return bool(self._refuted)

    def _ask_oracle(
        self,
        inputs: Sequence[InputSet] | None,
        shapes: Mapping[str, Sequence[int]] | None,
        budget: Budget,
    ) -> Oracle | None:
        try:
            return Oracle(self.original, inputs=inputs, shapes=shapes, observe_shapes=True, budget=budget)
        except LimitError:
            raise  # it might well run: writing it unchecked is for the user to say
        except ExecutionError as error:
            if self._insisted:
                error.hint = f"{error.hint or 'give other inputs or shapes'}; --no-check compares nothing"
                raise
            self._unchecked = CheckResult(False, False, reason=error.message)
            self.notes.append(f"not checked, since the original cannot be run: {error.message}")
            return None

    def _note_false_shapes(self, false: list[str]) -> None:
        if false:
            shown = "; ".join(false[:SHAPES_SHOWN])
            more = f"; and {len(false) - SHAPES_SHOWN} more" if len(false) > SHAPES_SHOWN else ""
            self.notes.append(f"inferred shapes that a real run refuted are not used: {shown}{more}")

    @functools.cached_property
    def _taken(self) -> frozenset[str]:
        return frozenset(value_names(self._start))

    def _infer(self, model: ir.Model) -> None:
        infer_shapes(model)
        oracle = self._oracle
        if oracle is not None:
            drop_false_shapes(model, oracle.shapes)

    def _estimate(self, model: ir.Model) -> ModelCost:
        return estimate(model, shapes=self._costed, rates=load_rates(), programs=program_work)

    def _finish(self, model: ir.Model) -> list[str]:
        forget_claims(model)
        oracle = self._oracle
        return restore(model, self._interface, None if oracle is None else oracle.shapes)

    def _compare(self, model: ir.Model) -> CheckResult | None:
        """Compare a candidate as it would be written; declarations that make it differ are dropped."""
        oracle = self._oracle
        if oracle is None:
            return self._unchecked
        check = oracle.compare(model, as_written=True)
        if check.equal:
            return check
        bare = model.clone()
        if not forget_declarations(bare):
            return check
        again = oracle.compare(bare, as_written=True)
        if again.equal:
            forget_declarations(model)
            again.notes.append(f"declared types of inner values are left out: {check.reason}")
        return again

    def _blame(self, pipeline: Pipeline) -> str:
        def is_good(model: ir.Model) -> bool:
            try:
                self._estimate(model)
                self._finish(model)
                check = self._compare(model)
            except LimitError:
                raise
            except Exception:  # what no code of ours can read is not good, whatever is wrong with it
                return False
            return check is None or check.equal

        with self._stages("bisect"):
            try:
                guilty = bisect(
                    self._start, pipeline, is_good, infer=self._infer, pass_timeout=self._pass_timeout
                )
            except FailedPassError as failure:  # not in every run, so it may be guilty of anything
                return failure.name
        return "" if guilty is None else guilty.record.name


class _UnfitError(Exception):
    """Passes left a model that no code of ours can read, though the verifier finds it in order."""


@contextlib.contextmanager
def _told_as_unfit(ran: PipelineResult) -> Iterator[None]:
    """Take whatever goes wrong with the outcome of passes as their doing; without any it is a bug of ours."""
    try:
        yield
    except GraphoptError:
        raise
    except Exception as error:
        if not ran.records:
            raise
        raise _UnfitError(described(error)) from error


@contextlib.contextmanager
def _kept_notes(model: ir.Model) -> Iterator[None]:
    """Put back what passes noted of inputs and outputs for passes that follow."""
    ends = (*model.graph.inputs, *model.graph.outputs)
    notes = [
        {key: text for key, text in value.metadata_props.items() if key.startswith(METADATA_PREFIX)}
        for value in ends
    ]
    yield
    for value, noted in zip((*model.graph.inputs, *model.graph.outputs), notes, strict=True):
        value.metadata_props.update(noted)


def _shorter(pipeline: Pipeline, name: str) -> Pipeline:
    """The pipeline without one pass; empty where that removes nothing, so that making always ends."""
    shorter = pipeline.without(name)
    return shorter if shorter != pipeline else Pipeline(())
