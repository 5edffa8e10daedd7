"""`graphopt bench A [B ...]`: which model is faster, and by how much?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.console import progress, show, show_json
from graphopt.cli.guard import OK, guarded
from graphopt.cli.options import (
    DebugOption,
    InputsOption,
    JsonOption,
    ShapeOption,
    ThreadsOption,
    parse_shapes,
)


@guarded
def command(
    models: Annotated[
        list[Path],
        typer.Argument(metavar="A [B ...]", help="Models; ratios are to the first.", show_default=False),
    ],
    shape: ShapeOption = [],  # noqa: B006
    inputs: InputsOption = None,
    threads: ThreadsOption = 1,
    seconds: Annotated[
        float, typer.Option("--seconds", metavar="S", min=0.01, help="Time to measure.")
    ] = 2.0,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Measure latencies in onnxruntime.

    The models' runs are interleaved and paired; ratios are to the first."""
    shapes = parse_shapes(shape)
    from graphopt.compile import api

    with progress(f"measuring {', '.join(model.name for model in models)}"):
        result = api.bench(*models, inputs=inputs, shapes=shapes, threads=threads, seconds=seconds)
    if json:
        show_json({"models": [str(model) for model in models], **result.to_dict()})
    else:
        from graphopt.report.check_tables import latencies

        show(*latencies(result, [model.name for model in models]))
    return OK
