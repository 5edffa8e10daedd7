"""Make constants of initializers that are also graph inputs, so that other passes may fold them.

Callers can then no longer override them: part of no level, chosen by who knows that nobody does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Changes, infer_shapes
from graphopt.pipeline import Pass

FIRST_IR_VERSION = 4
"""Before it, every initializer had to be an input too."""


@dataclass(frozen=True)
class FreezeInitializers(Pass):
    """Make constants of initializers that are also graph inputs."""

    name: ClassVar[str] = "freeze-initializers"
    exact: ClassVar[bool] = True
    keeps_defaults: ClassVar[bool] = False

    def apply(self, model: ir.Model, changes: Changes) -> None:
        graph = model.graph
        frozen = [value for value in graph.inputs if value.is_initializer()]
        if not frozen:
            return
        for value in frozen:
            graph.inputs.remove(value)
            if value.const_value is not None:
                value.shape = ir.Shape(value.const_value.shape.numpy())
        model.ir_version = max(model.ir_version or 0, FIRST_IR_VERSION)
        changes.add("overridable initializer", len(frozen))
        infer_shapes(model)  # what was no fact about shapes now is one
