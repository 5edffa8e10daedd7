"""What a predicate said, by the digest of the candidate: in memory, and in a file that survives the process.

A reduction that starts again with its answers goes the same way without asking, and on from where it ended.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from graphopt.errors import UsageError
from graphopt.io.atomic import StagedFile, ensure_writable

WRITE_EVERY = 0.2
"""Seconds between writes; what is lost with the process is asked again."""

_FORMAT = "graphopt-reduce-1"


class Answers:
    """Answers by digest.

    Args:
        path: The file that keeps them, or None.
        question: What is asked; answers to another question are of no use.

    Raises:
        UsageError: The file is no such file.
        SaveError: It cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, question: str = "") -> None:
        self._path = None if path is None else Path(path)
        self._question = question
        self._model = ""
        self._answers: dict[str, bool] = {}
        self._written = 0.0
        self._is_new = False

    @property
    def are_kept(self) -> bool:
        """Whether there is a file."""
        return self._path is not None

    def read(self, model: str) -> None:
        """Read what was said of candidates for that original, by its digest, where there is a file.

        Raises:
            UsageError: The file holds no answers, or those to another question or about another model.
            SaveError: It cannot be written.
        """
        self._model = model
        if self._path is None:
            return
        ensure_writable(self._path)
        if not self._path.exists():
            return
        hint = f"remove {self._path} to begin anew"
        try:
            found = json.loads(self._path.read_bytes())
            head = found["format"], found["model"], found["question"]
            self._answers = {str(key): bool(holds) for key, holds in found["answers"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{str(self._path)!r} is no state of a reduction: {error}", hint=hint) from error
        if head != (_FORMAT, model, self._question):
            raise UsageError(f"{str(self._path)!r} belongs to another model or another question", hint=hint)

    def get(self, key: str) -> bool | None:
        """What was said, or None."""
        return self._answers.get(key)

    def add(self, key: str, holds: bool) -> None:
        """Note an answer, and write all down if that is due."""
        self._answers[key] = holds
        self._is_new = True
        if time.monotonic() - self._written > WRITE_EVERY:
            self.write()

    def write(self) -> None:
        """Write all answers down, whole or not at all.

        Raises:
            SaveError: The file cannot be written.
        """
        if self._path is None or not self._is_new:
            return
        content = {
            "format": _FORMAT, "model": self._model, "question": self._question, "answers": self._answers
        }  # fmt: skip
        with StagedFile(self._path) as staged:
            staged.write(json.dumps(content).encode())
            staged.commit()
        self._written = 0.0
        self._is_new = False
