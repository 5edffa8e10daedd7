"""What all of them are: passes that say that they changed something, and do harm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Changes
from graphopt.pipeline import Pass


@dataclass(frozen=True)
class Misbehaving(Pass):
    """Base: says that it changed something, and does harm."""

    name: ClassVar[str] = "misbehaving"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        self.harm(model)
        changes.add("harmed")

    def harm(self, model: ir.Model) -> None:
        """What it does; overridden."""
