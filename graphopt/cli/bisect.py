"""`graphopt bisect MODEL`: which pass breaks it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphopt.cli.console import progress, show, show_json
from graphopt.cli.guard import NEGATIVE, OK, guarded
from graphopt.cli.options import (
    DebugOption,
    InputsOption,
    JsonOption,
    LevelOption,
    ModelArgument,
    PassesOption,
    ShapeOption,
    SkipOption,
    parse_shapes,
)

if TYPE_CHECKING:
    from graphopt.report import LeftOut


@guarded
def command(
    model: ModelArgument,
    level: LevelOption = 2,
    passes: PassesOption = None,
    skip: SkipOption = [],  # noqa: B006
    inputs: InputsOption = None,
    shape: ShapeOption = [],  # noqa: B006
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Find the passes that break a model.

    A pass breaks it that raises, leaves it malformed, or changes its outputs. Each is left out before the
    search goes on. Exits with 1 where there is one.
    """
    shapes = parse_shapes(shape)
    from graphopt.compile import optimize

    with progress(f"bisecting {model.name}") as say:
        report = optimize(
            model,
            level=level,
            passes=passes,
            skip=skip,
            shapes=shapes,
            inputs=inputs,
            measure=False,
            progress=lambda stage: say(f"{model.name}: {stage}"),
        ).report
    if json:
        guilty = [{"pass": each.name, "reason": each.reason} for each in report.left_out]
        show_json({"guilty": guilty, "pipeline": report.pipeline})
    else:
        _show(report.left_out, len(report.records))
    return NEGATIVE if report.left_out else OK


def _show(guilty: list[LeftOut], runs: int) -> None:
    from graphopt.report.units import plural

    if not guilty:
        show(f"no pass breaks the model ({plural(runs, 'pass run')})")
    for each in guilty:
        show(f"{each.name}: {each.reason}")
