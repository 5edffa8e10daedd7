"""The driver behind `graphopt.optimize`: level -> pipeline -> check -> measure -> report.

Nothing is emitted that was not compared with what came in (unless the caller says so), and nothing that
measures slower. The driver knows no pass by name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from graphopt.compile.emit import forget_claims, stamp, summarize
from graphopt.compile.levels import LEVELS, pipeline_for
from graphopt.compile.opset import convert_opset
from graphopt.compile.result import Result
from graphopt.cost import Target, estimate
from graphopt.io import Interface, ensure_writable, load_with_notes, restore, save
from graphopt.ir import adopt_shapes, drop_false_shapes, infer_shapes, paused_collector
from graphopt.pipeline import FailedPassError, Observer, Pipeline, Record, bisect
from graphopt.report import Candidate, LeftOut, Report

if TYPE_CHECKING:
    import onnx

    from graphopt.cost import ModelCost
    from graphopt.execute import BenchResult, CheckResult, Oracle

LARGE_BYTES = 1 << 30
"""Weights beyond which the models are not measured by default: a runtime's packed copy would double them."""

SHAPES_REPORTED = 3


def optimize(
    model: str | os.PathLike[str] | onnx.ModelProto | ir.Model,
    *,
    level: int = 2,
    passes: str | Pipeline | None = None,
    skip: Sequence[str] = (),
    target: str = "portable",
    shapes: Mapping[str, Sequence[int]] | None = None,
    inputs: Any = None,
    opset: int | str = "keep",
    check: bool = True,
    measure: bool = True,
    threads: int = 1,
    output: str | os.PathLike[str] | None = None,
    observer: Observer | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> Result:
    """Optimize a model, check it against the original, and keep it only if it measures no slower.

    Args:
        model: A file, a `ModelProto` or an `onnx_ir.Model`; it is not changed.
        level: 0 validates and normalizes, 1 allows bit-exact rewrites, 2 those within float tolerance.
        passes: A pipeline or its text, in place of the level's.
        skip: Names of passes to leave out.
        target: Name or file of a target description.
        shapes: Input name -> shape at which the model is checked, costed and measured.
        inputs: Data to check and measure with: a file, a folder, or arrays by input name.
        opset: "keep", or the version of the standard operator set to convert to first.
        check: Compare with the original run without a runtime's own optimizations.
        measure: Compare latencies, and emit the fastest candidate.
        threads: Threads of the runtime while measuring.
        output: File to write, or None.
        observer: Called after each pass with its record and the model.
        progress: Called with the name of each stage.

    Returns:
        The emitted model and the report.

    Raises:
        GraphoptError: The input, an option or the output file is bad. Passes that fail are no error: they are
            left out and named in the report.
    """
    pipeline = pipeline_for(level, passes, skip)
    chosen_target = Target.load(target)
    if output is not None:
        ensure_writable(output)
    driver = _Driver(shapes, inputs, threads, observer, progress)
    with paused_collector():
        with driver.stage("load"):
            original, notes = load_with_notes(model)
            interface = Interface.of(original)
            start = convert_opset(original, opset, notes)
        driver.begin(original, start, interface, notes, check=check)
        made = driver.candidate(f"-O{level}" if passes is None else "pipeline", pipeline)
        chosen, bench = driver.fastest(made, level if passes is None else 0) if measure else (made, None)
        report = driver.report(chosen, bench, _describe(model), chosen_target.name)
        with driver.stage("save"):
            if output is not None:
                save(chosen.model, output)
                report.after.file_bytes = _file_bytes(output)
            if isinstance(model, (str, os.PathLike)):
                report.before.file_bytes = _file_bytes(model)
    return Result(chosen.model, report)


@dataclasses.dataclass
class _Made:
    """A candidate: a finished model and how it came about."""

    name: str
    model: ir.Model
    pipeline: Pipeline
    records: list[Record]
    left_out: list[LeftOut]
    cost: ModelCost
    check: CheckResult | None


class _Driver:
    def __init__(
        self,
        shapes: Mapping[str, Sequence[int]] | None,
        inputs: Any,
        threads: int,
        observer: Observer | None,
        progress: Callable[[str], None],
    ) -> None:
        self._shapes = shapes
        self._inputs = inputs
        self._threads = threads
        self._observer = observer
        self._progress = progress
        self._oracle: Oracle | None = None
        self._candidates: list[Candidate] = []
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage and announce it."""
        self._progress(name)
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin

    def begin(
        self, original: ir.Model, start: ir.Model, interface: Interface, notes: list[str], *, check: bool
    ) -> None:
        """Run the original once, and infer shapes that agree with that run."""
        self._original = original
        self._start = start
        self._interface = interface
        self._notes = notes
        self._before = summarize(original)
        if check:
            from graphopt.execute import Oracle

            with self.stage("oracle"):
                self._oracle = Oracle(original, inputs=self._inputs, shapes=self._shapes, observe_shapes=True)
        with self.stage("shapes"):
            false = self._infer(start)
            self._cost_before = self._estimate(start)
        if false:
            shown = "; ".join(false[:SHAPES_REPORTED])
            more = f"; and {len(false) - SHAPES_REPORTED} more" if len(false) > SHAPES_REPORTED else ""
            notes.append(f"inferred shapes that a real run refuted were not used: {shown}{more}")

    def candidate(self, name: str, pipeline: Pipeline) -> _Made:
        """Run a pipeline, check what it makes, and leave out passes until the result is right."""
        left_out: list[LeftOut] = []
        while True:
            try:
                with self.stage("passes"):
                    model = self._start.clone()
                    adopt_shapes(model)
                    ran = pipeline.run(model, infer=self._infer, observer=self._observer)
                    cost = self._estimate(ran.model)
                    self._finish(ran.model)
                with self.stage("check"):
                    check = self._compare(ran.model)
            except FailedPassError as failure:
                left_out.append(LeftOut(failure.name, failure.message))
                pipeline = _shorter(pipeline, failure.name)
                continue
            if check is None or check.equal or not check.ran or not ran.records:
                return _Made(name, ran.model, pipeline, ran.records, left_out, cost, check)
            guilty = self._blame(pipeline)
            left_out.append(LeftOut(guilty, f"changed the outputs: {check.summary()}"))
            pipeline = _shorter(pipeline, guilty)

    def fastest(self, made: _Made, level: int) -> tuple[_Made, BenchResult | None]:
        """Measure against the original; where that is faster, try lower levels, then keep the original."""
        if self._before.parameter_bytes > LARGE_BYTES:
            self._notes.append("not measured: the weights exceed 1 GiB; `graphopt bench` measures on request")
            return made, None
        with self.stage("measure"):
            bench = self._bench([made])
        if bench is None or not bench.slower(1):
            self._list([made], bench, made)
            return made, bench
        tried = [
            made,
            *(self.candidate(f"-O{lower}", pipeline_for(lower, None, ())) for lower in _lower(level)),
        ]
        with self.stage("measure"):
            bench = self._bench(tried)
        winner = made
        if bench is not None:
            standing = [each for index, each in enumerate(tried, 1) if not bench.slower(index)]
            winner = (
                max(standing, key=lambda each: bench.ratios[tried.index(each) + 1])
                if standing
                else self._as_it_came()
            )
        self._notes.append(f"{made.name} measured slower than the original: emitted {winner.name}")
        self._list(tried, bench, winner)
        return winner, bench

    def report(self, chosen: _Made, bench: BenchResult | None, source: str, target: str) -> Report:
        """Stamp the chosen model with its totals and write the report."""
        version = importlib.metadata.version("graphopt")
        stamp(
            chosen.model,
            {
                **chosen.cost.metadata(),
                "graphopt.pipeline": str(chosen.pipeline),
                "graphopt.version": version,
            },
        )
        return Report(
            version=version,
            source=source,
            target=target,
            pipeline=str(chosen.pipeline),
            before=self._before,
            after=summarize(chosen.model),
            notes=self._notes,
            cost_before=self._cost_before,
            cost_after=chosen.cost,
            records=chosen.records,
            left_out=chosen.left_out,
            check=chosen.check,
            bench=bench,
            candidates=self._candidates,
            seconds=self.seconds,
        )

    def _infer(self, model: ir.Model) -> list[str]:
        infer_shapes(model)
        return drop_false_shapes(model, self._oracle.shapes) if self._oracle is not None else []

    def _estimate(self, model: ir.Model) -> ModelCost:
        return estimate(model, shapes=self._cost_shapes())

    def _cost_shapes(self) -> Mapping[str, Sequence[int]] | None:
        """Shapes at which to cost: those asked for, or of the data given."""
        if self._shapes or self._oracle is None or self._inputs is None:
            return self._shapes
        return {name: np.shape(array) for name, array in self._oracle.input_sets[0].values.items()}

    def _finish(self, model: ir.Model) -> None:
        forget_claims(model)
        restore(model, self._interface, self._oracle.shapes if self._oracle is not None else None)

    def _compare(self, model: ir.Model) -> CheckResult | None:
        return None if self._oracle is None else self._oracle.compare(model)

    def _blame(self, pipeline: Pipeline) -> str:
        def is_good(model: ir.Model) -> bool:
            self._finish(model)
            check = self._compare(model)
            return check is None or check.equal

        with self.stage("bisect"):
            guilty = bisect(self._start, pipeline, is_good, infer=self._infer)
        return "" if guilty is None else guilty.record.name

    def _bench(self, made: Sequence[_Made]) -> BenchResult | None:
        from graphopt.errors import ExecutionError
        from graphopt.execute import bench

        try:
            return bench(
                [self._original, *(each.model for each in made)],
                inputs=self._inputs,
                shapes=self._shapes,
                threads=self._threads,
            )
        except ExecutionError as error:
            self._notes.append(f"not measured: {error}")
            return None

    def _as_it_came(self) -> _Made:
        with self.stage("passes"):
            model = self._start.clone()
            self._finish(model)
        empty = Pipeline(())
        return _Made("original", model, empty, [], [], self._cost_before, self._compare(model))

    def _list(self, tried: Sequence[_Made], bench: BenchResult | None, winner: _Made) -> None:
        self._candidates = [Candidate("original", self._before.nodes, 1.0, winner.name == "original")]
        for index, each in enumerate(tried, 1):
            speedup = None if bench is None else bench.ratios[index]
            self._candidates.append(
                Candidate(each.name, summarize(each.model).nodes, speedup, each is winner)
            )


def _lower(level: int) -> range:
    """Levels below `level` that rewrite anything, best first."""
    return range(level - 1, 0, -1) if level in LEVELS else range(0)


def _shorter(pipeline: Pipeline, name: str) -> Pipeline:
    """The pipeline without one pass; empty where that removes nothing, so that the driver always ends."""
    shorter = pipeline.without(name)
    return shorter if shorter != pipeline else Pipeline(())


def _describe(model: object) -> str:
    return os.fspath(model) if isinstance(model, (str, os.PathLike)) else "in memory"


def _file_bytes(path: str | os.PathLike[str]) -> int:
    """Bytes of a model file and the external data it names."""
    from graphopt.io import files_of

    return sum(os.path.getsize(file) for file in files_of(path))
