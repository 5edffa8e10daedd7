"""`graphopt optimize MODEL`: make a model smaller and faster, check it, measure it, write it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphopt.cli.console import json_text, progress, show, show_json, tell
from graphopt.cli.guard import NEGATIVE, OK, guarded
from graphopt.cli.options import (
    CalibrationOption,
    CheckTimeoutOption,
    DebugOption,
    InputsOption,
    JsonOption,
    LevelOption,
    MaxDropOption,
    MemoryLimitOption,
    MetricOption,
    ModelArgument,
    OpsetOption,
    PassesOption,
    PassTimeoutOption,
    PruneOption,
    QuantizeOption,
    ShapeOption,
    SkipOption,
    TargetOption,
    ThreadsOption,
    TimeBudgetOption,
    default_output,
    destination,
    parse_metric,
    parse_opset,
    parse_shapes,
    parse_size,
)
from graphopt.cli.watch import Watch
from graphopt.errors import UsageError

if TYPE_CHECKING:
    from graphopt.report import Report


@guarded
def command(
    model: ModelArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            help="File to write; by default MODEL, or FUNCTION, as .opt.onnx.",
            show_default=False,
        ),
    ] = None,
    level: LevelOption = 2,
    passes: PassesOption = None,
    skip: SkipOption = [],  # noqa: B006
    target: TargetOption = "portable",
    opset: OpsetOption = "auto",
    shape: ShapeOption = [],  # noqa: B006
    inputs: InputsOption = None,
    prune: PruneOption = None,
    quantize: QuantizeOption = None,
    calibration: CalibrationOption = None,
    metric: MetricOption = None,
    max_drop: MaxDropOption = None,
    time_budget: TimeBudgetOption = None,
    plan_memory: Annotated[
        bool,
        typer.Option(
            "--plan-memory",
            help="Order nodes for the least memory, and write the plan into the metadata.",
        ),
    ] = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Compare the outputs with the original's.")
    ] = True,
    check_timeout: CheckTimeoutOption = None,
    memory_limit: MemoryLimitOption = None,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Compare latencies and emit the fastest.")
    ] = True,
    threads: ThreadsOption = 1,
    pass_timeout: PassTimeoutOption = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="F", help="Write everything known as JSON.", show_default=False),
    ] = None,
    print_after: Annotated[
        list[str],
        typer.Option(
            "--print-after",
            metavar="PASS",
            help="Print to stderr the graph that a pass changed; repeatable.",
        ),
    ] = [],  # noqa: B006
    dump_dir: Annotated[
        Path | None,
        typer.Option("--dump-dir", metavar="DIR", help="Save the model after each pass that changed it."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show every pass and every refusal.")
    ] = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Make a model smaller and faster, and check it.

    The outputs are compared with the original's, and no model is emitted that measures slower."""
    shapes = parse_shapes(shape)
    version = parse_opset(opset)
    most_bytes = parse_size(memory_limit)
    out = default_output(model) if output is None else destination(output)
    from graphopt.compile import optimize, pipeline_for
    from graphopt.io import ensure_writable

    if report is not None:
        ensure_writable(destination(report))
        for what, taken in (("the model", model), ("-o", out)):
            if os.path.realpath(report) == os.path.realpath(taken):
                raise UsageError(f"--report {report} would be written over {what}", hint="name another file")
    watch = Watch(pipeline_for(level, passes, skip, target), print_after, dump_dir)
    with progress(f"optimizing {model.name}") as say:
        result = optimize(
            model, level=level, passes=passes, skip=skip, target=target, shapes=shapes, inputs=inputs,
            opset=version, prune=prune, quantize=quantize, calibration=calibration,
            metric=parse_metric(metric), max_drop=max_drop, time_budget=time_budget, plan_memory=plan_memory,
            check=check, check_timeout=check_timeout, memory_limit=most_bytes, measure=measure,
            threads=threads, pass_timeout=pass_timeout, output=None if str(out) == os.devnull else out,
            observer=watch.after, progress=lambda stage: say(f"{model.name}: {stage}"),
        )  # fmt: skip
    if report is not None:
        _write(report, json_text(result.report.to_dict()))
    if json:
        show_json(result.report.to_dict())
        return NEGATIVE if result.report.unmet else OK
    from graphopt.report.tables import optimization

    show(*optimization(result.report, verbose=verbose))
    watch.finish()
    _tell_where(result.report, report)
    return NEGATIVE if result.report.unmet else OK


def _write(path: Path, text: str) -> None:
    from graphopt.io.atomic import StagedFile

    with StagedFile(path) as staged:
        staged.write(text.encode())
        staged.commit()


def _tell_where(report: Report, copy: Path | None) -> None:
    from graphopt.report.units import duration, enumerated

    written = [*report.files, *([] if copy is None else [str(copy)])]
    what = enumerated(written) if written else "nothing"
    tell(f"wrote {what} in {duration(sum(report.seconds.values()))}")
