"""`graphopt plan MODEL`: in how much memory does it run, and where does each value lie?

Also `graphopt plan --buffers FILE.csv`, for buffers without a model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.guard import guarded
from graphopt.cli.options import DebugOption, JsonOption, ShapeOption
from graphopt.cli.plan_buffers import SECONDS, plan_buffers
from graphopt.errors import UsageError


@guarded
def command(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="MODEL", help="An ONNX file, or script.py:function.", show_default=False),
    ] = None,
    shape: ShapeOption = [],  # noqa: B006
    max_memory: Annotated[
        str | None,
        typer.Option(
            "--max-memory",
            metavar="SIZE",
            help="Run nodes in parts or again so that so much memory, like 256KiB, is enough.",
            show_default=False,
        ),
    ] = None,
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
    buffers: Annotated[
        Path | None,
        typer.Option(
            "--buffers",
            metavar="FILE.csv",
            help="Place buffers instead: id,lower,upper,size, live ranges half-open.",
            show_default=False,
        ),
    ] = None,
    capacity: Annotated[
        int | None,
        typer.Option(
            "--capacity",
            metavar="N",
            min=0,
            help="Bytes that are small enough for --buffers.",
            show_default=False,
        ),
    ] = None,
    time_limit: Annotated[
        float, typer.Option("--time-limit", metavar="S", min=0.0, help="Seconds for --buffers.")
    ] = SECONDS,
    alignment: Annotated[
        int, typer.Option("--alignment", metavar="N", min=1, help="Of offsets of --buffers, in bytes.")
    ] = 1,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Plan in how little memory a model runs.

    Says where each value lies in one arena, what bounds its size, and what is alive at the peak. The model
    is run only where sizes do not follow from its inputs. Exits with 1 where --max-memory is not kept."""
    of_models = {
        "--shape": bool(shape),
        "--max-memory": max_memory is not None,
        "--order": order != "best",
        "--overlap": overlap,
        "--timeline": timeline is not None,
        "--emit-c": emit_c is not None,
        "--output": output is not None,
    }
    of_buffers = {
        "--capacity": capacity is not None,
        "--time-limit": time_limit != SECONDS,
        "--alignment": alignment != 1,
    }
    if buffers is not None:
        if model is not None:
            raise UsageError("both a model and --buffers were given", hint="plan one of them")
        _refuse(of_models, "--buffers")
        return plan_buffers(
            buffers, capacity=capacity, time_limit=time_limit, alignment=alignment, top=top, json=json
        )
    if model is None:
        raise UsageError(
            "no model was given", hint="graphopt plan MODEL, or graphopt plan --buffers FILE.csv"
        )
    _refuse(of_buffers, "a model")
    from graphopt.cli.plan_model import Files, plan_model

    files = Files(output, emit_c, timeline)
    return plan_model(
        model,
        shape=shape,
        max_memory=max_memory,
        order=order,
        overlap=overlap,
        files=files,
        top=top,
        json=json,
    )


def _refuse(given: dict[str, bool], what: str) -> None:
    """Refuse options that say nothing of what is planned."""
    for option, is_given in given.items():
        if is_given:
            raise UsageError(f"{option} is not for {what}")
