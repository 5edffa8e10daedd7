"""Ctrl-C and requests to end, as exceptions that unwind a command so that it cleans up.

What is reached too late to unwind, like a call into C that runs on, ends when it returns.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

_BASE = 128
"""Of the exit codes of programs that a signal ended, as shells give them."""
_HANGUP = 1
"""SIGHUP, which Windows does not know."""


_noting: list[list[int]] = []
"""The list of the block that is open, if one is: handlers of signals belong to the process."""


class InterruptedBySignal(KeyboardInterrupt):
    """A signal asked the program to end."""


@contextlib.contextmanager
def signals_noted() -> Iterator[list[int]]:
    """Raise `InterruptedBySignal` in the block for SIGINT, SIGTERM and SIGHUP, if nobody handles them.

    Yields:
        The signals that came: code in between may turn the exception into one of its own, or lose it. A block
        within another has the other's list.
    """
    if _noting:
        yield _noting[-1]
        return
    came: list[int] = []

    def leave(number: int, frame: object) -> None:
        came.append(number)
        raise InterruptedBySignal

    previous = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            with contextlib.suppress(ValueError):  # not in the main thread
                previous[number] = signal.signal(number, leave)
    _noting.append(came)
    try:
        yield came
    finally:
        _noting.pop()
        for number, handler in previous.items():
            signal.signal(number, handler)


def exit_code(came: list[int]) -> int:
    """The exit code after signals; Ctrl-C's if none was noted."""
    return _BASE + (came[0] if came else signal.SIGINT)


def told(code: object) -> str | None:
    """What to say about an exit code, if it is that of a signal."""
    words = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", _HANGUP: "terminated"}
    return words.get(code - _BASE) if isinstance(code, int) else None
