"""A sensitivity scan for a terminal: a line for each group, a column for each rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from graphopt.report.layout import columns, dim, heading, note, shortened
from graphopt.report.sensitivity import Point, Sensitivity
from graphopt.report.units import plural, significant, small

if TYPE_CHECKING:
    from rich.console import RenderableType


def sensitivity(found: Sensitivity) -> Iterator[RenderableType]:
    """The table, and what matters most and least."""
    samples = plural(found.samples, "sample")
    if found.baseline is None:
        yield heading(f"noise over signal at the outputs without a share of a group's units, on {samples}")
    else:
        value = significant(found.baseline, 5)
        yield heading(
            f"{found.metric} without a share of a group's units, on {samples}; with all of them {value}"
        )
    rates = [percent(rate) for rate in found.rates]
    table = columns("group", ">units", ">MACs saved", *(f">{rate}" for rate in rates))
    for group in found.groups:
        saved = percent(group.points[-1].macs) if group.points else ""
        cells = [_cell(point) for point in group.points] or ["-"] * len(rates)
        table.add_row(shortened(group.name), str(group.units), saved, *cells)
    yield table
    yield dim(f"MACs saved are those of the whole model at {rates[-1]}; units go by {found.importance}")
    if len(ranked := found.ranked) > 1:
        yield dim(f"most sensitive at {rates[-1]}: {ranked[0].name}; least: {ranked[-1].name}")
    for group in found.groups:
        if group.reason:
            yield note(f"{group.name}: {group.reason}")
        for fault in dict.fromkeys(point.fault for point in group.points if point.fault):
            yield note(f"{group.name}: {fault}")
    for text in found.notes:
        yield note(text)


def percent(share: float) -> str:
    """`0.25` -> `25%`, `0.125` -> `12.5%`."""
    return f"{100 * share:.3g}%"


def _cell(point: Point) -> str:
    if point.shown is None:
        return "-"
    return small(point.shown) if point.value is None else significant(point.shown, 4)
