"""`graphopt check A B`: do two models compute the same?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.console import progress, show, show_json
from graphopt.cli.guard import NEGATIVE, OK, guarded
from graphopt.cli.options import (
    AtolOption,
    DebugOption,
    InputsOption,
    JsonOption,
    RtolOption,
    ShapeOption,
    parse_shapes,
)


@guarded
def command(
    original: Annotated[Path, typer.Argument(metavar="A", help="The original.", show_default=False)],
    other: Annotated[
        Path, typer.Argument(metavar="B", help="The model compared with it.", show_default=False)
    ],
    inputs: InputsOption = None,
    shape: ShapeOption = [],  # noqa: B006
    rtol: RtolOption = None,
    atol: AtolOption = None,
    exact: Annotated[bool, typer.Option("--exact", help="Every bit must be the same.")] = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Compare the outputs of two models.

    They run on inputs made to fit, or on your own. Exits with 1 where they differ or could not be compared.
    """
    shapes = parse_shapes(shape)
    from graphopt.compile import api

    with progress(f"comparing {original.name} and {other.name}"):
        result = api.check(original, other, inputs=inputs, shapes=shapes, rtol=rtol, atol=atol, exact=exact)
    if json:
        show_json(result.to_dict())
    else:
        from graphopt.report.check_tables import checked

        show(*checked(result))
    return OK if result.equal else NEGATIVE
