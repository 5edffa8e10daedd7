"""A report as tables for a terminal: functions from results to rich renderables.

They print nothing and decide nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from graphopt.report.check_tables import checked, speed
from graphopt.report.cost_tables import cost_notes, rates_remark
from graphopt.report.data import Report
from graphopt.report.explanation import refusals as left_alone
from graphopt.report.idiom_tables import idiom_table
from graphopt.report.idioms import idioms
from graphopt.report.layout import NODE_WIDTH, columns, dim, note, sections, shortened
from graphopt.report.quantization_tables import quantized
from graphopt.report.steps import steps
from graphopt.report.units import amount, change, duration, plural, ratio, size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from graphopt.cost import ModelCost
    from graphopt.execute import BenchResult
    from graphopt.pipeline import Record

REFUSALS_SHOWN = 5
HITS_SHOWN = 3


def optimization(report: Report, *, verbose: bool = False) -> Iterator[RenderableType]:
    """The whole report of an optimization, section by section.

    Args:
        report: The report.
        verbose: Show every pass and every refusal instead of those that tell most.
    """
    yield from sections(
        [before_after(report), *measured_with(report)],
        passes(report.records, verbose=verbose),
        idiom_table(idioms(report.records)),
        refusals(report.records, verbose=verbose),
        left_out(report),
        () if report.check is None else checked(report.check),
        () if report.quantization is None else quantized(report.quantization, verbose=verbose),
        steps(report.steps),
        candidates(report),
        notes(report),
    )


def before_after(report: Report) -> Table:
    """Size, cost and speed of the model as it came and as it is."""
    before, after = report.before, report.after
    table = columns("", ">before", ">after", ">", "")
    _row(table, "nodes", before.nodes, after.nodes, str)
    if before.file_bytes is not None and after.file_bytes is not None:
        _row(table, "file", before.file_bytes, after.file_bytes, size)
    else:
        _row(table, "weights", before.parameter_bytes, after.parameter_bytes, size)
    if report.cost_before is not None and report.cost_after is not None:
        _cost_rows(table, report.cost_before, report.cost_after)
    if report.bench is not None:
        _latency_row(table, report.bench, _chosen(report))
    return table


def _cost_rows(table: Table, before: ModelCost, after: ModelCost) -> None:
    _row(table, "parameters", before.params, after.params, amount)
    uncounted = [len(cost.unknown_ops) + len(cost.unknown_shapes) for cost in (before, after)]
    alike = uncounted[0] == uncounted[1]
    remark = "" if alike else f"{plural(uncounted[0], 'node')} not counted before, {uncounted[1]} after"
    _row(table, "MACs", before.macs, after.macs, amount, remark, comparable=alike)
    _row(table, "FLOPs", before.flops, after.flops, amount, comparable=alike)
    peaks = before.activation_peak_bytes, after.activation_peak_bytes
    _row(table, "activations", *peaks, size, "peak memory, nothing shared", comparable=alike)
    times = before.time.estimate, after.time.estimate
    _row(table, "estimate", *times, duration, rates_remark(after), comparable=alike)


def _latency_row(table: Table, bench: BenchResult, chosen: int) -> None:
    # Times drift while measuring, so medians of each alone say less than the median of the paired ratios.
    before = bench.median(0)
    after = before * bench.ratio(chosen).median
    remark = speed(bench, chosen) if chosen else ""
    differs = bench.faster(chosen) or bench.slower(chosen)
    _row(table, "measured", before, after, duration, remark, comparable=differs)


def measured_with(report: Report) -> Iterator[RenderableType]:
    """The inputs and the threads behind the measured latencies, if anything was measured."""
    if report.bench is not None:
        threads = plural(report.bench.threads, "thread")
        yield dim(f"measured with {report.bench.inputs.description}, {threads}")


def _chosen(report: Report) -> int:
    """Place of the emitted model among those measured; the original is the first."""
    return next((index for index, each in enumerate(report.candidates) if each.chosen), 1)


def _row(
    table: Table,
    label: str,
    before: float,
    after: float,
    text: Callable[[float], str],
    remark: str = "",
    *,
    comparable: bool = True,
) -> None:
    """One line; `comparable` says whether the change from one figure to the other means anything."""
    table.add_row(label, text(before), text(after), change(before, after) if comparable else "", dim(remark))


def passes(records: Sequence[Record], *, verbose: bool = False) -> Iterator[RenderableType]:
    """What each pass did, its runs added up; passes without a change are only counted."""
    table = columns("pass", ">changes", ">nodes", ">time", "what")
    idle: list[str] = []
    for name, runs in _runs(records).items():
        changes = sum(run.changes for run in runs)
        if not changes and not verbose:
            idle.append(name)
            continue
        hits = sum((Counter(run.hits) for run in runs), Counter[str]())
        removed = sum(run.nodes_after - run.nodes_before for run in runs)
        what = ", ".join(f"{count} {hit}" for hit, count in hits.most_common(None if verbose else HITS_SHOWN))
        if len(hits) > HITS_SHOWN and not verbose:
            what += ", ..."
        table.add_row(
            name,
            str(changes),
            f"{removed:+d}" if removed else "",
            duration(sum(run.seconds for run in runs)),
            what,
        )
    if table.row_count:
        yield table
    if idle:
        yield dim(f"{plural(len(idle), 'pass')} found nothing to do")


def _runs(records: Sequence[Record]) -> dict[str, list[Record]]:
    runs: dict[str, list[Record]] = {}
    for record in records:
        runs.setdefault(record.name, []).append(record)
    return runs


def refusals(records: Sequence[Record], *, verbose: bool = False) -> Iterator[RenderableType]:
    """Places that were left alone and why, most frequent first, as each pass last saw them."""
    counted = left_alone(records)
    if not counted:
        return
    shown = counted if verbose else counted[:REFUSALS_SHOWN]
    table = columns(">left", "by", "because", "for example")
    for each in shown:
        first = shortened(each.examples[0] if each.examples else "", NODE_WIDTH)
        table.add_row(str(each.count), each.by, each.reason, ", ".join(each.examples) if verbose else first)
    yield table
    if len(counted) > len(shown):
        yield dim(f"and {plural(len(counted) - len(shown), 'more reason')}: --verbose shows them")


def left_out(report: Report) -> Iterator[RenderableType]:
    """Passes that broke the model, if any did."""
    if not report.left_out:
        return
    table = columns("left out", "because")
    for entry in report.left_out:
        table.add_row(Text(entry.name, style="yellow"), entry.reason)
    yield table


def candidates(report: Report) -> Iterator[RenderableType]:
    """The models among which the emitted one was chosen, if there was a choice."""
    if len(report.candidates) <= 2:
        return
    table = columns("candidate", ">nodes", ">speed", "")
    for each in report.candidates:
        speed = "" if each.speedup is None else ratio(each.speedup)
        table.add_row(each.name, str(each.nodes), speed, "chosen" if each.chosen else "")
    yield table


def notes(report: Report) -> Iterator[RenderableType]:
    """What a user should know, a line each."""
    said = list(report.notes)
    if report.cost_after is not None:
        said += cost_notes(report.cost_after)
    yield from map(note, dict.fromkeys(said))
