"""The look of every table and section in a terminal, once.

Tables have no lines, sections are parted by an empty line; all stays readable without colour, at 80 columns
and in ASCII.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

NAME_WIDTH = 36
"""Longest name in a table of few columns; longer ones lose their middle."""

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


def heading(text: str) -> Text:
    """The title of a section."""
    return Text(text, style="bold")


def note(text: str) -> Text:
    """Something a user should know."""
    return Text.assemble(("note:", "cyan"), f" {text}")


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
