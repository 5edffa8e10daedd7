"""A pipeline runs passes in order, verifies the structure after each, and keeps a record of each run.

It checks no numbers and knows no pass by name.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import onnx_ir as ir

from graphopt.errors import GraphoptError
from graphopt.ir import (
    WANTED_OPSET_KEY,
    WATCHED_KEY,
    Changes,
    Finding,
    count_nodes,
    count_operators,
    has_shapes,
    infer_shapes,
    verify,
)
from graphopt.pipeline.base import Outcome, Pass
from graphopt.pipeline.blame import FailedPassError, blaming
from graphopt.pipeline.catalog import default_catalog
from graphopt.pipeline.guests import Sealed, is_guest, process_state_kept
from graphopt.pipeline.kept import Kept, Versions
from graphopt.pipeline.spec import Catalog, Group, Item, format_item, format_items, parse_items
from graphopt.pipeline.time_limit import TimeLimit, default_timeout


@dataclasses.dataclass
class Record:
    """One run of one pass.

    Attributes:
        name: The pass as it stands in the pipeline's text.
        changes: Number of changes.
        hits: Changes by kind.
        refusals: Refused places by reason.
        examples: For each reason, names of the first few nodes.
        nodes_before: Nodes of the model before, Constant not counted.
        nodes_after: The same after.
        seconds: Time spent in the pass.
        findings: Idioms recognised, and what they are written with now.
        told: Reason and node of every refusal of what was watched.
    """

    name: str
    changes: int
    hits: dict[str, int]
    refusals: dict[str, int]
    examples: dict[str, list[str]]
    nodes_before: int
    nodes_after: int
    seconds: float
    findings: list[Finding] = dataclasses.field(default_factory=list)
    told: list[tuple[str, str]] = dataclasses.field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON-able values."""
        return dataclasses.asdict(self)


@dataclasses.dataclass
class PipelineResult:
    """What a pipeline made.

    Attributes:
        model: The model, the same object unless a foreign pass returned another.
        records: One a pass run, in order.
    """

    model: ir.Model
    records: list[Record]


Observer = Callable[[Record, ir.Model], None]


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """An ordered set of passes and groups of passes.

    Attributes:
        items: Passes (ours or any `onnx_ir` pass) and groups that run to a fixed point.
    """

    items: tuple[Item, ...]

    def __init__(self, items: Iterable[Item]) -> None:
        object.__setattr__(self, "items", tuple(items))

    @classmethod
    def parse(cls, text: str, catalog: Catalog | None = None) -> Pipeline:
        """The pipeline that a text stands for: `Pipeline.parse(str(p)) == p`.

        Args:
            text: See `graphopt.pipeline.spec`.
            catalog: Pass name -> class; by default every installed pass.

        Raises:
            UsageError: The text is malformed or names an unknown pass or option.
        """
        return cls(parse_items(text, default_catalog() if catalog is None else catalog))

    def __str__(self) -> str:
        return format_items(self.items)

    def without(self, *texts: str) -> Pipeline:
        """The pipeline with the passes of these names or texts left out, wherever they stand."""
        return Pipeline(_without(self.items, set(texts)))

    def passes(self) -> Iterator[ir.passes.PassBase]:
        """Every pass, groups opened."""
        yield from _flatten(self.items)

    def run(
        self,
        model: ir.Model,
        *,
        infer: Callable[[ir.Model], object] = infer_shapes,
        observer: Observer | None = None,
        limit: int | None = None,
        watch: Iterable[str] = (),
        pass_timeout: float | None = None,
    ) -> PipelineResult:
        """Run on `model`, changing it in place.

        Args:
            model: A valid model.
            infer: Gives it shapes, at the start if it has none, and after passes of other projects.
            observer: Called after each pass with its record and the model.
            limit: Stop after so many pass runs (for bisecting); None for all.
            watch: Names of nodes and values of which records keep every refusal, and of what they become.
            pass_timeout: Seconds that one run of a pass may take; None for a generous limit that grows with
                the model, infinity for none. `graphopt.pipeline.time_limit` says what can be interrupted.

        Raises:
            PassError: A pass raised, took too long, or left a graph that the verifier refuses or another
                interface; `.name` is its text.
        """
        runner = _Runner(model, infer, observer, limit, pass_timeout)
        if not has_shapes(model):
            infer(model)
        if watched := set(watch):
            model.meta[WATCHED_KEY] = watched
        with runner.time_limit:
            runner.items(self.items)
        runner.model.meta.pop(WATCHED_KEY, None)
        return PipelineResult(runner.model, runner.records)


