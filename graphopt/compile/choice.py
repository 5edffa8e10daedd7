"""Choose what is emitted: the fastest candidate, and never one that measures slower than the original."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from graphopt.compile.candidates import Made, Stages, Workshop
from graphopt.errors import ExecutionError
from graphopt.execute import BenchResult, InputSet, bench
from graphopt.ir import count_nodes
from graphopt.pipeline import Pipeline, format_item
from graphopt.report import Candidate, Quantization
from graphopt.targets import TIE

LARGE_BYTES = 1 << 30
"""Weights beyond which nothing is measured unasked: the runtime's packed copies would double the memory."""

SECONDS = 1.2
"""Time to measure for, without loading; half of it where the difference is clear."""


@dataclasses.dataclass
class Choice:
    """The candidate to emit and what it was chosen among.

    Attributes:
        made: The candidate.
        bench: The measurement; None if there was none.
        candidates: All that were measured, the original first.
        notes: Why it was chosen, where that needs saying.
        quantization: How it was quantized; None where it was not.
    """

    made: Made
    bench: BenchResult | None = None
    candidates: list[Candidate] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    quantization: Quantization | None = None


def fastest(
    workshop: Workshop,
    made: Made,
    fallbacks: Mapping[str, Pipeline],
    *,
    rivals: Mapping[str, Pipeline] | None = None,
    inputs: Sequence[InputSet] | None,
    shapes: Mapping[str, Sequence[int]] | None,
    threads: int,
    stages: Stages,
) -> Choice:
    """Measure a candidate against the original; where it is slower, try others, then keep the original.

    Args:
        workshop: Makes further candidates.
        made: What was asked for.
        fallbacks: Pipelines that do less, by name, best first.
        rivals: Pipelines, by name, that a candidate must not be slower than even where it beats the original.
        inputs: Data to measure with; made to fit the model if None.
        shapes: Input name -> shape to measure at.
        threads: Threads of the runtime.
        stages: Where time is accounted for.
    """
    if made.cost.parameter_bytes > LARGE_BYTES:
        return Choice(
            made, notes=["not measured, since the weights exceed 1 GiB: `graphopt bench` does it on request"]
        )

    if workshop.unchanged(made):
        return Choice(made, notes=["not measured, since there was nothing to change"])

    def measure(tried: Sequence[Made], until_decided: bool = True) -> BenchResult:
        with stages("measure"):
            models = [workshop.original, *(each.model for each in tried)]
            return bench(
                models, inputs=inputs, shapes=shapes, threads=threads, seconds=SECONDS,
                until_decided=until_decided,
            )  # fmt: skip

    try:
        measured = measure([made])
        if not measured.slower(1):
            against = [
                workshop.make(name, rival) for name, rival in (rivals or {}).items() if _differs(made, rival)
            ]
            if not against:
                return Choice(made, measured, listed(workshop, [made], measured, made))
            return _unbeaten(workshop, [made, *against], measure([made, *against], until_decided=False))
        tried = [
            made,
            *(workshop.make(name, less) for name, less in fallbacks.items() if _differs(made, less)),
        ]
        measured = measure(tried)
    except ExecutionError as error:
        others = [workshop.make(name, less) for name, less in fallbacks.items() if _differs(made, less)]
        return _that_runs(workshop, [made, *others], error, inputs=inputs, shapes=shapes, threads=threads)
    standing = [index for index in range(2, len(tried) + 1) if not measured.slower(index)]
    best = min(standing, key=lambda index: measured.ratio(index).median, default=None)
    winner = workshop.as_it_came() if best is None else tried[best - 1]
    note = f"{made.name} measured slower than the original: {winner.name} is taken instead"
    return Choice(winner, measured, listed(workshop, tried, measured, winner), [note])


def _that_runs(
    workshop: Workshop,
    tried: Sequence[Made],
    error: ExecutionError,
    *,
    inputs: Sequence[InputSet] | None,
    shapes: Mapping[str, Sequence[int]] | None,
    threads: int,
) -> Choice:
    """What to emit where measuring failed: nothing that fails as users run it, unless the original does."""

    def runs(model: ir.Model) -> bool:
        try:
            bench([model], inputs=inputs, shapes=shapes, threads=threads, seconds=0.0, min_rounds=1)
        except ExecutionError:
            return False
        return True

    made = tried[0]
    if not runs(workshop.original) or runs(made.model):
        return Choice(made, notes=[f"not measured: {error.message}"])
    winner = next((each for each in tried[1:] if runs(each.model)), None) or workshop.as_it_came()
    return Choice(winner, notes=[f"{made.name} is not emitted, but {winner.name}: {error.message}"])


def _unbeaten(workshop: Workshop, tried: Sequence[Made], measured: BenchResult) -> Choice:
    """The first candidate, or a rival that is clearly faster; where they tie, the first stands."""
    made, *others = tried
    for index, rival in enumerate(others, 2):
        ratio = measured.ratio(1, index)
        if ratio.median > TIE and ratio.interval[0] > 1:
            note = (
                f"{made.name} measured {ratio.median:.2f}x the time of {rival.name}, which is taken instead"
            )
            return Choice(rival, measured, listed(workshop, tried, measured, rival), [note])
    return Choice(made, measured, listed(workshop, tried, measured, made))


def _differs(made: Made, pipeline: Pipeline) -> bool:
    """Whether a pipeline lacks a pass, with its options, that changed something in a candidate."""
    changed = {record.name for record in made.records if record.changes}
    return not changed <= {format_item(each) for each in pipeline.passes()}


def listed(workshop: Workshop, tried: Sequence[Made], measured: BenchResult, winner: Made) -> list[Candidate]:
    """What was measured, the original first, for the report."""
    original = Candidate("original", count_nodes(workshop.original), 1.0, winner not in tried)
    return [
        original,
        *(
            Candidate(each.name, count_nodes(each.model), 1 / measured.ratio(index).median, each is winner)
            for index, each in enumerate(tried, 1)
        ),
    ]
