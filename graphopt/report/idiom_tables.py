"""The idioms that were recognised, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from graphopt.report.idioms import IdiomCount, remark
from graphopt.report.layout import columns, dim
from graphopt.report.units import small

if TYPE_CHECKING:
    from rich.console import RenderableType


def idiom_table(found: Sequence[IdiomCount]) -> Iterator[RenderableType]:
    """Name, number of places, what each is written with, and where speed came before the number of nodes."""
    if not found:
        return
    table = columns("idiom", ">places", "written as", ">error", "")
    for each in found:
        error = "by structure" if each.error is None else small(each.error)
        table.add_row(each.idiom, str(each.count), each.form, error, dim(remark(each)))
    yield table
