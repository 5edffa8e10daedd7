"""Plans of one graph at several bindings of its free dimensions, each made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from graphopt.memory.graph_plan import USUAL, GraphPlan, Options, plan_graph
from graphopt.memory.steps import ShapeOf

Binding = Mapping[str, int]
"""Name of a free dimension -> its size."""


class Plans:
    """The plans of a graph, one for each binding asked for.

    Args:
        graph: It must stay as it is.
        bind: Gives the shapes of its values under a binding, such as `Dims(model, binding).known_shape`.
        options: How to plan.
    """

    def __init__(self, graph: ir.Graph, bind: Callable[[Binding], ShapeOf], options: Options = USUAL) -> None:
        self._graph, self._bind, self._options = graph, bind, options
        self._known: dict[tuple[tuple[str, int], ...], GraphPlan] = {}

    def at(self, **sizes: int) -> GraphPlan:
        """The plan under a binding, made now or taken from before.

        Raises:
            ModelError: See `plan_graph`.
        """
        key = tuple(sorted(sizes.items()))
        if key not in self._known:
            self._known[key] = plan_graph(self._graph, self._bind(sizes), self._options)
        return self._known[key]
