"""Passes that are broken on purpose, each in its own way: what a checker of passes must catch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Changes
from graphopt.pipeline import Pass


@dataclass(frozen=True)
class Raises(Pass):
    """Raise an error that is none of graphopt's."""

    name: ClassVar[str] = "raises"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        raise ZeroDivisionError("by nothing")


@dataclass(frozen=True)
class BreaksTheGraph(Pass):
    """Give the first node's output the name of the first graph input."""

    name: ClassVar[str] = "breaks-the-graph"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        model.graph[0].outputs[0].name = model.graph.inputs[0].name
        changes.add("renamed")


@dataclass(frozen=True)
class ChangesNumbers(Pass):
    """Put one operator in another's place, which leaves a valid graph of another meaning."""

    name: ClassVar[str] = "changes-numbers"
    before: str = "Mul"
    after: str = "Add"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        for node in model.graph:
            if node.op_type == self.before:
                node.op_type = self.after
                changes.add("changed")


@dataclass(frozen=True)
class RenamesAnOutput(Pass):
    """Give the first graph output another name, which changes the interface."""

    name: ClassVar[str] = "renames-an-output"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        output = model.graph.outputs[0]
        if not (output.name or "").endswith("_renamed"):
            output.name = f"{output.name}_renamed"
            changes.add("renamed")
