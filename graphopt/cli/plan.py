"""`graphopt plan MODEL`: in how much memory does it run, and where does each value lie?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.guard import guarded
from graphopt.cli.options import DebugOption, JsonOption, ModelArgument, ShapeOption


@guarded
def command(
    model: ModelArgument,
    shape: ShapeOption = [],  # noqa: B006
    order: Annotated[
        str, typer.Option("--order", metavar="keep|best", help="Keep the order of nodes, or find the best.")
    ] = "best",
    overlap: Annotated[
        bool,
        typer.Option("--overlap", help="Let convolutions and pools write behind where they read."),
    ] = False,
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=0, help="How much of what is alive at the peak to list.")
    ] = 10,
    timeline: Annotated[
        Path | None,
        typer.Option("--timeline", metavar="FILE.svg", help="Draw the plan.", show_default=False),
    ] = None,
    emit_c: Annotated[
        Path | None,
        typer.Option("--emit-c", metavar="FILE.h", help="Write offsets for firmware.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write the model in the plan's order, the plan in its metadata.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Plan in how little memory a model runs.

    Says where each value lies in one arena, what bounds its size, and what is alive at the peak. The model
    is run only where sizes do not follow from its inputs."""
    from graphopt.cli.plan_model import Files, plan_model

    files = Files(output, emit_c, timeline)
    return plan_model(model, shape=shape, order=order, overlap=overlap, files=files, top=top, json=json)
