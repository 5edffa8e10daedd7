"""What came of checking a pass on a model."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping

import onnx_ir as ir

from graphopt.ir import is_constant_node, nodes
from graphopt.pipeline import Record


@dataclasses.dataclass(frozen=True)
class PassRun:
    """What a pass made of a model, every property holding.

    Attributes:
        model: The model after.
        before: The model as it was, shapes inferred.
        records: The pipeline's records of the first run; none of a plain function.
        checked: The properties that were looked at, in order.
        unchecked: Property -> why it could not be looked at: no runtime runs the model, say.
        changed: It found something to do: it says so, or it is a function, which says nothing, and did.
    """

    model: ir.Model
    before: ir.Model
    records: list[Record]
    checked: tuple[str, ...] = ()
    unchecked: Mapping[str, str] = dataclasses.field(default_factory=dict)
    changed: bool = False

    @property
    def hits(self) -> Counter[str]:
        """Changes by kind."""
        return _summed(record.hits for record in self.records)

    @property
    def refusals(self) -> Counter[str]:
        """Refused places by reason."""
        return _summed(record.refusals for record in self.records)

    @property
    def changes(self) -> int:
        """Number of changes."""
        return sum(record.changes for record in self.records)

    @property
    def ops(self) -> list[str]:
        """Operators of every graph after, in order, Constant left out."""
        return [node.op_type for node in nodes(self.model) if not is_constant_node(node)]

    def node(self, op_type: str) -> ir.Node:
        """The only node of that operator."""
        (found,) = (node for node in nodes(self.model) if node.op_type == op_type)
        return found


def _summed(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return total
