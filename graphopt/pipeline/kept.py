"""What no pass may change whatever it does: names of inputs and outputs, versions once reached, a sane size.

It looks at the outside of a model; what is inside is the verifier's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import onnx
import onnx_ir as ir

MOST_GROWTH = 100
"""Nodes for each that there was, where there were many."""

MANY_NODES = 100_000
"""So many nodes are never too many."""


@dataclasses.dataclass(frozen=True)
class Kept:
    """The outside of a model before any pass.

    Attributes:
        inputs: Names of the inputs.
        optional: Those with a default, which may go.
        outputs: Names of the outputs.
        nodes: Number of nodes.
    """

    inputs: tuple[str | None, ...]
    optional: frozenset[str | None]
    outputs: tuple[str | None, ...]
    nodes: int

    @classmethod
    def of(cls, model: ir.Model, nodes: int) -> Kept:
        """What has to be kept of a model that has so many nodes."""
        return cls(
            tuple(value.name for value in model.graph.inputs),
            frozenset(value.name for value in model.graph.inputs if value.is_initializer()),
            tuple(value.name for value in model.graph.outputs),
            nodes,
        )

    def violation(self, model: ir.Model, versions: Versions, nodes: int) -> str | None:
        """What is wrong with a model after a pass, in words.

        Args:
            model: After the pass.
            versions: Before it.
            nodes: Number of nodes after it.
        """
        inputs = [value.name for value in model.graph.inputs]
        expected = [name for name in self.inputs if name in inputs or name not in self.optional]
        if inputs != expected:
            return f"the inputs are {_listed(inputs)}, expected {_listed(expected)}"
        outputs = tuple(value.name for value in model.graph.outputs)
        if outputs != self.outputs:
            return f"the outputs are {_listed(outputs)}, expected {_listed(self.outputs)}"
        if nodes > max(MANY_NODES, MOST_GROWTH * self.nodes):
            return f"the graph grew from {self.nodes} to {nodes} nodes"
        return versions.violation(model)


@dataclasses.dataclass(frozen=True)
class Versions:
    """Versions of a model, which passes may raise and never lower.

    Attributes:
        ir_version: Of the format.
        opsets: Domain -> version.
    """

    ir_version: int
    opsets: dict[str, int]

    @classmethod
    def of(cls, model: ir.Model) -> Versions:
        """The versions that `model` has now."""
        return cls(model.ir_version, dict(model.opset_imports))

    def violation(self, model: ir.Model) -> str | None:
        """What is wrong with the versions of a model after a pass, in words."""
        newest = max(int(onnx.IR_VERSION), self.ir_version)
        if not self.ir_version <= model.ir_version <= newest:
            return f"the IR version is {model.ir_version}, expected {self.ir_version} to {newest}"
        for domain, version in self.opsets.items():
            now = model.opset_imports.get(domain, version)
            if now < version:
                return f"the opset of {domain or 'ai.onnx'} fell from {version} to {now}"
        return None


def _listed(names: Sequence[str | None]) -> str:
    shown = ", ".join(map(repr, names[:8]))
    return f"[{shown}{', ...' if len(names) > 8 else ''}]"
