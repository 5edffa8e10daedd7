"""A model under mutation, with inputs it runs on, and the registry of mutations.

Says what may be changed; changes nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import onnx_ir as ir

from graphopt.execute.session import Session
from graphopt.ir import Names, constant_tensor, graphs, is_constant_node
from graphopt.testing.generate.choices import Choices
from graphopt.testing.generate.recipe import Unfit

Array = np.ndarray[Any, Any]
T = TypeVar("T")


@dataclass
class Subject:
    """A model under mutation.

    Attributes:
        model: Changed in place; types and shapes of its values are inferred.
        feeds: Sets of inputs; a mutation that adds an input adds its arrays.
        claims: Value name -> type and shape that the finished model shall claim for it, true or not.
    """

    model: ir.Model
    feeds: list[dict[str, Any]]
    claims: dict[str, ir.TypeAndShape] = field(default_factory=dict)

    def clone(self) -> Subject:
        """The same once more, sharing tensors and arrays."""
        return Subject(self.model.clone(), [dict(feed) for feed in self.feeds], dict(self.claims))

    def name(self, stem: str) -> str:
        """A name that nothing in the model has."""
        return Names(self.model).fresh(stem)

    def nodes(self, *, main: bool = False) -> list[ir.Node]:
        """All nodes but Constants, of the main graph alone or of every graph."""
        found = [self.model.graph] if main else list(graphs(self.model))
        return [node for graph in found for node in graph if not is_constant_node(node)]

    def constants(self, kinds: str = "fiub") -> list[ir.Value]:
        """Initializers that are no inputs and outputs of Constant nodes, of the main graph.

        Args:
            kinds: f float, i signed integer, u unsigned, b Boolean.
        """
        graph = self.model.graph
        values = [*graph.initializers.values(), *(v for node in graph for v in node.outputs)]
        found = []
        for value in values:
            tensor = constant_tensor(value)
            if tensor is not None and kind_of(tensor.dtype) in kinds and not value.is_graph_output():
                found.append(value)
        return found

    def compute(self, value: ir.Value) -> list[Any]:
        """What a value of the main graph is, for each set of inputs."""
        name = value.name or ""
        if value.is_graph_input():
            return [feed[name] for feed in self.feeds]
        extra = () if value.is_graph_output() else (name,)
        session = Session(self.model, extra_outputs=extra, fallback=False)
        return [session.run(feed)[name] for feed in self.feeds]

    def add_input(self, value: ir.Value, arrays: Sequence[Any]) -> None:
        """Make a value without producer an input of the model.

        Args:
            value: Named and typed.
            arrays: One for each set of inputs.
        """
        self.model.graph.inputs.append(value)
        for feed, array in zip(self.feeds, arrays, strict=True):
            feed[value.name or ""] = array


Mutate = Callable[[Subject, Choices], str]
"""Changes a subject and says what it did; raises `Unfit` where there is nothing to change."""

MUTATIONS: dict[str, tuple[Mutate, int]] = {}
"""Name -> mutation and how often it is taken beside the others."""

M = TypeVar("M", bound=Mutate)


def mutation(weight: int = 10) -> Callable[[M], M]:
    """Register a mutation under its name."""

    def register(made: M) -> M:
        MUTATIONS[made.__name__.replace("_", "-")] = made, weight
        return made

    return register


def pick(choices: Choices, options: Sequence[T], what: str) -> T:
    """One of the options.

    Raises:
        Unfit: There is none.
    """
    if not options:
        raise Unfit(f"no {what}")
    return choices.choose(options)


def kind_of(dtype: ir.DataType) -> str:
    """f float, i signed integer, u unsigned, b Boolean, "" anything else."""
    if dtype == ir.DataType.BOOL:
        return "b"
    if dtype.is_floating_point():
        return "f"
    if dtype.is_integer():
        return "i" if dtype.is_signed() else "u"
    return ""


def tell(node: ir.Node) -> str:
    """A node as reports name it."""
    first = node.outputs[0].name if node.outputs else ""
    return f"{node.op_type} -> {first}"
