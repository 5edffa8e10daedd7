"""What each name refers to while the nodes of a graph are read in order.

A use refers to the last definition before it, as in a sequential program. Definitions that share a name are
named apart; a name of the graph's interface is never given up.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from graphopt.errors import ModelError
from graphopt.io.names import FreshNames, check_text, listed, told


class Scope:
    """The names of one graph.

    Args:
        outer: The scope around it, for a body.
        where: How messages call the graph.
        inputs: Names of its inputs.
        initializers: Names of its initializers; one that is an input too is one definition.
        nodes: Its nodes; only their outputs are read here.
        fresh: Makes new names.

    Attributes:
        current: What each name defined so far refers to: the name its last definition was given.
        reads_ahead: The first name that was read before its definition, or None: the nodes are in order.
    """

    def __init__(
        self,
        outer: Scope | None,
        where: str,
        inputs: Sequence[str],
        initializers: Sequence[str],
        nodes: Sequence[onnx.NodeProto],
        fresh: FreshNames,
    ) -> None:
        self.outer = outer
        self.where = where
        self.current: dict[str, str] = {}
        self.reads_ahead: str | None = None
        self._ambiguous: str | None = None
        self._hiding: list[str] = []
        self._repeated: list[str] = []
        self._coming = self._name_definitions(inputs, initializers, nodes, fresh)
        self.at_start = {name: self.define(name) for name in dict.fromkeys((*inputs, *initializers))}

    def _name_definitions(
        self,
        inputs: Sequence[str],
        initializers: Sequence[str],
        nodes: Sequence[onnx.NodeProto],
        fresh: FreshNames,
    ) -> dict[str, list[str]]:
        """For each name the names its definitions are given, the last definition first."""
        counts = dict.fromkeys((*inputs, *initializers), 1)
        for node in nodes:
            for name in node.output:
                if name:
                    counts[name] = counts.get(name, 0) + 1
        kept_first = frozenset(inputs)
        coming: dict[str, list[str]] = {}
        for name, count in counts.items():
            check_text(name, f"the name of a value of {self.where}")
            if self.outer is not None and self.outer.declares(name):
                self._hiding.append(name)
                coming[name] = [fresh.like(name) for _ in range(count)]
            elif count == 1:
                coming[name] = [name]
            else:
                # The interface keeps its names: an input is a first definition, an output the last one.
                self._repeated.append(name)
                new = [fresh.like(name) for _ in range(count - 1)]
                coming[name] = [*new, name] if name in kept_first else [name, *new]
        return coming

    def declares(self, name: str) -> bool:
        """Whether `name` is defined anywhere in this graph or around it."""
        return name in self._coming or (self.outer is not None and self.outer.declares(name))

    def sees(self, name: str) -> bool:
        """Whether `name` is defined so far, in this graph or around it."""
        return name in self.current or (self.outer is not None and self.outer.sees(name))

    def define(self, name: str) -> str:
        """Reach the next definition of `name`; the name it is given."""
        given = self._coming[name].pop()
        self.current[name] = given
        return given

    def look_up(self, name: str, node: onnx.NodeProto) -> str:
        """The name given to what `name` refers to at this point.

        Raises:
            ModelError: Nothing defines it.
        """
        ahead: Scope | None = None
        scope: Scope | None = self
        while scope is not None:
            given = scope.current.get(name)
            if given is not None:
                if ahead is not None:
                    ahead._ambiguous = name
                return given
            if ahead is None and name in scope._coming:
                ahead = scope
            scope = scope.outer
        if ahead is None:
            raise ModelError(
                f"{told(node)} reads {name!r}, which no node, input or initializer defines",
                hint="the model may have been cut out of a larger one; make the value a graph input",
            )
        ahead.reads_ahead = ahead.reads_ahead or name
        return ahead._coming[name][0]

    def close(self, notes: list[str]) -> None:
        """Note what was named apart, once every node has been read.

        Raises:
            ModelError: Definitions share a name and the nodes are not in order: a use has no one meaning.
        """
        doubtful = self._ambiguous or next(iter(self._repeated), None)
        if self.reads_ahead is not None and doubtful is not None:
            raise ModelError(
                f"{self.where} defines {doubtful!r} twice, and its nodes are not in order "
                f"({self.reads_ahead!r} is read before it is defined): which one is meant cannot be told",
                hint="export the model again with unique value names",
            )
        if self._repeated:
            notes.append(f"{self.where} defined more than once, now named apart: {listed(self._repeated)}")
        if self._hiding:
            notes.append(
                f"{self.where} defined names also defined around it, now named apart: {listed(self._hiding)}"
            )

    def rename_declarations(self, graph: onnx.GraphProto) -> None:
        """Carry new names over to the inputs, initializers, claims and annotations of `graph`."""
        if not self._repeated and not self._hiding:
            return
        for item in (*graph.input, *graph.initializer):
            item.name = self.at_start[item.name]
        # Which of several definitions a claim about a shape was made for is not known.
        unclear = set(self._repeated)
        for index in reversed(range(len(graph.value_info))):
            info = graph.value_info[index]
            if info.name in unclear:
                del graph.value_info[index]
            else:
                info.name = self.current.get(info.name, info.name)
        for annotation in graph.quantization_annotation:
            annotation.tensor_name = self.current.get(annotation.tensor_name, annotation.tensor_name)
            for entry in annotation.quant_parameter_tensor_names:
                entry.value = self.current.get(entry.value, entry.value)
