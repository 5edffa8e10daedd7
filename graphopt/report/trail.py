"""Follow one node of a model through the passes: what stood for it after each of them.

An observer of a pipeline; it changes nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import onnx_ir as ir

from graphopt.ir import PROVENANCE_KEY, constant_tensor, graphs, nodes
from graphopt.pipeline import Record


@dataclasses.dataclass(frozen=True)
class Standing:
    """A node that stands for another one, wholly or in part.

    Attributes:
        op: Its operator.
        name: Its name.
        sources: Names of the original nodes that it was made of; empty where it is one of them.
    """

    op: str
    name: str
    sources: tuple[str, ...] = ()

    @classmethod
    def of(cls, node: ir.Node) -> Standing:
        """The node, for people."""
        sources = node.metadata_props.get(PROVENANCE_KEY, "")
        return cls(node.op_type, node.name or "", tuple(sources.split(", ")) if sources else ())

    def __str__(self) -> str:
        return f"{self.op} {self.name!r}"


@dataclasses.dataclass(frozen=True)
class Step:
    """What one pass made of a node.

    Attributes:
        by: The pass, as it stands in the pipeline.
        nodes: What stands for the node since then; empty where nothing does.
        constant: Whether its result is a constant since then.
        did: What the pass did in that run, all places counted.
    """

    by: str
    nodes: tuple[Standing, ...]
    constant: bool
    did: dict[str, int]


class Trail:
    """What became of one node, pass by pass.

    Args:
        names: Of the node and of the values that it makes.
        model: Before any pass.

    Attributes:
        now: What stands for the node.
        steps: The passes that changed that.
    """

    def __init__(self, names: Iterable[str], model: ir.Model) -> None:
        self._names = frozenset(names)
        self.now = tuple(map(Standing.of, standing_for(self._names, model)))
        self.steps: list[Step] = []

    def after(self, record: Record, model: ir.Model) -> None:
        """Called after each pass."""
        if not record.changes or not self.now:
            return
        now = tuple(map(Standing.of, standing_for(self._names, model)))
        if now != self.now:
            constant = not now and any(self._is_constant(graph) for graph in graphs(model))
            self.steps.append(Step(record.name, now, constant, record.hits))
            self.now = now

    def _is_constant(self, graph: ir.Graph) -> bool:
        values = (graph.initializers.get(name) for name in sorted(self._names))
        return any(value is not None and constant_tensor(value) is not None for value in values)


def standing_for(names: frozenset[str], model: ir.Model) -> Iterator[ir.Node]:
    """The nodes that have one of these names, make a value of one, or were made of a node of one."""
    for node in nodes(model):
        made = (output.name for output in node.outputs)
        sources = node.metadata_props.get(PROVENANCE_KEY, "").split(", ")
        if node.name in names or not names.isdisjoint(made) or not names.isdisjoint(sources):
            yield node
