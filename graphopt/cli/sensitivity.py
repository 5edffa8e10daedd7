"""`graphopt sensitivity MODEL`: which layers can lose channels, and how many?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.console import progress, show, show_json, tell
from graphopt.cli.guard import OK, guarded
from graphopt.cli.options import (
    CalibrationOption,
    DebugOption,
    JsonOption,
    MetricOption,
    ModelArgument,
    ShapeOption,
    ThreadsOption,
    destination,
    parse_metric,
    parse_shapes,
    parse_shares,
)
from graphopt.errors import UsageError


@guarded
def command(
    model: ModelArgument,
    calibration: CalibrationOption = None,
    metric: MetricOption = None,
    rates: Annotated[
        str,
        typer.Option("--rates", metavar="R,R", help="Shares of a group's units to take."),
    ] = "0.1,0.25,0.5,0.75",
    importance: Annotated[
        str,
        typer.Option(
            "--importance",
            metavar="I",
            help="What orders units: curvature, reconstruction, taylor, hessian, activation, l2, l1, "
            "bn-scale, random.",
        ),
    ] = "curvature",
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE.svg", help="Draw a line for each group.", show_default=False),
    ] = None,
    shape: ShapeOption = [],  # noqa: B006
    threads: ThreadsOption = 1,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Say which layers can lose channels, and how many.

    Each group of channels that go together loses a share of its units, all others none; what that costs is
    told as noise over signal at the outputs, or in the metric. Nothing is pruned."""
    if plot is not None and plot.suffix.lower() != ".svg":
        raise UsageError(f"--plot {plot}: drawings are SVG", hint=f"--plot {plot.stem}.svg")
    shapes = parse_shapes(shape)
    shares = parse_shares(rates, "--rates")
    from graphopt.compile import api
    from graphopt.io import ensure_writable

    if plot is not None:
        ensure_writable(destination(plot))
    with progress(f"scanning {model.name}") as say:
        found = api.sensitivity(
            model, calibration=calibration, metric=parse_metric(metric), rates=shares, importance=importance,
            shapes=shapes, threads=threads, progress=lambda stage: say(f"{model.name}: {stage}"),
        )  # fmt: skip
    if json:
        show_json(found.to_dict())
    else:
        from graphopt.report.sensitivity_tables import sensitivity

        show(*sensitivity(found))
    if plot is not None:
        from graphopt.io.atomic import StagedFile
        from graphopt.report.sensitivity_plot import plot as drawn

        with StagedFile(plot) as staged:
            staged.write(drawn(found).encode())
            staged.commit()
        tell(f"wrote {plot}")
    return OK
