"""A command as the predicate: it gets the path of a candidate, and its exit status and output are the answer.

It says nothing about where candidates lie, and reads no model.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import onnx_ir as ir

from graphopt.errors import GraphoptError, UsageError
from graphopt.testing.reduce.ask import Answer
from graphopt.testing.reduce.case import Feed
from graphopt.testing.reduce.weights import CandidateFiles

PLACE = "{}"
"""What stands in a command for the path of the candidate."""

GRACE = 10.0
PATIENCE = 10.0
"""Without a limit given, a candidate may take `GRACE` seconds and `PATIENCE` times what the original took."""

_LONGEST_LINE = 300
_OF_A_SHELL = re.compile(r"\|\|?|&&?|;|\d*(>>?|<)\S*")
"""Words that do something in a shell, and nothing here."""


@dataclasses.dataclass(frozen=True)
class Ending:
    """How a command ended.

    Attributes:
        status: Its exit status; a negative one is the number of the signal that ended it; None for a
            command that was stopped for taking too long.
        matched: Whether the text was found in its output.
        seconds: How long it took.
        last_line: The last that it printed, to wherever; "" if nothing.
    """

    status: int | None
    matched: bool
    seconds: float
    last_line: str = ""

    def is_like(self, other: Ending) -> bool:
        """Whether the command ended in the same way."""
        return (self.status, self.matched) == (other.status, other.matched)

    def __str__(self) -> str:
        if self.status is None:
            return "does not end in time"
        if self.status < 0:
            with contextlib.suppress(ValueError):
                return f"dies of {signal.Signals(-self.status).name}"
        return f"exits with {self.status}"


@dataclasses.dataclass(frozen=True)
class Command:
    """What to run on a candidate.

    Attributes:
        words: Program and arguments; `PLACE` in them is the path, which else comes last.
        match: Text that the output must contain, or None.
        timeout: Seconds, or None.
    """

    words: tuple[str, ...]
    match: str | None = None
    timeout: float | None = None

    @staticmethod
    def parse(text: str, match: str | None = None, timeout: float | None = None) -> Command:
        """Read a command as a shell would split it; nothing else of a shell is done.

        Raises:
            UsageError: It is empty, a quote is open, or there is no such program.
        """
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise UsageError(f"--cmd {text!r}: {error}") from error
        if not words:
            raise UsageError("--cmd is empty", hint='for example --cmd "python check.py {}"')
        if shutil.which(words[0]) is None:
            raise UsageError(
                f"--cmd {text!r}: there is no program {words[0]!r}",
                hint="pipes and the like need a shell: --cmd \"sh -c 'a {} | b'\"",
            )
        if not any(PLACE in word for word in words):
            words.append(PLACE)
        return Command(tuple(words), match, timeout)

    @property
    def of_a_shell(self) -> list[str]:
        """Arguments that are there for a shell, which there is none of."""
        return [word for word in self.words[1:] if _OF_A_SHELL.fullmatch(word)]

    def patient(self, seconds: float) -> Command:
        """The same with a limit of time, if it has none, of far more than the seconds that it took once."""
        if self.timeout is not None:
            return self
        return dataclasses.replace(self, timeout=GRACE + PATIENCE * seconds)

    def on(self, path: str | os.PathLike[str]) -> list[str]:
        """The words for a candidate."""
        return [word.replace(PLACE, os.fspath(path)) for word in self.words]

    def run(self, path: str | os.PathLike[str]) -> Ending:
        """Run it on a file and wait."""
        with tempfile.TemporaryFile() as output:
            return _Run(self, path, output.fileno()).ending()


class _Run:
    """A command at work on one candidate, in a session of its own so that its children can be ended too."""

    def __init__(self, command: Command, path: str | os.PathLike[str], output: int) -> None:
        self._command = command
        self._output = os.dup(output)
        self._started = time.monotonic()
        try:
            self._process = subprocess.Popen(
                command.on(path),
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            os.close(self._output)
            raise UsageError(f"cannot run {command.words[0]!r}: {error.strerror or error}") from error

    def ending(self) -> Ending:
        """Wait for the end, which comes at the time limit at the latest."""
        limit = self._command.timeout
        left = None if limit is None else max(0.0, self._started + limit - time.monotonic())
        status: int | None
        try:
            status = self._process.wait(left)
        except subprocess.TimeoutExpired:
            status = None
        seconds = time.monotonic() - self._started
        matched = self._command.match is None or _contains(self._output, self._command.match.encode())
        last_line = _last_line(self._output)
        self.end()
        return Ending(status, matched, seconds, last_line)

    def end(self) -> None:
        """Stop it and all it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with contextlib.suppress(OSError):
            os.close(self._output)


def _contains(descriptor: int, text: bytes) -> bool:
    """Whether a file holds a text, read piece by piece."""
    position, before = 0, b""
    while piece := os.pread(descriptor, 1 << 20, position):
        if text in before + piece:
            return True
        before = piece[-len(text) :]
        position += len(piece)
    return not text


def _last_line(descriptor: int) -> str:
    """The last line of a file that is not blank, cut where it is long."""
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, 1 << 12, max(0, size - (1 << 12))).decode("utf-8", "replace")
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    return lines[-1][:_LONGEST_LINE] if lines else ""


class ByCommand:
    """Asks by running a command on each candidate: the failure is there if it ends as on the original.

    Args:
        command: What to run.
        expected: How it ended on the original.
        files: Where candidates go.
        jobs: How many to run at a time.
    """

    def __init__(self, command: Command, expected: Ending, files: CandidateFiles, jobs: int) -> None:
        self.jobs = jobs
        self._command = command.patient(expected.seconds)
        self._expected = expected
        self._files = files
        self._answers: list[_CommandAnswer] = []

    def ask(self, model: ir.Model, feeds: Sequence[Feed]) -> Answer:
        """Begin to run the command on a candidate; it makes its own inputs, `feeds` are not looked at."""
        answer = _CommandAnswer(self._command, self._files, self._files.write(model), self._expected)
        self._answers = [*(answer for answer in self._answers if not answer.is_done), answer]
        return answer

    def refusal(self) -> GraphoptError:
        """The failure does not survive that the model is read and written."""
        return UsageError(
            f"the command {self._expected} on the file, but not once the model has been read and written",
            hint="only failures of the model can be reduced, not those of the bytes of its file",
        )

    def close(self) -> None:
        """End what still runs."""
        for answer in self._answers:
            answer.cancel()


class _CommandAnswer:
    def __init__(self, command: Command, files: CandidateFiles, path: Path, expected: Ending) -> None:
        self._files = files
        self._path = path
        self._expected = expected
        self.is_done = False
        with open(path.with_suffix(".output"), "w+b") as output:
            self._run = _Run(command, path, output.fileno())

    def result(self) -> bool:
        ending = self._run.ending()
        self._finish()
        return ending.is_like(self._expected)

    def cancel(self) -> None:
        if not self.is_done:
            self._run.end()
            self._finish()

    def _finish(self) -> None:
        self.is_done = True
        self._files.remove(self._path)
