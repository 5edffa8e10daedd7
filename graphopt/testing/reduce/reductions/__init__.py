"""What can be made smaller, from coarse to fine: one file for each kind, one table of all.

A reduction edits a case in place. It asks `take` once for each thing that it could do, in an order that
depends on the model alone, and does what is taken; taking nothing changes nothing. Whether the outcome is
valid, and whether the failure is still there, is for others to say.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from graphopt.testing.reduce.case import Case, Take
from graphopt.testing.reduce.reductions.bypass import bypass_nodes
from graphopt.testing.reduce.reductions.constants import values_to_constants
from graphopt.testing.reduce.reductions.cut import cut_nodes, cut_nodes_and_share
from graphopt.testing.reduce.reductions.outputs import drop_outputs


@dataclasses.dataclass(frozen=True)
class Reduction:
    """One way to make a model smaller.

    Attributes:
        name: Said while it runs.
        edit: Does the things that are taken.
        reshapes: Values may have other types or shapes afterwards.
        one_by_one: Things are tried singly only, not in groups first.
    """

    name: str
    edit: Callable[[Case, Take], None]
    reshapes: bool = False
    one_by_one: bool = False


REDUCTIONS = (
    Reduction("drop outputs", drop_outputs),
    Reduction("cut out nodes", cut_nodes),
    Reduction("bypass nodes", bypass_nodes),
    Reduction("cut out nodes, keep shared values", cut_nodes_and_share, one_by_one=True),
    Reduction("turn values into constants", values_to_constants),
)
