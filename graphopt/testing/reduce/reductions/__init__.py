"""What can be made smaller, from coarse to fine: one file for each kind, one table of all.

A reduction edits a case in place. It asks `take` once for each thing that it could do, in an order that
depends on the model alone, and does what is taken; taking nothing changes nothing. Whether the outcome is
valid, and whether the failure is still there, is for others to say.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from graphopt.testing.reduce.case import Case, Take
from graphopt.testing.reduce.reductions.attributes import drop_attributes
from graphopt.testing.reduce.reductions.bypass import bypass_any_shape, bypass_nodes
from graphopt.testing.reduce.reductions.constants import (
    constants_to_inputs,
    constants_to_one_number,
    constants_to_ones,
    constants_to_round_numbers,
    constants_to_scalars,
    constants_to_zeros,
    inner_values_to_constants,
    values_to_constants,
)
from graphopt.testing.reduce.reductions.cut import cut_nodes, cut_nodes_and_share
from graphopt.testing.reduce.reductions.dtypes import use_float
from graphopt.testing.reduce.reductions.flatten import inline_calls, take_branches, take_iterations
from graphopt.testing.reduce.reductions.metadata import drop_metadata, shorten_names
from graphopt.testing.reduce.reductions.operands import drop_operands, drop_results
from graphopt.testing.reduce.reductions.outputs import drop_outputs, show_unused
from graphopt.testing.reduce.reductions.shapes import (
    all_of_a_size,
    dimensions_to_half,
    dimensions_to_one,
    dimensions_to_two,
)
from graphopt.testing.reduce.reductions.static import fix_dimensions


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
    Reduction("make outputs of what is not used", show_unused),
    Reduction("drop outputs", drop_outputs),
    Reduction("cut out nodes", cut_nodes),
    Reduction("leave out metadata", drop_metadata, reshapes=True),
    Reduction("inline functions", inline_calls, reshapes=True),
    Reduction("take branches", take_branches, reshapes=True, one_by_one=True),
    Reduction("take iterations", take_iterations, reshapes=True),
    Reduction("bypass nodes", bypass_nodes),
    Reduction("cut out nodes, keep shared values", cut_nodes_and_share, one_by_one=True),
    Reduction("turn values into constants", values_to_constants),
    Reduction("turn inner values into constants", inner_values_to_constants),
    Reduction("bypass nodes that change shapes", bypass_any_shape, reshapes=True, one_by_one=True),
    Reduction("leave out operands", drop_operands, reshapes=True),
    Reduction("leave out results", drop_results),
    Reduction("leave out attributes", drop_attributes, reshapes=True),
    Reduction("use float", use_float, reshapes=True),
    Reduction("fix dynamic dimensions", fix_dimensions, reshapes=True),
    Reduction("turn constants into inputs", constants_to_inputs, reshapes=True),
    Reduction("shrink dimensions to 1", dimensions_to_one, reshapes=True),
    Reduction("shrink dimensions to 2", dimensions_to_two, reshapes=True),
    Reduction("shrink all dimensions of a size", all_of_a_size, reshapes=True, one_by_one=True),
    Reduction("halve dimensions", dimensions_to_half, reshapes=True),
    Reduction("make constants scalars", constants_to_scalars, reshapes=True),
    Reduction("make constants zeros", constants_to_zeros, reshapes=True),
    Reduction("make constants ones", constants_to_ones, reshapes=True),
    Reduction("make constants one number", constants_to_one_number, reshapes=True),
    Reduction("round constants", constants_to_round_numbers, reshapes=True),
)
"""In the order in which they are tried, round after round."""

LAST = Reduction("shorten names", shorten_names, reshapes=True)
"""Done once, at the end."""
