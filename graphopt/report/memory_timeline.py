"""A plan as a drawing: time across, offset up, one box for each piece of the arena (SVG)."""

from __future__ import annotations

import hashlib
from xml.sax.saxutils import escape

from graphopt.memory.graph_plan import Box, GraphPlan

WIDTH, HEIGHT = 960, 480
"""Of the drawing area, in pixels."""

MARGIN = 64
LETTER = 6.2
"""Width of a letter of the labels, about, in pixels."""

LEAST_LABELLED = 12
"""Height of a box from which on it has its name in it, in pixels."""


def timeline(plan: GraphPlan) -> str:
    """The SVG text; hovering over a box tells its name, bytes and steps."""
    steps = max(len(plan.order), 1)
    arena = max(plan.arena, 1)
    across, up = WIDTH / steps, HEIGHT / arena
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + 2 * MARGIN}" '
        f'height="{HEIGHT + 2 * MARGIN}" font-family="sans-serif" font-size="11">',
        f'<rect x="{MARGIN}" y="{MARGIN}" width="{WIDTH}" height="{HEIGHT}" fill="#f6f6f6"/>',
        _text(MARGIN, MARGIN - 10, f"arena {plan.arena} bytes, peak {plan.peak} at step {plan.peak_place}"),
        _text(MARGIN, MARGIN + HEIGHT + 18, "step 0"),
        _text(MARGIN + WIDTH, MARGIN + HEIGHT + 18, str(len(plan.order)), anchor="end"),
        _text(MARGIN - 6, MARGIN + HEIGHT, "0", anchor="end"),
        _text(MARGIN - 6, MARGIN + 10, str(plan.arena), anchor="end"),
    ]
    parts += [_box(box, across, up) for box in plan.boxes]
    peak = MARGIN + (plan.peak_place + 0.5) * across
    parts.append(
        f'<line x1="{peak:.1f}" x2="{peak:.1f}" y1="{MARGIN}" y2="{MARGIN + HEIGHT}" stroke="#c00" '
        'stroke-dasharray="4 3"/>'
    )
    return "\n".join([*parts, "</svg>", ""])


def _box(box: Box, across: float, up: float) -> str:
    x, width = MARGIN + box.lower * across, (box.upper - box.lower) * across
    height = box.size * up
    y = MARGIN + HEIGHT - box.offset * up - height
    title = f"{box.name}: {box.size} bytes at {box.offset}, steps {box.lower} to {box.upper - 1}"
    drawn = (
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" fill="{_colour(box)}" '
        f'stroke="#fff" stroke-width="0.5"><title>{escape(title)}</title></rect>'
    )
    if height < LEAST_LABELLED or width < LETTER * len(box.name):
        return drawn
    return f"{drawn}{_text(x + 3, y + height / 2 + 4, box.name)}"


def _colour(box: Box) -> str:
    """Always the same for a name, light enough for black letters."""
    hue = int.from_bytes(hashlib.blake2s(box.name.encode(), digest_size=2).digest(), "big") % 360
    return f"hsl({hue},55%,{70 if box.values else 85}%)"


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
