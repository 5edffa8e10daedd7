"""Keep one of equal initializers: tied weights and constants that exporters write again and again.

Across scopes: one that two branches hold moves to the main graph. Graph inputs and outputs stay as they are.
External data is hashed and compared through its memory map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Changes, Names, graph_and_bodies
from graphopt.ir.ops import may_be_overwritten
from graphopt.native import hash_tensor
from graphopt.passes.tensors import same_tensor
from graphopt.pipeline import Pass


@dataclass(frozen=True)
class DedupInitializers(Pass):
    """Keep one of equal initializers.

    Attributes:
        min_bytes: Leave smaller tensors alone.
    """

    name: ClassVar[str] = "dedup-initializers"
    exact: ClassVar[bool] = True
    min_bytes: int = 0

    def apply(self, model: ir.Model, changes: Changes) -> None:
        names = Names(model)
        for group in _of_one_kind(model.graph, self.min_bytes):
            for equal in _equal(group):
                changes.add("equal initializer", len(equal) - 1)
                _merge(equal, model.graph, names)


def _of_one_kind(main: ir.Graph, min_bytes: int) -> list[list[ir.Value]]:
    """Initializers that may be merged, those of one dtype and shape together; the main graph's first."""
    groups: dict[object, list[ir.Value]] = {}
    for graph in graph_and_bodies(main):
        for value in graph.initializers.values():
            tensor = value.const_value
            bound = value.is_graph_input() or value.is_graph_output()
            if tensor is None or bound or tensor.nbytes < min_bytes or may_be_overwritten(value):
                continue
            groups.setdefault((tensor.dtype, tuple(tensor.shape)), []).append(value)
    return [group for group in groups.values() if len(group) > 1]


def _equal(values: list[ir.Value]) -> list[list[ir.Value]]:
    """Classes of two or more equal tensors."""
    by_digest: dict[bytes, list[ir.Value]] = {}
    for value in values:
        by_digest.setdefault(hash_tensor(_tensor(value)), []).append(value)
    return [
        [first, *equal]
        for first, *others in by_digest.values()
        if (equal := [value for value in others if same_tensor(_tensor(first), _tensor(value))])
    ]


def _merge(equal: list[ir.Value], main: ir.Graph, names: Names) -> None:
    kept = equal[0]
    if any(value.graph is not kept.graph for value in equal) and kept.graph is not main:
        kept = _moved(kept, main, names)
        equal = [kept, *equal]
    for value in equal[1:]:
        graph = value.graph
        assert graph is not None and value.name is not None
        value.replace_all_uses_with(kept)
        del graph.initializers[value.name]


def _moved(value: ir.Value, main: ir.Graph, names: Names) -> ir.Value:
    """The same tensor as an initializer of the main graph, under a name that is free everywhere."""
    tensor = _tensor(value)
    moved = ir.Value(
        name=names.fresh(value.name or "shared"), type=value.type, shape=value.shape, const_value=tensor
    )
    main.initializers.add(moved)
    return moved


def _tensor(value: ir.Value) -> ir.TensorProtocol:
    assert value.const_value is not None
    return value.const_value
