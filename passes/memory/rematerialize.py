"""Compute values again where they are read late, instead of keeping them in memory over the peak.

Before: a = Exp(x), read early and late, kept all the time between. After: a second Exp(x) right before the
late readers, if x is there anyway, or a longer chain of nodes. Only deterministic nodes run again, on the
same values, so that all numbers stay the same to the bit. Of all that would do, what costs the fewest
multiply-accumulates and elements is taken. (Rematerialization: Briggs et al., 1992, for registers.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Changes
from graphopt.passes.memory._again import recomputations
from graphopt.passes.memory._budget import lower_within
from graphopt.pipeline import Pass


@dataclass(frozen=True)
class Rematerialize(Pass):
    """Compute cheap values again where they are read late, instead of keeping them over the peak.

    Attributes:
        max_memory: Bytes that all activations may take at a time; 0 for as few as can be had.
    """

    name: ClassVar[str] = "rematerialize"
    exact: ClassVar[bool] = True
    comes_last: ClassVar[bool] = True

    max_memory: int = 0

    def apply(self, model: ir.Model, changes: Changes) -> None:
        lower_within(model, changes, self.max_memory, [recomputations])
