"""Reduce a file by a command: what `graphopt reduce` does, without its words."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path

import onnx_ir as ir

from graphopt.errors import UsageError
from graphopt.io import ensure_writable, load, save
from graphopt.io.weights import slots
from graphopt.ir import count_nodes
from graphopt.testing.reduce.answers import Answers
from graphopt.testing.reduce.command import ByCommand, Command, Ending
from graphopt.testing.reduce.engine import Reducer
from graphopt.testing.reduce.folder import WorkFolder
from graphopt.testing.reduce.progress import Progress, Watch
from graphopt.testing.reduce.weights import CandidateFiles
from graphopt.testing.text import parse_model

FEW_NODES = 1
"""Of a reduced model with no more, it is asked whether the model has to do with the failure at all."""

PLAIN = (
    '<ir_version: 8, opset_import: ["" : 13]> plain (float[1] x) => (float[1] y) { y = Identity(x) }',
    '<ir_version: 9, opset_import: ["" : 17]> plain (int64[2] x) => (int64[2] y) { y = Neg(x) }',
)
"""Models that nothing is wrong with and that have nothing in common."""

SAVING_SHARE = 0.05
"""Part of the time that may go into saving the best model so far."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a reduction came to.

    Attributes:
        model: The smallest model found.
        files: What it was written to.
        expected: How the command ended on the original.
        holds: Whether it ends so on the file written, too.
        steady: Whether it ended so on the original twice.
        any_model: Whether it ends so on models as well that have nothing to do with the original.
        nodes: Nodes before and after.
        bytes: Of weights and other constants, before and after.
        tries: Candidates that the command was run on.
        seconds: How long it took.
    """

    model: ir.Model
    files: list[Path]
    expected: Ending
    holds: bool
    steady: bool
    any_model: bool
    nodes: tuple[int, int]
    bytes: tuple[int, int]
    tries: int
    seconds: float


def reduce_by_command(
    path: str | os.PathLike[str],
    command: Command,
    output: Path,
    *,
    jobs: int = 1,
    resume: bool = False,
    begun: Callable[[Ending], None] = lambda _: None,
    watch: Watch = lambda _: None,
) -> Outcome:
    """Reduce the model at `path` as long as the command ends on it as it does on the original.

    The best model so far is saved to `output` from time to time, and when the work is interrupted. The
    answers are kept beside it until the work is done (see `WorkFolder`).

    Args:
        path: The model; external data may lie beside it.
        command: What to run.
        output: Where the reduced model goes.
        jobs: How many commands to run at a time.
        resume: Go on with the answers that an interrupted reduction left, if there are any.
        begun: Called with how the command ended on the original.
        watch: Called after each try.

    Raises:
        UsageError: The text to match is not in the output for the original, the command cannot be run, or
            another process reduces to the same output.
        LoadError, ModelError: The model cannot be read.
        SaveError: A file cannot be written.
    """
    started = time.monotonic()
    ensure_writable(output)
    if output.exists() and os.path.samefile(path, output):
        raise UsageError(f"{str(output)!r} is the model to be reduced", hint="name another file with -o")
    original = load(path)
    expected = command.run(path)
    if not expected.matched:
        raise UsageError(
            f"the command {expected} on {os.fspath(path)}, and {command.match!r} is not in its output",
            hint="the original must show the failure",
        )
    begun(expected)
    patient = command.patient(expected.seconds)
    steady = patient.run(path).is_like(expected)
    question = repr((command.words, command.match, command.timeout, expected.status))
    with WorkFolder(output, resume=resume) as folder:
        asker = ByCommand(command, expected, CandidateFiles(original, folder.path), jobs)
        with Reducer(original, asker, Answers(folder.answers, question)) as reducer:
            saver = _Saver(reducer, output, watch)
            reducer.watch = saver.after
            try:
                model = reducer.run()
            except KeyboardInterrupt:
                saver.save()
                raise
        files = save(model, output)
        holds = patient.run(output).is_like(expected)
        nodes = count_nodes(original), count_nodes(model)
        any_model = holds and nodes[1] <= FEW_NODES and _is_any_model(patient, expected, folder.path)
        folder.remove()
    return Outcome(
        model,
        files,
        expected,
        holds,
        steady,
        any_model,
        nodes,
        (_bytes(original), _bytes(model)),
        reducer.tries,
        time.monotonic() - started,
    )


def _is_any_model(command: Command, expected: Ending, folder: Path) -> bool:
    """Whether the command ends in the same way on models that nothing is wrong with."""
    for text in PLAIN:
        path = folder / "plain.onnx"
        ir.save(parse_model(text), path)
        if not command.run(path).is_like(expected):
            return False
    return True


class _Saver:
    """Saves the best model so far, not too often."""

    def __init__(self, reducer: Reducer, output: Path, watch: Watch) -> None:
        self._reducer = reducer
        self._output = output
        self._watch = watch
        self._smallest: tuple[int, int] | None = None
        self._next = time.monotonic() + 1.0

    def after(self, progress: Progress) -> None:
        size = progress.nodes, progress.bytes
        if size != self._smallest and time.monotonic() >= self._next:
            self._smallest = size
            self.save()
        self._watch(progress)

    def save(self) -> None:
        started = time.monotonic()
        save(self._reducer.best, self._output)
        now = time.monotonic()
        self._next = now + max(1.0, (now - started) / SAVING_SHARE)


def _bytes(model: ir.Model) -> int:
    return sum(slot.tensor.nbytes for slot in slots(model))
