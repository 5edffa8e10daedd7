"""Raise the model to the version of the standard operator set that a fusion waits for.

Fusions leave word of what they need (`graphopt.ir.want_opset`) and are refused; after this pass they find it.
A model that no fusion wants newer stays as it is: newer versions alone make nothing faster. Means the same,
but not to the last bit: onnxruntime averages pools by another kernel from opset 19 on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.execute import runs_node, runs_opset
from graphopt.ir import WANTED_OPSET_KEY, Changes, opset
from graphopt.ir.opsets import NEWEST_OPSET, OpsetError, raise_opset
from graphopt.pipeline import Pass


@dataclass(frozen=True)
class RaiseOpset(Pass):
    """Raise the opset where a fusion needs a newer one."""

    name: ClassVar[str] = "raise-opset"

    def apply(self, model: ir.Model, changes: Changes) -> None:
        wishes: dict[int, list[str]] = model.meta.pop(WANTED_OPSET_KEY, {})
        old = opset(model)
        for version in sorted(wishes, reverse=True):
            if version <= old:
                return
            if version > NEWEST_OPSET or not runs_opset(version):
                changes.refuse(f"onnxruntime does not run opset {version}")
                continue
            try:
                raise_opset(model, version, runs_node)
            except OpsetError as error:
                for reason, name in error.refusals:
                    changes.refuse(f"opset {version} is out of reach: {reason}", name)
                continue
            waiting = [
                by for wanted, names in sorted(wishes.items()) if old < wanted <= version for by in names
            ]
            told = f" for {', '.join(waiting)}" if waiting else ""
            changes.add(f"raised from opset {old} to {version}{told}")
            return
