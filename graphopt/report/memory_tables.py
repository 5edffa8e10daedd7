"""A memory plan as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from graphopt.report.layout import columns, heading, note, sections, shortened
from graphopt.report.units import change, duration, plural, size

if TYPE_CHECKING:
    from rich.console import RenderableType

    from graphopt.memory.graph_plan import GraphPlan
    from graphopt.report.memory import Budget, MemoryReport


def memory(report: MemoryReport, *, top: int | None = 10) -> Iterator[RenderableType]:
    """A model's plan.

    Args:
        report: What was planned.
        top: Number of boxes alive at the peak to list, largest first; None for all.
    """
    plan = report.plan
    yield from sections(
        [heading(report.source)],
        [_figures(report)],
        [_peak(plan, top)] if plan.nodes else (),
        map(note, _notes(report)),
    )


def _figures(report: MemoryReport) -> RenderableType:
    plan, budget = report.plan, report.budget
    table = columns("", ">", ">", "")
    table.show_header = False
    table.add_row("arena", size(plan.arena), str(plan.arena), _gap(plan))
    table.add_row("bound", size(plan.lower_bound), str(plan.lower_bound), "bytes alive at a time")
    table.add_row("given order", size(plan.given_peak), str(plan.given_peak), _gain(plan))
    table.add_row("any order", size(plan.any_order), str(plan.any_order), _certificate(plan))
    if budget is not None:
        table.add_row("allowed", size(budget.bytes), str(budget.bytes), "kept" if budget.fits else "not kept")
        if budget.done:
            table.add_row("before", size(budget.before), str(budget.before), "arena of the given model")
            table.add_row("MACs", f"{100 * budget.extra:+.1f}%", str(budget.macs[1]), "for less memory")
    constants = plan.constant_bytes
    table.add_row("constants", size(constants), str(constants), "apart")
    return table


def _gap(plan: GraphPlan) -> str:
    if plan.optimal:
        return "optimal in this order"
    return f"{change(plan.lower_bound, plan.arena)} above the bound"


def _gain(plan: GraphPlan) -> str:
    if not plan.options.reorder or plan.given_peak == plan.peak:
        return "kept"
    return f"{change(plan.given_peak, plan.peak)} by another order"


def _certificate(plan: GraphPlan) -> str:
    return "reached: no order needs less" if plan.is_best_order else "no order needs less than this"


def _peak(plan: GraphPlan, top: int | None) -> RenderableType:
    place = plan.peak_place
    alive = plan.alive_at(place)
    table = columns(
        f"alive at step {place} of {len(plan.nodes)}, {plan.nodes[place].op_type}",
        ">bytes",
        ">offset",
        ">from",
        ">to",
        "shared by",
    )
    for box in alive[:top]:
        others = plural(len(box.values), "value") if len(box.values) > 1 else ""
        table.add_row(
            shortened(box.name),
            str(box.size),
            str(box.offset),
            str(box.lower),
            str(box.upper - 1),
            others if box.values else "bodies",
        )
    if top is not None and len(alive) > top:
        table.add_row(
            f"and {len(alive) - top} more", str(sum(box.size for box in alive[top:])), "", "", "", ""
        )
    return table


def _notes(report: MemoryReport) -> Iterator[str]:
    yield from _of_budget(report.budget)
    yield from report.notes
    if report.assumed:
        sizes = [f"{name}={count}" for name, count in report.assumed.items()]
        yield f"sizes assume {', '.join(sizes)}; --shape sets them"
    yield f"planned in {duration(report.plan.seconds)}"


def _of_budget(budget: Budget | None) -> Iterator[str]:
    if budget is None:
        return
    if budget.done:
        yield f"changed: {', '.join(budget.done)}"
        yield f"checked: outputs are the same as the given model's, {budget.same}"
    if not budget.fits:
        yield f"what blocks it: {budget.blocks}"
        yield f"why it goes no lower: {budget.reason}"
