"""Make candidates: run a pipeline on the model, check the outcome, and leave out passes until it is right.

Nothing leaves here unchecked, unless the caller asked for that or the original itself cannot be run. What
is made is neither measured nor chosen here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import onnx_ir as ir

from graphopt.compile.emit import forget_claims
from graphopt.cost import ModelCost, estimate, load_rates
from graphopt.errors import ExecutionError
from graphopt.execute import CheckResult, InputSet, Oracle
from graphopt.io import Interface, restore
from graphopt.ir import adopt_shapes, drop_false_shapes, infer_shapes
from graphopt.pipeline import FailedPassError, Observer, Pipeline, Record, bisect
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

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time the block as a part of the stage `name`."""
        self._announce(name)
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin


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


class Workshop:
    """Makes candidates of one model.

    Args:
        original: The model as it came, the oracle of every check.
        start: The model that pipelines start from: the original, or the same at another opset.
        interface: Of the original, before anything was inferred.
        inputs: Data to check with; made to fit the model if None.
        shapes: Input name -> shape to check and cost at.
        check: Whether to compare candidates with the original.
        stages: Where time is accounted for.
        observer: Called after each pass run.

    Raises:
        ExecutionError: The original cannot be run with the inputs or at the shapes given.

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
        shapes: Mapping[str, Sequence[int]] | None,
        check: bool,
        stages: Stages,
        observer: Observer | None,
    ) -> None:
        self.original = original
        self.notes: list[str] = []
        self._start = start
        self._interface = interface
        self._cost_shapes = shapes
        self._stages = stages
        self._observer = observer
        self._oracle: Oracle | None = None
        self._unchecked: CheckResult | None = None
        if check:
            with stages("oracle"):
                self._ask_oracle(inputs, shapes)
        self._note_defaults()
        with stages("shapes"):
            self._note_false_shapes(self._infer(start))
            self.cost = self._estimate(start)

    def make(self, name: str, pipeline: Pipeline) -> Made:
        """Run a pipeline on a clone, leaving out passes that raise, break the graph or change outputs.

        Raises:
            ExecutionError: Even without any pass the outputs differ from the original's, as after a wrong
                conversion of the opset: nothing that may be emitted is left.
        """
        left_out: list[LeftOut] = []
        while True:
            try:
                made = self._run(name, pipeline)
            except FailedPassError as failure:
                left_out.append(LeftOut(failure.name, failure.reason))
                pipeline = _shorter(pipeline, failure.name)
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

    def as_it_came(self) -> Made:
        """The model without any pass."""
        made = self._run("original", Pipeline(()))
        made.cost = self.cost
        return made

    def unchanged(self, made: Made) -> bool:
        """Whether a candidate computes as the original does, node by node."""
        return self._start is self.original and not any(record.changes for record in made.records)

    def _run(self, name: str, pipeline: Pipeline) -> Made:
        with self._stages("passes"):
            model = self._start.clone()
            adopt_shapes(model, self._start)
            ran = pipeline.run(model, infer=self._infer, observer=self._observer)
            cost = self._estimate(ran.model)
            corrections = self._finish(ran.model)
        with self._stages("check"):
            check = self._compare(ran.model)
        return Made(name, ran.model, pipeline, ran.records, [], cost, check, corrections)

    def _ask_oracle(
        self, inputs: Sequence[InputSet] | None, shapes: Mapping[str, Sequence[int]] | None
    ) -> None:
        try:
            self._oracle = Oracle(self.original, inputs=inputs, shapes=shapes, observe_shapes=True)
        except ExecutionError as error:
            if inputs is not None or shapes is not None:
                error.hint = f"{error.hint or 'give other inputs or shapes'}; --no-check compares nothing"
                raise
            self._unchecked = CheckResult(False, False, reason=error.message)
            self.notes.append(f"not checked, since the original cannot be run: {error.message}")

    def _note_defaults(self) -> None:
        count = sum(port.has_default for port in self._interface.inputs)
        if count:
            self.notes.append(
                f"{count} initializers are graph inputs too, which callers may override, so they are no "
                "constants; if nobody does, `--passes freeze-initializers,-O2` makes them so"
            )

    def _note_false_shapes(self, false: list[str]) -> None:
        if false:
            shown = "; ".join(false[:SHAPES_SHOWN])
            more = f"; and {len(false) - SHAPES_SHOWN} more" if len(false) > SHAPES_SHOWN else ""
            self.notes.append(f"inferred shapes that a real run refuted are not used: {shown}{more}")

    def _infer(self, model: ir.Model) -> list[str]:
        infer_shapes(model)
        return [] if self._oracle is None else drop_false_shapes(model, self._oracle.shapes)

    def _estimate(self, model: ir.Model) -> ModelCost:
        return estimate(model, shapes=self._cost_shapes, rates=load_rates())

    def _finish(self, model: ir.Model) -> list[str]:
        forget_claims(model)
        return restore(model, self._interface, None if self._oracle is None else self._oracle.shapes)

    def _compare(self, model: ir.Model) -> CheckResult | None:
        return self._unchecked if self._oracle is None else self._oracle.compare(model)

    def _blame(self, pipeline: Pipeline) -> str:
        def is_good(model: ir.Model) -> bool:
            self._finish(model)
            check = self._compare(model)
            return check is None or check.equal

        with self._stages("bisect"):
            guilty = bisect(self._start, pipeline, is_good, infer=self._infer)
        return "" if guilty is None else guilty.record.name


def _shorter(pipeline: Pipeline, name: str) -> Pipeline:
    """The pipeline without one pass; empty where that removes nothing, so that making always ends."""
    shorter = pipeline.without(name)
    return shorter if shorter != pipeline else Pipeline(())
