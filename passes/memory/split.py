"""Run stretches of nodes in parts along an axis along which nothing is computed from anything else's place.

Before: MatMul - Gelu - MatMul over all tokens, the expanded tensor whole in memory. After: Slice - MatMul -
Gelu - MatMul for some tokens at a time; then Concat. So with rows, images of a batch, output channels, or the
heads of an attention, whose scores are then never whole in memory. Weights are cut along, not copied. Nothing
is computed twice. What a runtime adds up in another order in smaller parts may differ in the last bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Changes
from graphopt.passes.memory._budget import lower_within
from graphopt.passes.memory._cuts import splits
from graphopt.pipeline import Pass


@dataclass(frozen=True)
class Split(Pass):
    """Run large nodes and what surrounds them in parts along a free axis, so that less memory is needed.

    Attributes:
        max_memory: Bytes that all activations may take at a time; 0 for as few as can be had.
    """

    name: ClassVar[str] = "split"
    comes_last: ClassVar[bool] = True

    max_memory: int = 0

    def apply(self, model: ir.Model, changes: Changes) -> None:
        lower_within(model, changes, self.max_memory, [splits])
