"""`graphopt inspect MODEL`: what is in it, and what does it cost?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from graphopt.cli.console import progress, show, show_json
from graphopt.cli.guard import OK, guarded
from graphopt.cli.options import DebugOption, JsonOption, ModelArgument, ShapeOption, parse_shapes

if TYPE_CHECKING:
    from graphopt.cost import MachineRates


@guarded
def command(
    model: ModelArgument,
    shape: ShapeOption = [],  # noqa: B006
    top: Annotated[
        int, typer.Option("--top", metavar="N", min=0, help="How many of the dearest nodes.")
    ] = 10,
    nodes: Annotated[bool, typer.Option("--nodes", help="List every node, in order.")] = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Show a model's interface, operators and costs.

    The model is not run."""
    shapes = parse_shapes(shape)
    from graphopt.compile.given import open_given
    from graphopt.report.inspection import inspect

    given = open_given(model)
    found = inspect(
        given.model,
        source=given.source,
        notes=given.notes,
        shapes=shapes or given.example_shapes,
        rates=_rates(),
    )
    if json:
        show_json(found.to_dict())
        return OK
    from graphopt.report.cost_tables import inspection

    show(*inspection(found, top=None if nodes else top))
    return OK


def _rates() -> MachineRates | None:
    """What this machine can do, measured the first time anyone asks; None where it cannot be measured."""
    from graphopt.cost import load_rates, measure_rates
    from graphopt.errors import ExecutionError

    known = load_rates()
    if known is not None:
        return known
    try:
        with progress("measuring this machine, once"):
            return measure_rates()
    except ExecutionError:
        return None
