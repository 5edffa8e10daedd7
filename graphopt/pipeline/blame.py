"""The failure of a pass: whatever it raises, named after it, with what cannot be its fault let through.

It runs no pass and looks at no model.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from graphopt.errors import DataError, GraphoptError, PassError
from graphopt.pipeline.time_limit import OverTimeError, TimeLimit


class FailedPassError(PassError):
    """A pass raised, took too long or broke the graph.

    Attributes:
        name: The pass as text.
        reason: What it raised, or what is wrong with the graph.
        seconds: The time that it had and went over; None where it did not.
    """

    def __init__(self, name: str, reason: str, *, seconds: float | None = None) -> None:
        super().__init__(f"pass {name}: {reason}")
        self.name = name
        self.reason = reason
        self.seconds = seconds

    @property
    def over_time(self) -> bool:
        """It took too long, and would again."""
        return self.seconds is not None


@contextlib.contextmanager
def blaming(text: str, limit: TimeLimit) -> Iterator[None]:
    """Turn whatever the block raises into the failure of the pass of that text, which has a limit of time.

    Ctrl-C, what handlers of signals raise, a limit of time around all of it, and data of the user's that are
    bad are no pass's doing and go through.
    """
    try:
        yield
    except OverTimeError as error:
        if not limit.is_over(error):
            raise
        reason = f"it was stopped after {limit.seconds:g} s; --pass-timeout gives it more time"
        raise FailedPassError(text, reason, seconds=limit.seconds) from error
    except (KeyboardInterrupt, DataError):
        raise
    except BaseException as error:
        if raised_by_a_signal(error) or (isinstance(error, FailedPassError) and error.name == text):
            raise
        cause = error if isinstance(error, GraphoptError) or error.__cause__ is None else error.__cause__
        reason = cause.message if isinstance(cause, GraphoptError) else described(cause)
        raise FailedPassError(text, reason) from error


def raised_by_a_signal(error: BaseException) -> bool:
    """Whether it comes from the program's own handler of a signal, which may run in the midst of any pass."""
    handlers = (signal.getsignal(number) for number in signal.valid_signals())
    codes = {getattr(handler, "__code__", None) for handler in handlers} - {None}
    frames: list[object] = []
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OverTimeError):
        traceback = cause.__traceback__
        while traceback is not None:
            frames.append(traceback.tb_frame.f_code)
            traceback = traceback.tb_next
        cause = cause.__cause__
    return not codes.isdisjoint(frames)


def described(error: BaseException) -> str:
    """Type and first line of an error, where it has text that can be had."""
    text = ""
    with contextlib.suppress(Exception):
        text = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
