"""The errors graphopt raises on purpose; anything else that escapes is a bug.

Each names the node, value or file, what was expected and what was found, and carries the next step as
`hint`. This module imports nothing of graphopt.
"""

from __future__ import annotations

_LONGEST_MESSAGE = 4000


class GraphoptError(Exception):
    """Base of every deliberate error.

    Args:
        message: What went wrong, naming the node, value or file.
        hint: What the user can do next, or None.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        message = _shortened(message)
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint is not None:
            self.__notes__ = [f"hint: {hint}"]  # shown below the message in a traceback

    def __str__(self) -> str:
        return self.message


def _shortened(message: str) -> str:
    """Both ends of a message that quotes a name of a million letters."""
    if len(message) <= _LONGEST_MESSAGE:
        return message
    return f"{message[: _LONGEST_MESSAGE // 2]} ... {message[-_LONGEST_MESSAGE // 4 :]}"


class ModelError(GraphoptError):
    """The model is malformed."""


class VerificationError(ModelError):
    """A structural rule of the IR does not hold."""


class LoadError(GraphoptError):
    """A file could not be read as a model."""


class SaveError(GraphoptError):
    """A model could not be written."""


class UsageError(GraphoptError):
    """An option, pipeline text, shape or pass name is wrong."""


class DataError(UsageError):
    """Data that were given do not fit the model, or it cannot run on them: no pass is at fault."""


class TraceError(GraphoptError):
    """A PyTorch module could not be turned into a graph."""


class TranslationError(GraphoptError):
    """An operator has no form in PyTorch."""


class ExecutionError(GraphoptError):
    """The runtime could not load or run a model."""


class LimitError(ExecutionError):
    """Running a model would take more time or memory than it may."""


class PassError(GraphoptError):
    """A pass raised, or left the graph in a state it must not leave it in."""
