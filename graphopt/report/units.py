"""Numbers as people read them: bytes, counts, times, ratios, shortened names.

Always three significant digits, always plain ASCII; nothing here knows what is measured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_DECIMAL = ("", "k", "M", "G", "T", "P")


def amount(number: float, unit: str = "") -> str:
    """A number with a decimal prefix: `1234567` -> `1.23 M`, `1234567, "B"` -> `1.23 MB`."""
    scaled, prefix = float(number), 0
    while abs(scaled) >= 999.5 and prefix < len(_DECIMAL) - 1:
        scaled /= 1000
        prefix += 1
    text = str(int(number)) if prefix == 0 and float(number).is_integer() else significant(scaled)
    return f"{text} {_DECIMAL[prefix]}{unit}".rstrip()


def size(count: float) -> str:
    """Bytes: `4745517` -> `4.75 MB` (decimal, as file managers and shops count)."""
    return amount(count, "B")


def duration(seconds: float) -> str:
    """A time: `0.0585` -> `58.5 ms`."""
    if seconds == 0:
        return "0 s"
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "us")):
        if abs(seconds) * factor >= 0.9995:
            return f"{significant(seconds * factor)} {unit}"
    return f"{significant(seconds * 1e9)} ns"


def significant(number: float, digits: int = 3) -> str:
    """A number with so many significant digits, no exponent, zeros kept: `1.50`, `12.3`, `123`."""
    if number == 0 or not math.isfinite(number):
        return f"{number:g}"
    magnitude = math.floor(math.log10(abs(float(f"{number:.{digits - 1}e}"))))
    return f"{number:.{max(digits - 1 - magnitude, 0)}f}"


def small(number: float) -> str:
    """An error or a tolerance: `0`, `1.2e-07`, `0.031`."""
    return "0" if number == 0 else f"{number:.2g}"


def ratio(value: float) -> str:
    """A factor: `1.2` -> `1.20x`."""
    return f"{significant(value)}x"


def change(before: float, after: float) -> str:
    """Relative change in whole percent, signed; "" where there is none or nothing to compare with."""
    if before == after or not before:
        return ""
    percent = (after - before) / before * 100
    return f"{percent:+.0f}%" if abs(percent) >= 0.5 else f"{'+' if percent > 0 else '-'}<1%"


def plural(count: int, noun: str) -> str:
    """`1 node`, `2 nodes`, `2 passes`, `2 copies`."""
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{count} {noun[:-1]}ies"
    return f"{count} {noun}{'es' if noun.endswith(('s', 'x', 'ch')) else 's'}"


def shorten(text: str, width: int) -> str:
    """`text` with its middle left out where it is longer than `width`: the ends of node names tell most."""
    if len(text) <= width:
        return text
    head = (width - 3) // 3
    return f"{text[:head]}...{text[head + 3 - width :]}"


def listed(names: list[str], limit: int = 3, *, separator: str = ", ") -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return separator.join(names[:limit]) + more


def enumerated(names: Sequence[str]) -> str:
    """All names: `a`, `a and b`, `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
