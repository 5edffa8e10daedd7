"""Comparisons and measurements, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from graphopt.report.layout import columns, dim, note, shortened
from graphopt.report.units import duration, listed, plural, significant, small

if TYPE_CHECKING:
    from rich.console import RenderableType

    from graphopt.execute import BenchResult, CheckResult

SETS_SHOWN = 4


def checked(result: CheckResult) -> Iterator[RenderableType]:
    """Whether two models compute the same, and how far each output is off in the worst input set."""
    yield Text(verdict(result), style="green" if result.equal else "bold red")
    if result.outputs:
        table = columns("output", ">max abs", ">max rel", ">ULP", "")
        for each in result.worst:
            table.add_row(
                shortened(each.name),
                small(each.max_abs),
                small(each.max_rel),
                "" if each.max_ulp is None else str(each.max_ulp),
                each.reason or ("bit-exact" if each.exact else ""),
            )
        yield table
    yield from map(note, result.notes)


def verdict(result: CheckResult) -> str:
    """The answer in one line."""
    if not result.ran:
        return f"not compared: {result.reason}"
    if not result.equal:
        return f"different: {result.reason}"
    sets = plural(len(result.input_sets), "input set")
    described = [each.description for each in result.input_sets if each.description]
    shown = f": {listed(described, SETS_SHOWN, separator='; ')}" if described else ""
    return f"equal, {'bit for bit' if result.exact else 'within tolerance'}, on {sets}{shown}"


def latencies(result: BenchResult, names: Sequence[str]) -> Iterator[RenderableType]:
    """Latencies of models measured side by side.

    Args:
        result: The measurement.
        names: What to call each model; ratios are to the first.
    """
    table = columns("model", ">median", ">quartiles", "speed")
    for index, label in enumerate(names):
        low, high = result.quartiles(index)
        quartiles = f"{duration(low)} to {duration(high)}"
        table.add_row(label, duration(result.median(index)), quartiles, speed(result, index) if index else "")
    yield table
    yield ""
    threads = plural(result.threads, "thread")
    yield dim(f"{plural(result.rounds, 'round')}, {threads}, with {result.inputs.description}")
    yield from map(note, result.notes)


def speed(result: BenchResult, index: int) -> str:
    """How much faster or slower than the first, with the interval of the median."""
    ratio = result.ratio(index)
    if result.slower(index):
        low, high = ratio.interval
        return f"{significant(ratio.median)}x slower ({significant(low)} to {significant(high)})"
    low, high = 1 / ratio.interval[1], 1 / ratio.interval[0]
    interval = f"({significant(low)} to {significant(high)})"
    return (
        f"{significant(1 / ratio.median)}x faster {interval}" if result.faster(index) else f"alike {interval}"
    )
