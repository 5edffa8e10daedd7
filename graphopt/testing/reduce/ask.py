"""Asking the predicate about candidates: here, or several at a time in forked processes.

It knows nothing of reductions.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, Protocol

import onnx_ir as ir

from graphopt.errors import GraphoptError, UsageError
from graphopt.testing.inputs import INPUTS_KEY
from graphopt.testing.reduce.case import Feed

Predicate = Callable[[ir.Model], bool]


class Answer(Protocol):
    """The predicate's answer, which may take a while."""

    def result(self) -> bool:
        """Wait for it."""

    def cancel(self) -> None:
        """It is not wanted any more."""


class Asker(Protocol):
    """Puts candidates before a predicate."""

    jobs: int

    def ask(self, model: ir.Model, feeds: Sequence[Feed]) -> Answer:
        """Begin to find out whether the failure is still there; the model belongs to the predicate."""

    def refusal(self) -> GraphoptError:
        """What is wrong where the failure is not there for the original."""

    def close(self) -> None:
        """End what still runs."""


class Here:
    """Asks in this process, one at a time, when the answer is wanted."""

    jobs = 1

    def __init__(self, predicate: Predicate) -> None:
        self._predicate = predicate

    def ask(self, model: ir.Model, feeds: Sequence[Feed]) -> Answer:
        return _Later(lambda: answer(self._predicate, model, feeds))

    def refusal(self) -> GraphoptError:
        return _refusal()

    def close(self) -> None:
        pass


class _Later:
    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask = ask

    def result(self) -> bool:
        return self._ask()

    def cancel(self) -> None:
        pass


def _refusal() -> GraphoptError:
    return UsageError(
        "the predicate does not hold for the model to be reduced",
        hint="it must return true for a model that shows the failure",
    )


def answer(predicate: Predicate, model: ir.Model, feeds: Sequence[Feed]) -> bool:
    """Whether the failure is there; a predicate that raises has not found it."""
    with_inputs(model, feeds)
    try:
        return bool(predicate(model))
    except Exception:
        return False


def with_inputs(model: ir.Model, feeds: Sequence[Mapping[str, Any]]) -> ir.Model:
    """The model, with the sets of inputs that belong to it."""
    if feeds:
        model.meta[INPUTS_KEY] = [dict(feed) for feed in feeds]
    return model


class Forked:
    """Asks in forked processes, one for each candidate.

    A fork has the predicate, the candidate and its weights as they are: nothing is pickled or copied.
    """

    def __init__(self, predicate: Predicate, jobs: int) -> None:
        self.jobs = jobs
        self._predicate = predicate
        self._context = multiprocessing.get_context("fork")
        self._answers: list[_FromFork] = []

    def ask(self, model: ir.Model, feeds: Sequence[Feed]) -> Answer:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_tell, args=(theirs, self._predicate, model, feeds), daemon=True
        )
        with warnings.catch_warnings():
            # Python 3.12 warns of threads; those of onnxruntime and numpy are idle and not needed there.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        theirs.close()
        begun = _FromFork(process, ours)
        self._answers = [*(each for each in self._answers if not each.is_done), begun]
        return begun

    def refusal(self) -> GraphoptError:
        return _refusal()

    def close(self) -> None:
        for each in self._answers:
            each.cancel()


class _FromFork:
    def __init__(self, process: Any, pipe: Connection) -> None:
        self.is_done = False
        self._process = process
        self._pipe = pipe

    def result(self) -> bool:
        try:
            found = bool(self._pipe.recv())
        except EOFError:  # the predicate ended the process
            found = False
        self._end()
        return found

    def cancel(self) -> None:
        if not self.is_done:
            self._process.kill()
            self._end()

    def _end(self) -> None:
        self.is_done = True
        self._process.join()
        self._process.close()
        self._pipe.close()


def _tell(pipe: Connection, predicate: Predicate, model: ir.Model, feeds: Sequence[Feed]) -> None:
    pipe.send(answer(predicate, model, feeds))


def asker(predicate: Predicate, jobs: int) -> Asker:
    """Ask in forks where more than one answer at a time is wanted and forking is sound, else here."""
    sound = "fork" in multiprocessing.get_all_start_methods() and threading.active_count() == 1
    return Forked(predicate, jobs) if jobs > 1 and sound and os.name == "posix" else Here(predicate)
