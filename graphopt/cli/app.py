"""The program `graphopt`: its commands, and `main`."""

from __future__ import annotations

import gc
import importlib.metadata
import os
import sys
from typing import Annotated

import typer

from graphopt.cli.audit import command as audit
from graphopt.cli.bench import command as bench
from graphopt.cli.bisect import command as bisect
from graphopt.cli.check import command as check
from graphopt.cli.check_pass import command as check_pass
from graphopt.cli.console import make_safe
from graphopt.cli.demo import command as demo
from graphopt.cli.diff import command as diff
from graphopt.cli.explain import command as explain
from graphopt.cli.guard import BAD_INPUT
from graphopt.cli.inspect import command as inspect
from graphopt.cli.optimize import command as optimize
from graphopt.cli.passes import command as passes
from graphopt.cli.plan import command as plan
from graphopt.cli.reduce import command as reduce
from graphopt.cli.sensitivity import command as sensitivity

YOUNG_OBJECTS = 100_000
"""Objects made before the cyclic collector looks at them. With Python's 700 it walks through all imported
modules again and again while they load, a fifth of a short command's time."""

app = typer.Typer(
    name="graphopt",
    help="Make neural-network graphs smaller and faster, and prove that they still compute the same.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

app.command("optimize")(optimize)
app.command("inspect")(inspect)
app.command("check")(check)
app.command("bench")(bench)
app.command("explain")(explain)
app.command("audit")(audit)
app.command("diff")(diff)
app.command("plan")(plan)
app.command("sensitivity")(sensitivity)
app.command("passes")(passes)
app.command("bisect")(bisect)
app.command("check-pass")(check_pass)
app.command("reduce")(reduce)
app.command("demo")(demo)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"graphopt {importlib.metadata.version('graphopt')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    gc.set_threshold(YOUNG_OBJECTS)
    for stream in (sys.stdout, sys.stderr):
        make_safe(stream)
    try:
        app()
    except SystemExit as ended:
        if _is_busy():  # the runtime would crash on finding its own parts gone
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(ended.code if isinstance(ended.code, int) else BAD_INPUT)
        raise
    finally:
        gc.freeze()  # the process ends: spare it a last search for garbage among the modules


def _is_busy() -> bool:
    """Whether a run that did not stop when it was told to is still going on."""
    limits = sys.modules.get("graphopt.execute.limits")
    return limits is not None and bool(limits.left_behind())
