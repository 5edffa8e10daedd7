"""Go through a graph from its outputs backwards, and write down how they depend on values of it.

Rules of single operators stand in `rules`. Where one is missing, or cannot tell, everything before has no
gradient: none is given that leaves a path out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import onnx_ir as ir

from graphopt.gradients.rules import rule_for
from graphopt.gradients.tape import NoGradient, Tape
from graphopt.ir import Names, constant_tensor, refresh_shapes, subgraphs
from graphopt.ir.opsets import OpsetError, raise_opset

OPSET = 18
"""Gradients are written in this version of the standard operators, or in the model's where that is newer."""


@dataclasses.dataclass(frozen=True)
class Missing:
    """Why nothing is known of what the outputs owe to values.

    Attributes:
        reason: In words that follow on "no gradient, because".
        node: Name of the node that is in the way.
        op_type: Its operator.
    """

    reason: str
    node: str
    op_type: str


@dataclasses.dataclass(frozen=True)
class GradientGraph:
    """A model with nodes that compute gradients.

    Attributes:
        model: Inputs of the original, and one for each of `seeds`; its outputs are the values
            that were asked for and their gradients.
        seeds: For outputs of floats, by name, the input that takes the loss's gradient there, of its shape.
        gradients: For values that were asked for, by name, that of their gradient. Missing is what no output
            depends on, and what `missing` is in the way of.
        missing: What stood in the way.
        hidden: Values that were asked for, and of whose gradient `missing` hides a part.
    """

    model: ir.Model
    seeds: Mapping[str, str]
    gradients: Mapping[str, str]
    missing: tuple[Missing, ...]
    hidden: frozenset[str]


def gradient_graph(model: ir.Model, wanted: Collection[str]) -> GradientGraph:
    """Write the gradients of values of a model's main graph behind it.

    Args:
        model: Only read.
        wanted: Names of values. Their own gradients become outputs of the model that is made, with the values
            themselves.

    Returns:
        The model that computes them. Without a newer opset that it can be raised to, it has no gradients.
    """
    made = model.clone()
    try:
        if made.opset_imports.get("", OPSET) < OPSET:
            raise_opset(made, OPSET)
    except OpsetError as error:
        return GradientGraph(made, {}, {}, (Missing(str(error), "", ""),), frozenset(wanted))
    refresh_shapes(made)
    walk = _Reverse(made, frozenset(wanted))
    return walk.run()


class _Reverse:
    """One walk; the model gets nodes while it lasts."""

    def __init__(self, model: ir.Model, wanted: frozenset[str]) -> None:
        self._model = model
        self._nodes = list(model.graph)
        self._wanted = wanted
        self._tape = Tape(model)
        self._terms: dict[ir.Value, list[ir.Value]] = {}
        self._hidden: set[ir.Value] = set()
        self._active = self._behind()
        self._missing: dict[Missing, None] = {}

    def run(self) -> GradientGraph:
        graph = self._model.graph
        seeds = self._seed()
        gradients: dict[str, str] = {}
        values = {value.name or "": value for value in self._active}
        for node in reversed(self._nodes):
            for value in node.outputs:
                if value.name in self._wanted:
                    self._note(value, gradients)
            self._through(node)
        for value in graph.inputs:
            if value.name in self._wanted:
                self._note(value, gradients)
        shown = {name: values[name] for name in gradients}
        computed = {value.name or "": value for node in graph for value in node.outputs}
        graph.outputs.clear()
        graph.outputs.extend(shown.values())
        graph.outputs.extend(computed[name] for name in dict.fromkeys(gradients.values()))
        hidden = {value.name or "" for value in self._hidden} & self._wanted
        return GradientGraph(self._model, seeds, gradients, tuple(self._missing), frozenset(hidden))

    def _behind(self) -> set[ir.Value]:
        """Values of floats that depend on those wanted."""
        found = {value for value in self._model.graph.inputs if value.name in self._wanted}
        for node in self._nodes:
            if any(value in found for value in _read(node)):
                found.update(value for value in node.outputs if _is_float(value))
            found.update(value for value in node.outputs if value.name in self._wanted)
        return found

    def _seed(self) -> dict[str, str]:
        """An input for each output that depends on what is wanted: the loss's gradient there."""
        names, seeds = Names(self._model), {}
        for value in dict.fromkeys(self._model.graph.outputs):
            if value not in self._active:
                continue
            seed = ir.Value(name=names.fresh(f"gradient/{value.name}"), type=value.type, shape=value.shape)
            self._model.graph.inputs.append(seed)
            seeds[value.name or ""] = seed.name or ""
            self._terms[value] = [seed]
        return seeds

    def _note(self, value: ir.Value, gradients: dict[str, str]) -> None:
        if value in self._terms and value not in self._hidden:
            total = self._tape.op("Identity", self._sum(value))
            gradients[value.name or ""] = total.name or ""

    def _sum(self, value: ir.Value) -> ir.Value:
        """The gradient of a value of which all readers have been seen."""
        terms = self._terms[value]
        if len(terms) > 1:
            self._terms[value] = terms = [self._tape.add(*terms)]
        return terms[0]

    def _through(self, node: ir.Node) -> None:
        """From the gradients of a node's outputs to those of its inputs."""
        told = [value for value in node.outputs if value in self._terms]
        hidden = any(value in self._hidden for value in node.outputs)
        if not told and not hidden:
            return
        rule = rule_for(node)
        for index, value in enumerate(node.inputs):
            if value is None or value not in self._active:
                continue
            if hidden:
                self._hidden.add(value)
                continue
            try:
                if rule is None:
                    raise NoGradient(f"nothing is known of the derivative of {node.op_type}")
                gradients = [self._sum(each) if each in self._terms else None for each in node.outputs]
                found = rule(self._tape, node, index, gradients)
            except NoGradient as error:
                self._missing[Missing(str(error), node.name or "", node.op_type)] = None
                self._hidden.add(value)
                continue
            if found is not None:
                self._terms.setdefault(value, []).append(found)
        if rule is None:
            for value in _read(node):
                if value in self._active and value not in self._hidden:
                    self._missing[Missing(f"{node.op_type} holds graphs", node.name or "", node.op_type)] = (
                        None
                    )
                    self._hidden.add(value)


def _read(node: ir.Node) -> Sequence[ir.Value]:
    """What a node reads, in the graphs that it holds too."""
    found = [value for value in node.inputs if value is not None]
    for graph in subgraphs(node):
        for inner in graph:
            found += _read(inner)
    return found


def _is_float(value: ir.Value) -> bool:
    """Whether a value is of floats, or may be."""
    return value.dtype is None or (value.dtype.is_floating_point() and constant_tensor(value) is None)
