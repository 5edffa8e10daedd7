"""Compile the quantized regions of the main graph to programs, each one node in the place of its region.

    QuantizeLinear -> DequantizeLinear -> Conv -> ... -> DequantizeLinear  ->  graphopt.Program

onnxruntime runs such a node by graphopt's library. Which nodes a program can run is for `graphopt.native` to
say; what it cannot run stays as it is, and a model without quantized nodes stays altogether.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Changes
from graphopt.native.compiled import compile_regions, embed
from graphopt.pipeline import Pass


@dataclass(frozen=True)
class CompilePrograms(Pass):
    """Compile quantized regions to nodes that graphopt's engine runs inside onnxruntime.

    Attributes:
        keep: Names of nodes: regions that hold one of them stay as they are.
    """

    name: ClassVar[str] = "compile-programs"
    comes_last: ClassVar[bool] = True
    keep: tuple[str, ...] = ()

    def apply(self, model: ir.Model, changes: Changes) -> None:
        outcome = compile_regions(model, self.keep)
        for reason, names in outcome.refusals.items():
            for name in names:
                changes.refuse(reason, name)
        embed(model, outcome.compiled)
        changes.add("program", len(outcome.compiled))
