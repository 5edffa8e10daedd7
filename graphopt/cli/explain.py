"""`graphopt explain MODEL`: why did this not fuse?"""

from __future__ import annotations

from typing import Annotated

import typer

from graphopt.cli.console import progress, show, show_json
from graphopt.cli.guard import OK, guarded
from graphopt.cli.options import (
    DebugOption,
    JsonOption,
    LevelOption,
    ModelArgument,
    OpsetOption,
    PassesOption,
    SkipOption,
    TargetOption,
    parse_opset,
)


@guarded
def command(
    model: ModelArgument,
    node: Annotated[
        str | None,
        typer.Option(
            "--node",
            metavar="NAME",
            help="A node, or a value that it makes, before or after.",
            show_default=False,
        ),
    ] = None,
    pass_name: Annotated[
        str | None,
        typer.Option("--pass", metavar="PASS", help="Only what this pass says.", show_default=False),
    ] = None,
    level: LevelOption = 2,
    passes: PassesOption = None,
    skip: SkipOption = [],  # noqa: B006
    target: TargetOption = "portable",
    opset: OpsetOption = "auto",
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Say why nodes were left as they are.

    For one node: what became of it, what passes said about it, and which rules nearly fit. Without one: every
    refusal by pass and reason, and the idioms recognised. Nothing is compared, measured or written."""
    version = parse_opset(opset)
    from graphopt.compile.explain import explain

    with progress(f"explaining {model.name}"):
        found = explain(
            model, node=node, pass_name=pass_name, level=level, passes=passes, skip=skip, target=target,
            opset=version,
        )  # fmt: skip
    if json:
        show_json(found.to_dict())
        return OK
    from graphopt.report.explain_tables import explanation

    show(*explanation(found))
    return OK
