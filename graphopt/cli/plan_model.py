"""`graphopt plan MODEL`: in how much memory does it run, and in which order?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from graphopt.cli.console import progress, show, show_json, tell
from graphopt.cli.guard import NEGATIVE, OK
from graphopt.cli.options import destination, parse_shapes, parse_size
from graphopt.errors import UsageError

ORDERS = ("best", "keep")


@dataclass(frozen=True)
class Files:
    """What to write beside the answer.

    Attributes:
        model: The model in the plan's order, with the plan in its metadata.
        header: Offsets for C.
        timeline: The drawing, as SVG.
    """

    model: Path | None = None
    header: Path | None = None
    timeline: Path | None = None


def plan_model(
    model: Path,
    *,
    shape: Sequence[str],
    max_memory: str | None,
    order: str,
    overlap: bool,
    files: Files,
    top: int | None,
    json: bool,
) -> int:
    """Plan a model, show the plan and write what was asked for; the exit code.

    Raises:
        UsageError: An option is wrong.
        ModelError: Memory cannot be planned for a value.
        SaveError: A file cannot be written.
    """
    if order not in ORDERS:
        raise UsageError(f"--order {order}: expected one of {', '.join(ORDERS)}")
    if files.timeline is not None and files.timeline.suffix.lower() != ".svg":
        raise UsageError(
            f"--timeline {files.timeline}: drawings are SVG", hint=f"--timeline {files.timeline.stem}.svg"
        )
    shapes = parse_shapes(shape)
    most_bytes = parse_size(max_memory, "--max-memory")
    from graphopt.compile.given import open_given
    from graphopt.compile.planning import told_of_programs
    from graphopt.memory.graph_plan import Options
    from graphopt.report.memory import plan_memory
    from graphopt.report.memory_budget import plan_within

    given = open_given(model)
    with progress(f"planning the memory of {model.name}"):
        how: dict[str, Any] = {
            "source": given.source,
            "shapes": shapes or given.example_shapes,
            "options": Options(reorder=order == "best", overlap=overlap),
            "notes": given.notes,
        }
        if most_bytes is None:
            planned, report = given.model, plan_memory(given.model, **how)
        else:
            planned, report = plan_within(given.model, most_bytes, **how)
        if note := told_of_programs(planned, how["shapes"]):
            report = replace(report, notes=(*report.notes, note))
    if json:
        show_json(report.to_dict())
    else:
        from graphopt.report.memory_tables import memory

        show(*memory(report, top=top))
    if files.header is not None:
        from graphopt.report.c_header import c_header

        _write(files.header, c_header(report.plan, model.stem))
    if files.timeline is not None:
        from graphopt.report.memory_timeline import timeline

        _write(files.timeline, timeline(report.plan))
    if files.model is not None:
        from graphopt.io import save
        from graphopt.report.memory import write_plan

        write_plan(planned, report)
        for path in save(planned, destination(files.model)):
            tell(f"wrote {path}")
    return OK if report.budget is None or report.budget.fits else NEGATIVE


def _write(path: Path, text: str) -> None:
    from graphopt.io.atomic import StagedFile

    with StagedFile(destination(path)) as staged:
        staged.write(text.encode())
        staged.commit()
    tell(f"wrote {path}")
