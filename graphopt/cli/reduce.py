"""`graphopt reduce MODEL --cmd "..."`: make a small model of one on which a command fails."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphopt.cli.console import progress, show, show_json, tell, tell_labelled
from graphopt.cli.guard import NEGATIVE, OK, guarded
from graphopt.cli.options import DebugOption, JsonOption, destination

if TYPE_CHECKING:
    from graphopt.testing.reduce.by_command import Outcome
    from graphopt.testing.reduce.command import Command, Ending

_SHOWN_NODES = 20
_SHOWN_CHARACTERS = 6000


@guarded
def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="An ONNX file.", show_default=False)],
    cmd: Annotated[
        str,
        typer.Option(
            "--cmd",
            metavar="COMMAND",
            help="What fails; {} in it is the path of the model, which else comes last.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="OUT", help="File to write; by default MODEL as .reduced.onnx.",
            show_default=False,
        ),
    ] = None,
    match: Annotated[
        str | None,
        typer.Option("--match", metavar="TEXT", help="Text that it must print.", show_default=False),
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", metavar="N", min=1, help="Commands to run at a time.")
    ] = min(2, os.cpu_count() or 1),
    timeout: Annotated[
        float | None,
        typer.Option(
            "--timeout", metavar="S", min=0.001,
            help="Seconds it may take; by default ten times what it takes for MODEL, and ten more.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted reduction to OUT ended.")
    ] = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:  # fmt: skip
    """Make a small model on which a command still fails.

    It fails alike if it exits with the same status, or dies of the same signal, and prints the text of
    --match. Exits with 1 if the failure does not stay, or any model shows it."""
    from graphopt.report.units import size
    from graphopt.testing.reduce.by_command import reduce_by_command
    from graphopt.testing.reduce.command import Command
    from graphopt.testing.reduce.folder import can_resume

    out = model.with_suffix(".reduced.onnx") if output is None else destination(output)
    parsed = Command.parse(cmd, match, timeout)
    if parsed.of_a_shell:
        words = " and ".join(repr(word) for word in dict.fromkeys(parsed.of_a_shell))
        tell_labelled(
            "hint", f"no shell runs the command, which gets {words} as they are; "
            """with one it is --cmd "sh -c 'a $0 | b' {}\"""", "bold cyan",
        )  # fmt: skip
    if resume and not can_resume(out):
        tell(f"no interrupted reduction to {out} is there; this is one from the start")

    with progress(f"running the command on {model.name}") as say:
        try:
            outcome = reduce_by_command(
                model, parsed, out, jobs=jobs, resume=resume,
                begun=lambda ending: _tell_beginning(ending, parsed),
                watch=lambda at: say(
                    f"{model.name}: {at.nodes} nodes, {size(at.bytes)}, {at.tries} tries; {at.doing}"
                ),
            )  # fmt: skip
        except KeyboardInterrupt:
            if can_resume(out):
                tell(f"the best model so far is in {out}; the same command with --resume goes on from there")
            raise
    if json:
        show_json(_as_json(outcome, parsed, out))
    else:
        _show(outcome, parsed, out)
    _tell_doubts(outcome, out)
    return OK if outcome.holds and not outcome.any_model else NEGATIVE


def _tell_beginning(ending: Ending, command: Command) -> None:
    if ending.status == 0 and command.match is None:
        tell(
            "the command exits with 0 on the model, so it is taken as a test script: "
            "a smaller model is of interest as long as it exits with 0"
        )
    else:
        printed = "" if command.match is None else f" and prints {command.match!r}"
        tell(f"the command {ending}{printed} on the model; a smaller one is of interest as long as it does")


def _tell_doubts(outcome: Outcome, out: Path) -> None:
    """What speaks against the outcome."""
    expected = outcome.expected
    if outcome.any_model:
        says = f"; it says: {expected.last_line}" if expected.last_line else ""
        tell_labelled(
            "warning", f"any model does: is it the command? It {expected} on plain models as well{says}",
            "bold yellow",
        )  # fmt: skip
    if not outcome.steady:
        tell_labelled(
            "warning", f"the command {expected} on the model, and ended otherwise on it when it ran again",
            "bold yellow",
        )  # fmt: skip
    if not outcome.holds:
        tell_labelled(
            "warning",
            f"the command ends otherwise on {out} than it did on the same model before",
            "bold yellow",
        )
    if not (outcome.steady and outcome.holds):
        tell_labelled("hint", "a command that does not always fail alike cannot be trusted", "bold cyan")


def _show(outcome: Outcome, command: Command, out: Path) -> None:
    from graphopt.report.units import duration, enumerated, size

    nodes, constants = outcome.nodes, outcome.bytes
    show(
        f"{nodes[0]} -> {nodes[1]} nodes, {size(constants[0])} -> {size(constants[1])} of constants, "
        f"in {outcome.tries} tries and {duration(outcome.seconds)}"
    )
    text = _text(outcome)
    if text is not None:
        show("", text.rstrip(), "")
    tell(f"wrote {enumerated([str(path) for path in outcome.files])}")
    if outcome.holds:
        tell_labelled("reproduce", shlex.join(command.on(out)), "bold cyan")


def _text(outcome: Outcome) -> str | None:
    """The model as ONNX text, where that is small enough to be read."""
    from onnx import printer

    from graphopt.io import to_proto

    if outcome.nodes[1] > _SHOWN_NODES or outcome.bytes[1] > _SHOWN_CHARACTERS:
        return None
    text: str = printer.to_text(to_proto(outcome.model))
    return text if len(text) <= _SHOWN_CHARACTERS else None


def _as_json(outcome: Outcome, command: Command, out: Path) -> dict[str, object]:
    return {
        "files": [str(path) for path in outcome.files],
        "holds": outcome.holds,
        "steady": outcome.steady,
        "any_model": outcome.any_model,
        "status": outcome.expected.status,
        "nodes": {"before": outcome.nodes[0], "after": outcome.nodes[1]},
        "constant_bytes": {"before": outcome.bytes[0], "after": outcome.bytes[1]},
        "tries": outcome.tries,
        "seconds": outcome.seconds,
        "text": _text(outcome),
        "reproduce": command.on(out),
    }
