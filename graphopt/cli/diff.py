"""`graphopt diff A B`: which nodes became which?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphopt.cli.console import show, show_json
from graphopt.cli.guard import NEGATIVE, OK, guarded
from graphopt.cli.options import DebugOption, JsonOption


@guarded
def command(
    before: Annotated[Path, typer.Argument(metavar="A", help="A model.", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="B", help="What became of it.", show_default=False)],
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Name every node.")] = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> int:
    """Show which nodes of a model became which of another.

    Exits with 1 where the models differ in nodes, interface or weights. Neither is run: `graphopt check`
    tells whether they compute the same.
    """
    from graphopt.compile.given import open_given
    from graphopt.report.diff import diff
    from graphopt.report.diff_tables import difference

    result = diff(open_given(before).model, open_given(after).model)
    if json:
        show_json(result.to_dict())
    else:
        show(*difference(result, verbose=verbose))
    return OK if result.same else NEGATIVE
