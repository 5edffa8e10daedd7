"""Run a model on samples from one node to the next, so that what lies before is not run again and again.

Values that later nodes read are held for all samples, as long as they are small enough together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from graphopt.execute import Session
from graphopt.ir import constant

Array = npt.NDArray[Any]

MOST_HELD = 1 << 30
"""Bytes of values that are held, of all samples together."""


class Walk:
    """A model on its way through the nodes of its main graph.

    Args:
        model: Weights of nodes that lie ahead may change at any time; nodes may not.
        samples: Sets of inputs.
        threads: Threads of the runtime.
    """

    def __init__(self, model: ir.Model, samples: Sequence[Mapping[str, Any]], threads: int) -> None:
        self._model = model
        self._threads = threads
        self._places = {node: index for index, node in enumerate(model.graph)}
        names = [value.name or "" for value in model.graph.inputs]
        self._held: list[dict[str, Any]] = [
            {name: sample[name] for name in names if name in sample} for sample in samples
        ]

    def values(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Values by name, also constants, for one sample after the other.

        None that only nodes left behind compute.
        """
        known = {
            name: constant(self._model.graph.initializers[name])
            for name in names
            if name not in self._held[0] and name in self._model.graph.initializers
        }
        wanted = [name for name in dict.fromkeys(names) if name not in self._held[0] and name not in known]
        session = Session(self._ahead(wanted), optimize=True, threads=self._threads) if wanted else None
        for held in self._held:
            made: Mapping[str, Any] = {}
            if session is not None:
                made = session.run({name: held[name] for name in session.input_names})
            yield {name: {**held, **known, **made}[name] for name in names}

    def advance(self, node: ir.Node) -> None:
        """Leave a node and those before it behind, if what is read ahead can be held."""
        place = self._places[node]
        names = [
            value.name or ""
            for value in self._values()
            if self._place(value.producer()) <= place and self._is_read_behind(value, place)
        ]
        held: list[dict[str, Any]] = []
        for values in self.values(names):
            if not all(isinstance(each, np.ndarray) for each in values.values()):
                return
            held.append(values)
            if sum(each.nbytes for each in values.values()) * len(self._held) > MOST_HELD:
                return
        self._held = held

    def _values(self) -> Iterator[ir.Value]:
        yield from self._model.graph.inputs
        for node in self._places:
            yield from node.outputs

    def _place(self, node: ir.Node | None) -> int:
        return -1 if node is None else self._places[node]

    def _is_read_behind(self, value: ir.Value, place: int) -> bool:
        """Whether a node behind a place reads a value; graphs inside nodes may always."""
        return any(self._places.get(node, len(self._places)) > place for node in value.consumers())

    def _ahead(self, names: Sequence[str]) -> ir.Model:
        """What computes values from those that are held."""
        part = self._model.clone()
        graph = part.graph
        found = {value.name: value for value in graph.inputs}
        found |= {value.name: value for node in graph for value in node.outputs}
        inputs = []
        for name, array in self._held[0].items():
            value = found[name]
            if value.producer() is not None:
                value.name = f"{name}/behind"
                given = ir.Value(
                    name=name,
                    type=ir.TensorType(ir.DataType.from_numpy(array.dtype)),
                    shape=ir.Shape([None] * array.ndim),
                )
                value.replace_all_uses_with(given, replace_graph_outputs=True)
                value = given
            inputs.append(value)
        graph.outputs.clear()
        graph.outputs.extend(found[name] for name in names)
        graph.inputs.clear()
        graph.inputs.extend(inputs)
        RemoveUnusedNodesPass()(part)
        read = [value for value in graph.inputs if value.uses() or value.is_graph_output()]
        graph.inputs.clear()
        graph.inputs.extend(read)
        return part
