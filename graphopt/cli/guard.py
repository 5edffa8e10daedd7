"""How commands end: exceptions become a line on stderr and an exit code, never a traceback.

0 fine, 1 a negative answer, 2 bad usage, bad input, an output that cannot be written or a bug of ours, 130
Ctrl-C, 143 a request to end (129 where the terminal is gone), 141 the reader is gone.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

import typer

from graphopt.cli.console import StdoutError, data_alone_on_stdout, flush, tell_labelled
from graphopt.cli.interrupt import exit_code, signals_noted
from graphopt.errors import GraphoptError

OK = 0
NEGATIVE = 1
BAD_INPUT = 2
BROKEN_PIPE = 141

P = ParamSpec("P")
R = TypeVar("R")


def guarded(command: Callable[P, int]) -> Callable[P, None]:
    """Make of a function that returns an exit code a command that ends with it, whatever happens inside.

    The command's option `debug` lets the traceback through.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        raise typer.Exit(_exit_code(lambda: command(*args, **kwargs), debug=bool(kwargs.get("debug"))))

    return run


def _exit_code(command: Callable[[], int], *, debug: bool) -> int:
    came: list[int] = []
    try:
        with signals_noted() as came, _warnings_as_messages(), data_alone_on_stdout():
            code = command()
            flush()
        return code
    except typer.Exit:
        raise
    except BrokenPipeError:
        _silence_stdout()
        return BROKEN_PIPE
    except (Exception, KeyboardInterrupt) as error:
        # Once a signal came, whatever was raised may be what libraries made of it.
        if came or isinstance(error, KeyboardInterrupt):
            return exit_code(came)
        if debug:
            traceback.print_exc()
        if isinstance(error, StdoutError):
            _silence_stdout()
        _tell_error(error, debug=debug)
        return BAD_INPUT


def _silence_stdout() -> None:
    """What is still buffered would fail again when the interpreter flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _warnings_as_messages() -> Iterator[None]:
    """Show our own warnings as a line on stderr, and none of the libraries'."""

    def tell_warning(message: Warning | str, *_: object, **__: object) -> None:
        tell_labelled("warning", str(message), "bold yellow")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", category=UserWarning, module="graphopt")
        warnings.showwarning = tell_warning
        yield


def _tell_error(error: Exception, *, debug: bool) -> None:
    if isinstance(error, GraphoptError):
        tell_labelled("error", error.message, "bold red")
        if error.hint:
            tell_labelled("hint", error.hint, "bold cyan")
        return
    if isinstance(error, MemoryError):
        tell_labelled("error", "there is not enough memory", "bold red")
        return
    first_line = next(iter(str(error).strip().splitlines()), "")
    tell_labelled("error", f"{type(error).__name__}: {first_line}", "bold red")
    if not debug:
        tell_labelled(
            "hint", "this is unexpected; the same command with --debug shows where it happened", "bold cyan"
        )
