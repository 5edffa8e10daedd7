"""Make a model need no more than some bytes: by tiles, splits and recomputation, the cheapest at each place.

What each does stands in the passes `tile`, `split` and `rematerialize`. Here they are chosen from together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Changes
from graphopt.passes.memory._again import recomputations
from graphopt.passes.memory._budget import lower_within
from graphopt.passes.memory._cuts import splits, tiles
from graphopt.pipeline import Pass


@dataclass(frozen=True)
class FitMemory(Pass):
    """Run nodes in parts or again, whichever is cheaper, so that less memory is needed.

    Attributes:
        max_memory: Bytes that all activations may take at a time; 0 for as few as can be had.
    """

    name: ClassVar[str] = "fit-memory"
    comes_last: ClassVar[bool] = True

    max_memory: int = 0

    def apply(self, model: ir.Model, changes: Changes) -> None:
        lower_within(model, changes, self.max_memory, [splits, tiles, recomputations])
