"""Where output goes: data to stdout, messages and progress to stderr.

Everything stays readable without colour, at 80 columns and on a terminal that knows only ASCII. Nothing is
wrapped where the reader is a program.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

from graphopt.errors import GraphoptError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_WIDTH_OF_A_PIPE = 2000
"""Wider than anything shown, so that a program never reads half a name."""

_data: ContextVar[TextIO | None] = ContextVar("data", default=None)
"""The real stdout, while `sys.stdout` is for what is no data."""


def show(*renderables: RenderableType) -> None:
    """Print data to stdout."""
    with _told_as_stdout_error():
        _write(_stdout(), renderables)


def show_json(value: Any) -> None:
    """Print one JSON value to stdout; NaN and infinities become null, as JSON has none."""
    with _told_as_stdout_error():
        _stdout().write(json_text(value))


def flush() -> None:
    """Get what was printed to stdout out."""
    with _told_as_stdout_error():
        _stdout().flush()


class StdoutError(GraphoptError):
    """Data could not be written to stdout."""


@contextlib.contextmanager
def _told_as_stdout_error() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StdoutError(f"cannot write to stdout: {error.strerror or error}") from error


@contextlib.contextmanager
def data_alone_on_stdout() -> Iterator[None]:
    """Send to stderr whatever else is printed in the block: by plug-ins, scripts and libraries."""
    token = _data.set(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _data.reset(token)


def _stdout() -> TextIO:
    return _data.get() or sys.stdout


def json_text(value: Any) -> str:
    """A JSON document; values that are not plain become text."""
    return json.dumps(_plain(value), indent=2, allow_nan=False, default=str) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(element) for key, element in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(element) for element in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def tell(message: str) -> None:
    """Print a message to stderr, where it can be told."""
    with contextlib.suppress(OSError):
        _write(sys.stderr, [message])


def tell_labelled(label: str, message: str, style: str) -> None:
    """Print `label: message` to stderr, the label in colour where there is any."""
    from rich.text import Text

    with contextlib.suppress(OSError):
        _write(sys.stderr, [Text.assemble((f"{label}:", style), f" {message}")])


@contextlib.contextmanager
def progress(what: str) -> Iterator[Callable[[str], None]]:
    """A line on stderr that says what is going on, while it does; nothing unless stderr is a terminal.

    Yields:
        A function that changes the text.
    """
    console = _console(sys.stderr)
    if not console.is_terminal:
        yield lambda _: None
        return
    from rich.text import Text

    spinner = "dots" if console.encoding.startswith("utf") else "line"
    with console.status(Text(what), spinner=spinner) as status:
        yield lambda text: status.update(Text(text))


def make_safe(stream: TextIO) -> None:
    """Let characters that the stream's encoding lacks be escaped instead of ending the program."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _write(stream: TextIO, renderables: Iterable[RenderableType]) -> None:
    """Render, and write without the spaces with which tables fill up their last column."""
    from rich.text import Text

    console = _console(stream)
    with console.capture() as captured:
        for each in renderables:
            is_prose = isinstance(each, (str, Text))
            console.print(
                Text(each) if isinstance(each, str) else each, soft_wrap=is_prose and not console.is_terminal
            )
    stream.write("".join(f"{line.rstrip(' ')}\n" for line in captured.get().splitlines()))
    stream.flush()


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    return Console(file=stream, width=_width(stream, os.environ), highlight=False, emoji=False, markup=False)


def _width(stream: TextIO, environment: Mapping[str, str]) -> int | None:
    """Columns to fill: the terminal's (None lets rich ask it), COLUMNS, or enough to wrap nothing."""
    if stream.isatty() or environment.get("COLUMNS", "").isdigit():
        return None
    return _WIDTH_OF_A_PIPE