class _Runner:
    def __init__(
        self,
        model: ir.Model,
        infer: Callable[[ir.Model], object],
        observer: Observer | None,
        limit: int | None,
        seconds: float | None,
    ) -> None:
        self.model = model
        self._infer = infer
        self.records: list[Record] = []
        self._observer = observer
        self._limit = limit
        self._count(model)
        self._kept = Kept.of(model, self._nodes)
        self.time_limit = TimeLimit(default_timeout(model, self._nodes) if seconds is None else seconds)
        self._version = 0
        self._clean: dict[str, tuple[int, ...]] = {}

    def items(self, items: Iterable[Item]) -> None:
        for item in items:
            if self._done():
                return
            if isinstance(item, Group):
                self._group(item)
            else:
                self._pass(item)

    def _group(self, group: Group) -> None:
        for _ in range(group.rounds):
            before = self._version
            self.items(group.items)
            if self._version == before or self._done():
                return

    def _pass(self, item: ir.passes.PassBase) -> None:
        text = format_item(item)
        state = self._state()
        if self._clean.get(text) == state:
            return  # nothing has changed since this pass last found nothing to do
        nodes_before = self._nodes
        with blaming(text, self.time_limit):
            start = time.perf_counter()
            versions = Versions.of(self.model)
            result = self._run(item) if self._may_apply(item) else Outcome(self.model, modified=False)
            seconds = time.perf_counter() - start
            changes = result.changes if isinstance(result, Outcome) else _foreign_changes(item, result)
            self.model = result.model
            if changes.count or is_guest(type(item)):
                self._verify(text, versions)
        if changes.count:
            self._version += 1
            if not isinstance(item, Pass):
                self._infer(self.model)
        else:
            self._clean[text] = state
        self._record(text, changes, nodes_before, seconds)

    def _run(self, item: ir.passes.PassBase) -> ir.passes.PassResult:
        """Run a pass within its time; a guest apart from what others share with the model."""
        if not is_guest(type(item)):
            return self.time_limit.call(lambda: item(self.model))
        sealed = Sealed()
        beside = dict(self.model.graph.meta)
        with process_state_kept():
            sealed.seal(self.model)
            try:
                result = self.time_limit.call(lambda: item(self.model))
            finally:
                with contextlib.suppress(Exception):  # the graph may be past walking through
                    sealed.unseal(self.model)
            if result.model is not self.model:
                sealed.unseal(result.model)
        for key, value in beside.items():
            result.model.graph.meta.setdefault(key, value)
        return result

    def _state(self) -> tuple[int, ...]:
        """What a pass finds: the model after so many changes, and the opsets that are waited for."""
        return (self._version, *sorted(self.model.meta.get(WANTED_OPSET_KEY, ())))

    def _may_apply(self, item: ir.passes.PassBase) -> bool:
        """Whether the model holds an operator that the pass starts from; to ask is free, to run it is not."""
        roots = item.roots() if isinstance(item, Pass) else None
        return roots is None or not roots.isdisjoint(self._operators)

    def _count(self, model: ir.Model) -> None:
        self._operators = count_operators(model)
        holds_constants = ("", "Constant") in self._operators
        self._nodes = count_nodes(model) if holds_constants else self._operators.total()

    def _verify(self, text: str, before: Versions) -> None:
        """Hold what a pass left against the rules of every graph, and against what is kept of this one."""
        try:
            verify(self.model)
        except GraphoptError as error:
            raise FailedPassError(text, str(error)) from error
        self._count(self.model)
        if broken := self._kept.violation(self.model, before, self._nodes):
            raise FailedPassError(text, broken)

    def _record(self, text: str, changes: Changes, nodes_before: int, seconds: float) -> None:
        record = Record(
            name=text,
            changes=changes.count,
            hits=dict(changes.hits),
            refusals=dict(changes.refusals),
            examples=changes.examples,
            nodes_before=nodes_before,
            nodes_after=self._nodes,
            seconds=seconds,
            findings=changes.findings,
            told=changes.told,
        )
        self.records.append(record)
        if self._observer is not None:
            self._observer(record, self.model)

    def _done(self) -> bool:
        return self._limit is not None and len(self.records) >= self._limit


def _foreign_changes(item: ir.passes.PassBase, result: ir.passes.PassResult) -> Changes:
    changes = Changes()
    changes.add(type(item).__name__, int(result.modified))
    return changes


def _flatten(items: Iterable[Item]) -> Iterator[ir.passes.PassBase]:
    for item in items:
        if isinstance(item, Group):
            yield from _flatten(item.items)
        else:
            yield item


def _without(items: Iterable[Item], texts: set[str]) -> Iterator[Item]:
    for item in items:
        if isinstance(item, Group):
            yield Group(tuple(_without(item.items, texts)), item.rounds)
        elif format_item(item) not in texts and getattr(item, "name", None) not in texts:
            yield item
