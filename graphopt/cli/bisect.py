"""`graphopt bisect MODEL`: which pass breaks it?"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from graphopt.cli.console import progress, show, show_json, tell_labelled
from graphopt.cli.guard import NEGATIVE, OK, guarded
from graphopt.cli.options import (
    AtolOption,
    DebugOption,
    InputsOption,
    JsonOption,
    LevelOption,
    ModelArgument,
    PassesOption,
    RtolOption,
    ShapeOption,
    SkipOption,
    TargetOption,
    parse_shapes,
)

if TYPE_CHECKING:
    from pathlib import Path

    import onnx_ir as ir

    from graphopt.execute import Oracle
    from graphopt.pipeline import Pipeline


@guarded
def command(
    model: ModelArgument,
    level: LevelOption = 2,
    passes: PassesOption = None,
    skip: SkipOption = [],  # noqa: B006
    target: TargetOption = "portable",
    inputs: InputsOption = None,
    shape: ShapeOption = [],  # noqa: B006
    rtol: RtolOption = None,
    atol: AtolOption = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Find the pass that breaks a model.

    That is the first that raises, leaves the graph malformed, or after which an output is out of tolerance.
    Exits with 1 where there is one.
    """
    shapes = parse_shapes(shape)
    from graphopt.compile import pipeline_for
    from graphopt.compile.given import open_given, read_inputs
    from graphopt.execute import Oracle

    pipeline = pipeline_for(level, passes, skip, target)
    with progress(f"bisecting {model.name}"):
        given = open_given(model)
        loaded = given.model
        data = given.data(read_inputs(inputs, shapes, loaded), shapes)
        oracle = Oracle(loaded, inputs=data.check, shapes=shapes, rtol=rtol, atol=atol, observe_shapes=True)
        guilty = _search(loaded, pipeline, oracle)
    if json:
        show_json({"guilty": None if guilty is None else vars(guilty), "pipeline": str(pipeline)})
    elif guilty is None:
        show("no pass breaks the model")
    else:
        show(f"{guilty.name} breaks the model: {guilty.reason}", *_details(guilty))
        options = {
            "-O": None if level == 2 else level,
            "--passes": passes,
            "--target": None if target == "portable" else target,
            "--inputs": inputs,
        }
        repeated = {"--shape": shape, "--skip": [*skip, guilty.name.partition("{")[0]]}
        tell_labelled("hint", _optimize_command(model, options, repeated), "bold cyan")
    return OK if guilty is None else NEGATIVE


def _optimize_command(model: Path, given: Mapping[str, object], repeated: Mapping[str, Sequence[str]]) -> str:
    """What to type into a shell to optimize a model with these options; those that are None are left out."""
    words = ["graphopt", "optimize", str(model)]
    for option, value in given.items():
        words += [] if value is None else [option, str(value)]
    for option, values in repeated.items():
        words += [word for value in values for word in (option, value)]
    return shlex.join(words)


@dataclasses.dataclass
class Verdict:
    """The guilty pass.

    Attributes:
        name: As it stands in the pipeline.
        reason: What it broke.
        step: Its place among the pass runs, from 1; None where it could not run to its end.
        hits: What it did in that run.
    """

    name: str
    reason: str
    step: int | None = None
    hits: dict[str, int] = dataclasses.field(default_factory=dict)


def _search(model: ir.Model, pipeline: Pipeline, oracle: Oracle) -> Verdict | None:
    from graphopt.ir import drop_false_shapes, infer_shapes
    from graphopt.pipeline import FailedPassError, bisect

    reasons: list[str] = []

    def is_good(candidate: ir.Model) -> bool:
        result = oracle.compare(candidate)
        if not result.equal:
            reasons.append(result.reason)
        return result.equal

    def infer(candidate: ir.Model) -> object:
        infer_shapes(candidate)
        return drop_false_shapes(candidate, oracle.shapes)

    try:
        found = bisect(model, pipeline, is_good, infer=infer)
    except FailedPassError as failure:
        return Verdict(failure.name, failure.reason)
    if found is None:
        return None
    # The search ends at the shortest prefix seen to fail, and each failure seen was shorter than the last.
    return Verdict(found.record.name, reasons[-1], found.step + 1, found.record.hits)


def _details(guilty: Verdict) -> list[str]:
    if guilty.step is None:
        return []
    did = ", ".join(f"{count} {what}" for what, count in guilty.hits.items())
    return [f"in pass run {guilty.step}, where it did: {did}"]
