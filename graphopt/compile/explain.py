"""Explain what a pipeline does to a model and leaves alone: run it, watch one node, write nothing.

The outcome is neither compared with the original nor measured.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from graphopt.compile.given import open_given
from graphopt.compile.levels import nearest as nearest_pass
from graphopt.compile.levels import pipeline_for
from graphopt.compile.opset import convert_opset, passes_against
from graphopt.errors import UsageError
from graphopt.ir import adopt_shapes, count_nodes, infer_shapes, nodes, paused_collector
from graphopt.ir.nearest import nearest
from graphopt.pipeline import FailedPassError, Observer, Pass, Pipeline, PipelineResult, default_catalog
from graphopt.report.explanation import (
    Approach,
    Explanation,
    NodeStory,
    PassStory,
    findings_at,
    of_pass,
    pass_story,
    refusals,
    refusals_told,
)
from graphopt.report.idioms import idioms
from graphopt.report.trail import Standing, Trail, standing_for

if TYPE_CHECKING:
    from graphopt.compile.given import Source

APPROACHES_SHOWN = 3


def explain(
    model: Source,
    example_inputs: Any = None,
    *,
    dynamic_shapes: Any = None,
    node: str | None = None,
    pass_name: str | None = None,
    level: int = 2,
    passes: str | Pipeline | None = None,
    skip: Sequence[str] = (),
    target: str = "portable",
    opset: int | str = "auto",
) -> Explanation:
    """Why nodes were left as they are.

    Args:
        model, example_inputs, dynamic_shapes: As for `optimize`; the model is not changed.
        node: Name of a node, or of a value that it makes, in the model or in the optimized one.
        pass_name: Only what this pass did and refused.
        level, passes, skip, target, opset: As for `optimize`.

    Raises:
        UsageError: There is no such node, or the pass is not in the pipeline.
    """
    pipeline = pipeline_for(level, passes, skip, target).without(*passes_against(opset))
    if pass_name is not None and pass_name not in _names(pipeline):
        named = pass_name in default_catalog()
        hint = (
            f'--passes "-O{level},{pass_name}" puts it there' if named else nearest_pass(pass_name, pipeline)
        )
        raise UsageError(f"{pass_name!r} is not in the pipeline", hint=hint)
    with paused_collector():
        given = open_given(model, example_inputs, dynamic_shapes)
        notes = given.notes
        start = convert_opset(given.model, opset, notes).clone()
        for each in nodes(start):
            each.name = each.name or next((output.name for output in each.outputs if output.name), None)
        infer_shapes(start)
        run = _Run(start, pipeline, notes)
        story = None
        if node is None:
            result = run.through()
        else:
            result, story = _follow(run, node, pass_name)
    records = of_pass(result.records, pass_name)
    return Explanation(
        source=given.source,
        pipeline=str(run.pipeline),
        nodes=(count_nodes(start), count_nodes(result.model)),
        refusals=refusals(records),
        idioms=idioms(records),
        node=story,
        asked_pass=None if pass_name is None else _pass_story(result, run.pipeline, pass_name),
        notes=notes,
    )


class _Run:
    """Runs of one pipeline on one model; passes that fail are left out and noted."""

    def __init__(self, start: ir.Model, pipeline: Pipeline, notes: list[str]) -> None:
        self.start = start
        self.pipeline = pipeline
        self._notes = notes

    def through(self, watch: Iterable[str] = (), observer: Observer | None = None) -> PipelineResult:
        while True:
            model = self.start.clone()
            adopt_shapes(model)
            try:
                return self.pipeline.run(model, observer=observer, watch=watch)
            except FailedPassError as failure:
                self._notes.append(f"{failure.name} is left out: {failure.reason}")
                self.pipeline = self.pipeline.without(failure.name)


def _follow(run: _Run, asked: str, pass_name: str | None) -> tuple[PipelineResult, NodeStory]:
    """Run, and follow the node asked for."""
    names = _names_at(asked, run.start)
    is_original = bool(names)
    if not names:
        result = run.through()
        names = _names_at(asked, result.model)
        if not names:
            raise UsageError(
                f"there is no node or value {asked!r}", hint=_alike(asked, (run.start, result.model))
            )
    trail = Trail(names, run.start)
    before = next(iter(trail.now), None) if is_original else None
    result = run.through(names, trail.after)
    standing = list(standing_for(frozenset(names), result.model))
    ends = [name for each in standing for name in (output.name for output in each.outputs) if name]
    records = of_pass(result.records, pass_name)
    told = refusals_told(records)
    story = NodeStory(
        asked=asked,
        before=before,
        steps=trail.steps,
        now=tuple(map(Standing.of, standing)),
        refusals=told,
        findings=findings_at(records, [*names, *ends]),
        approaches=_approaches(standing, run.pipeline, pass_name, told=bool(told or trail.steps)),
    )
    return result, story


def _names_at(asked: str, model: ir.Model) -> list[str]:
    """Names of the node asked for, of what it makes, and of what it was made of."""
    for each in nodes(model):
        made = [output.name for output in each.outputs if output.name]
        if asked == each.name or asked in made:
            return [name for name in (each.name, *made, *Standing.of(each).sources) if name]
    return []


def _alike(asked: str, models: Iterable[ir.Model]) -> str:
    known = {name for model in models for each in nodes(model) if (name := each.name)}
    close = difflib.get_close_matches(asked, sorted(known), n=3)
    close = close or sorted(name for name in known if asked in name)[:3]
    if not close:
        return "`graphopt inspect MODEL --nodes` lists them"
    return f"did you mean {' or '.join(map(repr, close))}?"


def _approaches(
    standing: Sequence[ir.Node], pipeline: Pipeline, pass_name: str | None, *, told: bool
) -> list[Approach]:
    """Rules that nearly fit around these nodes; of those that lack most, none if there is more to tell."""
    found: dict[tuple[str, str], Approach] = {}
    for item in pipeline.passes():
        name = getattr(item, "name", type(item).__name__)
        if pass_name not in (None, name):
            continue
        for node in standing:
            for each in nearest(node, getattr(item, "rules", ())):
                approach = Approach(
                    name, each.rule.name, each.pattern, each.matched, each.operators,
                    each.place, each.expected, each.found,
                )  # fmt: skip
                found.setdefault((name, each.rule.name), approach)
    ranked = sorted(found.values(), key=lambda each: (each.operators - each.matched, -each.matched))
    for missing in (1, 2):
        near = [each for each in ranked if each.matched >= each.operators - missing and each.matched > 1]
        if near:
            return near[:APPROACHES_SHOWN]
    return [] if told else ranked[:APPROACHES_SHOWN]


def _names(pipeline: Pipeline) -> set[str]:
    return {getattr(each, "name", type(each).__name__) for each in pipeline.passes()}


def _pass_story(result: PipelineResult, pipeline: Pipeline, name: str) -> PassStory:
    summaries = [each.summary() for each in pipeline.passes() if isinstance(each, Pass) and each.name == name]
    return pass_story(of_pass(result.records, name), name, next(iter(summaries), ""))
