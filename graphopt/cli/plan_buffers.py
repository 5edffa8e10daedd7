"""`graphopt plan --buffers FILE.csv`: where does each buffer of a bare instance lie?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from graphopt.cli.console import progress, show, show_json
from graphopt.cli.guard import NEGATIVE, OK

if TYPE_CHECKING:
    from rich.console import RenderableType

    from graphopt.memory.buffers import Instance
    from graphopt.memory.plan import Plan

SECONDS = 20.0
"""Time limit where none is given."""


def plan_buffers(
    path: Path, *, capacity: int | None, time_limit: float, alignment: int, top: int, json: bool
) -> int:
    """Place the buffers of a CSV file and show the plan; 1 if they were not made to fit the capacity.

    Raises:
        UsageError: The file is no valid instance, or an option is out of range.
    """
    from graphopt.memory.buffers import read_instance
    from graphopt.memory.placement import place

    instance = read_instance(path, alignment=alignment)
    with progress(f"placing {len(instance.buffers)} buffers"):
        plan = place(instance, time_limit=time_limit, capacity=capacity)
    fits = capacity is None or plan.arena <= capacity
    if json:
        verdict = {} if capacity is None else {"capacity": capacity, "fits": fits}
        show_json(plan.to_dict() | verdict)
    else:
        show(*_tables(instance, plan, capacity, top))
    return OK if fits else NEGATIVE


def _tables(
    instance: Instance[str], plan: Plan[str], capacity: int | None, top: int
) -> Iterator[RenderableType]:
    from graphopt.report.layout import columns

    proved = (
        "the smallest possible" if plan.optimal else f"at most {plan.gap:.2%} above the smallest possible"
    )
    summary = columns("", ">bytes", "")
    summary.add_row("arena", f"{plan.arena:,}", proved)
    summary.add_row("lower bound", f"{plan.lower_bound:,}", "")
    if capacity is not None:
        summary.add_row("capacity", f"{capacity:,}", _verdict(plan, capacity))
    yield summary
    largest = sorted(instance.buffers, key=lambda buffer: -buffer.size)[:top]
    if largest:
        table = columns("largest buffers", ">bytes", ">offset", ">from", ">until")
        for buffer in largest:
            offset = plan.offsets[buffer.id]
            table.add_row(buffer.id, f"{buffer.size:,}", f"{offset:,}", str(buffer.lower), str(buffer.upper))
        yield ""
        yield table
    yield ""
    yield f"{len(instance.buffers)} buffers placed in {plan.seconds:.2f} s"


def _verdict(plan: Plan[str], capacity: int) -> str:
    fits = plan.fits(capacity)
    if fits is None:
        return "no fit found in the time; it is not proved that there is none"
    return "fits" if fits else "too small, which is proved"
