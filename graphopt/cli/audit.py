"""`graphopt audit MODEL`: what of it runs in int8, and why not the rest?"""

from __future__ import annotations

from typing import Annotated

import typer

from graphopt.cli.console import progress, show, show_json
from graphopt.cli.guard import NEGATIVE, OK, guarded
from graphopt.cli.options import (
    DebugOption,
    InputsOption,
    JsonOption,
    ModelArgument,
    ShapeOption,
    TargetOption,
    ThreadsOption,
    parse_shapes,
)


@guarded
def command(
    model: ModelArgument,
    target: TargetOption = "ort-cpu",
    confirm: Annotated[
        bool,
        typer.Option("--confirm/--no-confirm", help="Let onnxruntime optimize and profile the model."),
    ] = True,
    nodes: Annotated[bool, typer.Option("--nodes", help="List the light nodes too.")] = False,
    shape: ShapeOption = [],  # noqa: B006
    inputs: InputsOption = None,
    threads: ThreadsOption = 1,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Say which nodes run in int8, and why not the others.

    Predicted from the target's rules, and confirmed by what onnxruntime really runs where that is the
    target's runtime. A node that runs otherwise is shown, and makes the exit code 1."""
    shapes = parse_shapes(shape)
    from graphopt.compile.given import open_given, read_inputs
    from graphopt.report.audit import audit
    from graphopt.targets import Target

    given = open_given(model)
    data = given.data(read_inputs(inputs, shapes), shapes)
    with progress(f"auditing {model.name}"):
        found = audit(
            given.model,
            Target.load(target),
            source=given.source,
            confirm=confirm,
            inputs=data.measure[0].values if data.measure else None,
            shapes=shapes or given.example_shapes,
            threads=threads,
        )
    if json:
        show_json(found.to_dict())
    else:
        from graphopt.report.audit_tables import audit as tables

        show(*tables(found, every=nodes))
    return NEGATIVE if found.disagreements else OK
