"""`graphopt demo`: the whole thing on a small network that ships with the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphopt.cli.console import progress, show, show_json, tell
from graphopt.cli.guard import OK, guarded
from graphopt.cli.options import DebugOption, JsonOption, destination

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphopt.demo import Demo
    from graphopt.report import Report


@guarded
def command(
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="OUT", help="Also write the optimized network."),
    ] = None,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Optimize a small network that ships with graphopt.

    It reads handwritten digits; its 500 test images are the inputs that it is checked and measured with.
    Nothing is written without -o.
    """
    from graphopt.compile import optimize
    from graphopt.demo import load as load_demo
    from graphopt.io import load
    from graphopt.report.units import enumerated

    if output is not None:
        destination(output)
    digits = load_demo()
    with progress("optimizing the digit classifier"):
        images = {"image": digits.images}
        shapes = {"image": digits.images.shape}
        result = optimize(digits.model, inputs=images, shapes=shapes, output=output)
        right = [_right(model, digits) for model in (load(digits.model), result.model)]
    if json:
        accuracy = {"images": len(digits.labels), "right_before": right[0], "right_after": right[1]}
        show_json({"accuracy": accuracy, **result.report.to_dict()})
    else:
        _show(result.report, right, len(digits.labels))
    if result.report.files:
        tell(f"wrote {enumerated(result.report.files)}")
    return OK


def _right(model: ir.Model, digits: Demo) -> int:
    """How many test images a network reads right."""
    from graphopt.execute import Session

    session = Session(model, optimize=True)
    (probability,) = session.run({"image": digits.images}).values()
    return int((probability.argmax(axis=1) == digits.labels).sum())


def _show(report: Report, right: list[int], images: int) -> None:
    from graphopt.report.check_tables import checked
    from graphopt.report.layout import heading, sections
    from graphopt.report.tables import before_after, passes

    table = before_after(report)
    before, after = (f"{100 * each / images:.1f}%" for each in right)
    table.add_row("accuracy", before, after, "", f"{images} images not seen in training, all at once")
    show(
        *sections(
            [heading("a classifier of handwritten digits, 8x8 pixels, before and after `graphopt optimize`")],
            [table],
            passes(report.records),
            () if report.check is None else checked(report.check),
        )
    )
