"""The look of every table and section in a terminal, once.

Tables have no lines, sections are parted by an empty line; all stays readable without colour, at 80 columns
and in ASCII.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from graphopt.report.units import shorten

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

NAME_WIDTH = 36
"""Longest name in a table of few columns; longer ones lose their middle on a terminal."""

NODE_WIDTH = 24
"""The same in a table of many columns."""


def columns(*headers: str) -> Table:
    """An empty table without lines; `>` before a header aligns its column to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for header in headers:
        right = header.startswith(">")
        table.add_column(
            header.lstrip(">"), justify="right" if right else "left", no_wrap=right, overflow="fold"
        )
    return table


@dataclasses.dataclass(frozen=True)
class Shortened:
    """A cell that is short on a terminal and whole where the reader is a program."""

    whole: str
    short: str

    def __str__(self) -> str:
        return self.short

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._text(console)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, self._text(console))

    def _text(self, console: Console) -> Text:
        return Text(self.short if console.is_terminal else self.whole)


def shortened(text: str, width: int = NAME_WIDTH) -> Shortened:
    """A cell with a name, which loses its middle on a terminal where it is longer than `width`."""
    return Shortened(text, shorten(text, width))


def heading(text: str) -> Text:
    """The title of a section."""
    return Text(text, style="bold")


def note(text: str) -> Text:
    """Something a user should know."""
    return Text.assemble(("note:", "cyan"), f" {text}")


def hint(text: str) -> Text:
    """What a user can do next."""
    return Text.assemble(("hint:", "bold cyan"), f" {text}")


def dim(text: str) -> Text:
    """Something a user may want to know."""
    return Text(text, style="dim")


def sections(*groups: Iterable[RenderableType]) -> Iterator[RenderableType]:
    """The groups that hold something, an empty line between them."""
    filled = [group for group in map(list, groups) if group]
    for index, group in enumerate(filled):
        if index:
            yield ""
        yield from group
