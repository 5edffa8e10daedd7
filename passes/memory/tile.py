"""Run stretches of a network on parts of their images, one after another, so that none needs much memory.

Before: Conv - Relu - Conv on the whole image. After, for each tile: Slice - Conv - Relu - Conv; then Concat.
A tile reads the rows and columns that its outputs need, with exact halos, and pads at the image's borders
only, so that every output is computed from what it was computed from. Rows of the halos are computed more
than once: of what stays within the bytes allowed, the cheapest is taken. (Patch-based inference: Lin et al.,
"MCUNetV2", 2021.) What a runtime adds up in another order on smaller images may differ in the last bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Changes
from graphopt.passes.memory._budget import lower_within
from graphopt.passes.memory._cuts import tiles
from graphopt.pipeline import Pass


@dataclass(frozen=True)
class Tile(Pass):
    """Run stretches of nodes on parts of their images, so that less memory is needed.

    Attributes:
        max_memory: Bytes that all activations may take at a time; 0 for as few as can be had.
    """

    name: ClassVar[str] = "tile"
    comes_last: ClassVar[bool] = True

    max_memory: int = 0

    def apply(self, model: ir.Model, changes: Changes) -> None:
        lower_within(model, changes, self.max_memory, [tiles])
