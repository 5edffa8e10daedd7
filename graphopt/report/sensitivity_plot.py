"""A sensitivity scan as a drawing: rates across, the error or the metric up, a line for each group (SVG)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from graphopt.report.sensitivity import GroupSensitivity, Sensitivity
from graphopt.report.sensitivity_tables import percent
from graphopt.report.units import shorten, significant, small

WIDTH, HEIGHT = 640, 400
"""Of the drawing area, in pixels."""

MARGIN = 64
LEGEND = 300
"""Width of the names beside it, in pixels."""
LINE = 15
"""Height of a name, in pixels."""
MOST_NAMES = 24
"""Groups with a name and a colour: those that matter most. Others are grey, and told by hovering."""
NAME_WIDTH = 40
GOLDEN_ANGLE = 137.508
"""Degrees between hues: any few in a row are far apart."""
FLOOR = 1e-12
"""Errors below it are drawn there, as zero has no logarithm."""
STEPS = 4
"""Between lines of the scale of a metric."""


@dataclass(frozen=True)
class _Scale:
    """From values to pixels, logarithmic for errors."""

    low: float
    high: float
    is_log: bool

    def height(self, value: float) -> float:
        """Pixels from the top of the drawing."""
        at = math.log10(max(value, FLOOR)) if self.is_log else value
        return MARGIN + HEIGHT * (1 - (at - self.low) / (self.high - self.low))

    def ticks(self) -> list[tuple[float, str]]:
        """Values with a line of their own, and their texts."""
        if self.is_log:
            decades = range(int(self.low), int(self.high) + 1)
            return [(10.0**each, f"1e{each}") for each in decades]
        values = [self.low + (self.high - self.low) * index / STEPS for index in range(STEPS + 1)]
        return [(value, significant(value)) for value in values]


def plot(found: Sensitivity) -> str:
    """The SVG text; hovering over a line tells its group and its values."""
    scale = _scale(found)
    ranked = found.ranked
    width = MARGIN + WIDTH + LEGEND
    what = found.metric or "noise over signal at the outputs"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT + 2 * MARGIN}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect x="{MARGIN}" y="{MARGIN}" width="{WIDTH}" height="{HEIGHT}" fill="#f6f6f6"/>',
        _text(MARGIN, MARGIN - 24, f"{found.source}: {what} without a share of one group's units"),
    ]
    for value, label in scale.ticks():
        y = scale.height(value)
        parts.append(f'<line x1="{MARGIN}" x2="{MARGIN + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(_text(MARGIN - 6, y + 4, label, anchor="end"))
    for rate in (0.0, *found.rates, 1.0):
        parts.append(_text(_across(rate), MARGIN + HEIGHT + 18, percent(rate), anchor="middle"))
    for index, group in reversed(list(enumerate(ranked))):  # what matters most is drawn on top
        parts += _group(group, found, scale, _colour(index), named=index < MOST_NAMES)
    for index, group in enumerate(ranked[:MOST_NAMES]):
        y = MARGIN + 10 + index * LINE
        parts.append(
            f'<rect x="{MARGIN + WIDTH + 12}" y="{y - 8}" width="10" height="10" fill="{_colour(index)}"/>'
        )
        parts.append(_text(MARGIN + WIDTH + 27, y + 1, shorten(group.name, NAME_WIDTH)))
    if len(ranked) > MOST_NAMES:
        y = MARGIN + 10 + MOST_NAMES * LINE
        parts.append(_text(MARGIN + WIDTH + 12, y, f"grey: {len(ranked) - MOST_NAMES} that matter less"))
    return "\n".join([*parts, "</svg>", ""])


def _scale(found: Sensitivity) -> _Scale:
    """The least that holds every value that can be drawn."""
    values = [point.shown for group in found.groups for point in group.points if point.shown is not None] + (
        [] if found.baseline is None else [found.baseline]
    )
    finite = [value for value in values if math.isfinite(value)] or [1.0]
    if not found.metric:
        logs = [math.log10(max(value, FLOOR)) for value in finite]
        lowest = math.floor(min(logs))
        return _Scale(lowest, max(math.ceil(max(logs)), lowest + 1), is_log=True)
    low, high = min(finite), max(finite)
    return _Scale(low, high if high > low else low + 1.0, is_log=False)


def _group(
    group: GroupSensitivity, found: Sensitivity, scale: _Scale, colour: str, *, named: bool
) -> list[str]:
    """The line of a group, with a dot where it was tried."""
    places: list[tuple[float, float]] = []
    if found.baseline is not None and math.isfinite(found.baseline):
        places.append((_across(0.0), scale.height(found.baseline)))
    told: list[str] = []
    for point in group.points:
        value = point.shown
        told.append(f"{percent(point.rate)} {_value(value, bool(found.metric))}")
        if value is not None and math.isfinite(value):
            places.append((_across(point.rate), scale.height(value)))
    title = f"<title>{escape(f'{group.name}, {group.units} units: ' + ', '.join(told))}</title>"
    return [
        f'<g stroke="{colour}" fill="{colour}" stroke-width="{2 if named else 1}">{title}',
        f'<polyline fill="none" points="{_points(places)}"/>',
        *(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2"/>' for x, y in places),
        "</g>",
    ]


def _value(value: float | None, is_metric: bool) -> str:
    if value is None:
        return "broken"
    return significant(value, 4) if is_metric else small(value)


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _across(rate: float) -> float:
    return MARGIN + rate * WIDTH


def _colour(index: int) -> str:
    return f"hsl({index * GOLDEN_ANGLE % 360:.0f},65%,42%)" if index < MOST_NAMES else "#bbb"


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
