"""`graphopt check-pass PASS [MODEL...]`: does a pass keep what every pass must keep?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from graphopt.cli.console import progress, show, show_json
from graphopt.cli.guard import NEGATIVE, OK, guarded
from graphopt.cli.options import DebugOption, InputsOption, JsonOption, RtolOption
from graphopt.errors import UsageError

FOLDER = Path(".graphopt", "failures")


@guarded
def command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="PASS",
            help="A pass, a pipeline (fuse-conv,dce), module:Class or file.py:Class.",
            show_default=False,
        ),
    ],
    models: Annotated[
        list[Path] | None,
        typer.Argument(metavar="MODEL", help="Models; without any, they are generated.", show_default=False),
    ] = None,
    examples: Annotated[
        int, typer.Option("--examples", metavar="N", min=1, help="Models to generate.")
    ] = 100,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the first model generated.")] = 0,
    ops: Annotated[
        str,
        typer.Option("--ops", metavar="A,B", help="Operators to generate models of.", show_default=False),
    ] = "",
    max_nodes: Annotated[
        int | None,
        typer.Option(
            "--max-nodes",
            metavar="N",
            min=1,
            help="Nodes from which on a generated model is finished.",
            show_default=False,
        ),
    ] = None,
    inputs: InputsOption = None,
    rtol: RtolOption = None,
    pass_timeout: Annotated[
        float | None,
        typer.Option(
            "--pass-timeout",
            metavar="SECONDS",
            min=0.001,
            help="Stop a pass that runs longer; by default a minute and more for large models.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--failures", metavar="FOLDER", help="Where minimal models that fail are saved.")
    ] = FOLDER,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Check a pass on models of yours, or on generated ones.

    It must end and not raise; leave a valid model with the same interface and the same numbers; count what it
    changes; leave the original alone; do the same twice; and find nothing to do the second time. A model on
    which it does not is reduced to a minimal one and saved. Exits with 1 where there is one. A level is a
    pipeline too: graphopt check-pass -- -O2.
    """
    if inputs is not None and not models:
        raise UsageError("--inputs: there is no model", hint="name the model that the inputs are for")
    from graphopt.testing.check import Subject, verdict

    subject = Subject.of(what).within(pass_timeout)
    with progress(f"checking {subject.text}") as tell:
        if models:
            verdicts = [
                verdict.on_file(subject, path, inputs=inputs, rtol=rtol, folder=folder, tell=tell)
                for path in models
            ]
        else:
            bounds: dict[str, Any] = {"ops": tuple(filter(None, ops.split(","))), "rtol": rtol}
            bounds |= {} if max_nodes is None else {"max_nodes": max_nodes}
            verdicts = [
                verdict.on_generated(
                    subject, examples=examples, seed=seed, bounds=bounds, folder=folder, tell=tell
                )
            ]
    holds = all(each.holds for each in verdicts)
    if json:
        told = [each.to_dict() for each in verdicts]
        show_json({"pass": subject.text, "holds": holds, "verdicts": told})
    else:
        show(*(line for each in verdicts for line in each.lines()))
    return OK if holds else NEGATIVE
