"""A node under judgement: what stands around it, what to call that, and what can be in its way."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from graphopt.quant.rehearsal.edits import origins
from graphopt.quant.rules import QuantizationRules
from graphopt.quant.wording import label


class Obstacle(Exception):
    """What keeps a node off codes.

    Attributes:
        cause: In words that nodes with the same trouble share.
        detail: With names, the end of a sentence.
    """

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail


@dataclass(frozen=True)
class Site:
    """A node of a rehearsed copy.

    Attributes:
        node: The node.
        original: The node of the model that it stands for, whose names are used in sentences.
        rules: Those of the runtime.
        opset: Version of the standard's operators.
    """

    node: ir.Node
    original: ir.Node
    rules: QuantizationRules
    opset: int

    @property
    def graph(self) -> ir.Graph | ir.Function | None:
        """The graph that it stands in."""
        return self.node.graph

    def input_name(self, place: int) -> str:
        """What an input is called."""
        inputs = self.original.inputs
        value = inputs[place] if place < len(inputs) else self.node.inputs[place]
        return repr(value.name) if value is not None and value.name else "of its own"

    def maker(self, value: ir.Value | None) -> str:
        """What a value comes from."""
        node = None if value is None else value.producer()
        if node is None:
            return "a graph input" if value is not None and value.is_graph_input() else "outside"
        stands_for = origins(node)
        if not stands_for:
            return f"a {node.op_type} of the runtime"
        where = "" if node.graph is self.graph else ", outside this body"
        return label(stands_for[-1]) + where

    def reader(self, node: ir.Node) -> str:
        """What a node is called that reads an output."""
        stands_for = origins(node)
        return label(stands_for[0]) if stands_for else f"a {node.op_type}"
