"""A report as one piece of HTML for notebooks: self-contained, no scripts, everything escaped.

It shows the tables of the terminal, cell by cell: what a report shows is decided in `graphopt.report.tables`.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from graphopt.report.tables import optimization

if TYPE_CHECKING:
    from rich.console import RenderableType

    from graphopt.report.data import Report

_STYLE = (
    ".graphopt{font:13px/1.5 system-ui,sans-serif}"
    ".graphopt table{border-collapse:collapse;margin:.4em 0 1em}"
    ".graphopt th{font-weight:600;opacity:.6;border-bottom:1px solid #8886}"
    ".graphopt td,.graphopt th{padding:.1em 1.2em .1em 0;text-align:left;vertical-align:top}"
    ".graphopt .r{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
)


def render(report: Report) -> str:
    """The report as an HTML fragment."""
    title = f"{escape(report.source)} for {escape(report.target)}, graphopt {escape(report.version)}"
    parts = "".join(_html(each) for each in optimization(report))
    return f"<div class='graphopt'><style>{_STYLE}</style><b>{title}</b>{parts}</div>"


def _html(renderable: RenderableType) -> str:
    if isinstance(renderable, Table):
        return _table(renderable)
    text = _plain(renderable)
    return f"<div>{escape(text)}</div>" if text else ""


def _table(table: Table) -> str:
    classes = [" class='r'" if column.justify == "right" else "" for column in table.columns]
    head = ""
    if table.show_header:
        headers = (_plain(column.header) for column in table.columns)
        head = _row("th", headers, classes)
    rows = zip(*(column.cells for column in table.columns), strict=True)
    body = "".join(_row("td", map(_plain, row), classes) for row in rows)
    return f"<table>{head}{body}</table>"


def _row(tag: str, texts: Iterable[str], classes: list[str]) -> str:
    cells = (f"<{tag}{kind}>{escape(text)}</{tag}>" for text, kind in zip(texts, classes, strict=True))
    return f"<tr>{''.join(cells)}</tr>"


def _plain(renderable: RenderableType) -> str:
    return renderable.plain if isinstance(renderable, Text) else str(renderable)
