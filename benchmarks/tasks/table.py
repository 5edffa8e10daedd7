"""The comparison's results as Markdown: a table of headline figures, and one of all figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]


def render(results: Mapping[str, Record]) -> str:
    """Both tables of `{task: {"headline", "allowance", "floor", "schemes": {scheme: record}}}`."""
    lines = [
        "| task | scheme | judged by | value | bound | holds | size | 1 thread | 2 threads |",
        "|---|---|---|--:|--:|---|--:|--:|--:|",
    ]
    details = ["| task | scheme | figures |", "|---|---|---|"]
    for task, result in results.items():
        limit = bound(result)
        for scheme, record in result["schemes"].items():
            lines.append(f"| {task} | {scheme} | {' | '.join(cells(result['headline'], limit, record))} |")
            figures = record.get("figures", {})
            told = ", ".join(f"{name} {number(value)}" for name, value in figures.items())
            note = f" ({record['note']})" if record.get("note") else ""
            details.append(f"| {task} | {scheme} | {told or record['fails'].replace('|', '/')}{note} |")
    explained = "Size and latency are over the float original (paired, stock onnxruntime); below 1 is better."
    return "\n".join([*lines, "", explained, "", *details])


def beside(results: Mapping[str, Record], one: str, other: str) -> str:
    """A table of two schemes, figures of both in each cell, behind the float model's."""
    lines = [
        "| model | judged by | float | accuracy | size | time, 1 thread | time, 2 threads |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for task, result in results.items():
        schemes, headline = result["schemes"], result["headline"]
        pairs = zip(*(cells(headline, None, schemes[each])[1:] for each in (one, other)), strict=True)
        value, _, _, size, *times = (f"{left} / {right}" for left, right in pairs)
        exact = number(schemes["float"]["figures"][headline])
        lines.append(f"| {task} | {headline} | {exact} | {value} | {size} | {' | '.join(times)} |")
    return "\n".join(lines)


def cells(headline: str, limit: float | None, record: Record) -> list[str]:
    """What a row says after the scheme."""
    if "figures" not in record:
        return [headline, "fails", "", "no", "", "", ""]
    value = record["figures"][headline]
    times = [record.get("latency", {}).get(threads) for threads in ("1", "2")]
    return [
        headline,
        number(value),
        "" if limit is None else number(limit),
        "" if limit is None else "yes" if value >= limit - 1e-9 else "no",
        f"{record['size']:.3f}",
        *(f"{ratio['median']:.2f}" if ratio else "" for ratio in times),
    ]


def bound(result: Record) -> float | None:
    """What the headline figure may not fall below; None where the float model was not scored."""
    if result["floor"] is not None:
        return float(result["floor"])
    figures = result["schemes"].get("float", {}).get("figures")
    return None if figures is None else figures[result["headline"]] - result["allowance"]


def number(value: float) -> str:
    """Four significant digits."""
    return f"{value:.4g}"
