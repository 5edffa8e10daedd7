"""Sizes that a graph computes as it runs: which element of a vector is the size of which axis.

Shapes that are read follow by themselves where channels go, as long as nothing but shapes is made of them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import onnx_ir as ir

from graphopt.ir import attribute_int, ints
from graphopt.pruning.site import Axis, Site

Element = int | Axis | None
"""A number, the size of an axis, or something else."""

CARRIERS = ("Cast", "Identity", "Squeeze", "Unsqueeze", "Reshape", "Gather", "Slice", "Concat")
TAKERS = {"Reshape": 1, "Expand": 1, "Resize": 3, "ConstantOfShape": 0}
"""Operators that take a shape, and which of their inputs it is."""

_DEEPEST = 32


class Sizes:
    """Reads vectors of sizes.

    Args:
        site: Of the graph.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self.elements = functools.cache(self._elements)

    def _elements(self, value: ir.Value | None, depth: int = 0) -> tuple[Element, ...] | None:
        """The elements of a vector or scalar of integers; None where they cannot be told."""
        known = ints(value)
        if known is not None:
            return tuple(known)
        node = None if value is None else value.producer()
        if node is None or depth > _DEEPEST or node.domain not in ("", "ai.onnx"):
            return None
        if node.op_type == "Shape":
            source = node.inputs[0]
            dims = self._site.dims(source)
            if source is None or dims is None:
                return None
            start, end, _ = slice(
                attribute_int(node, "start", 0), attribute_int(node, "end", len(dims)), 1
            ).indices(len(dims))
            return tuple(Axis(source, axis) for axis in range(start, end))
        if node.op_type not in CARRIERS:
            return None
        if node.op_type == "Concat":
            parts = [self.elements(each, depth + 1) for each in node.inputs]
            if any(part is None for part in parts):
                return None
            return tuple(element for part in parts for element in part or ())
        inner = self.elements(node.inputs[0], depth + 1)
        if inner is None:
            return None
        if node.op_type == "Gather":
            places = ints(node.inputs[1])
            if places is None or any(not -len(inner) <= place < len(inner) for place in places):
                return None
            return tuple(inner[place] for place in places)
        if node.op_type == "Slice":
            return _sliced(node, inner)
        return inner

    def understood(self, node: ir.Node) -> bool:
        """Whether nothing but shapes is made of what a Shape reads, as far as elements can be told."""
        return not self.escaping(node.outputs[0])

    def escaping(self, value: ir.Value, depth: int = 0) -> set[Axis]:
        """Axes whose size goes elsewhere than into a shape."""
        elements = self.elements(value)
        axes = {element for element in elements or () if isinstance(element, Axis)}
        found: set[Axis] = set()
        if value.is_graph_output() or depth > _DEEPEST:
            return axes
        for use in value.uses():
            node = use.node
            if node.graph is not value.graph:
                found |= axes
            elif TAKERS.get(node.op_type) == use.idx:
                if self.elements(value) is None:
                    found |= axes
            elif node.op_type in CARRIERS and (use.idx == 0 or node.op_type == "Concat"):
                made = self.elements(node.outputs[0])
                if made is None:
                    found |= axes
                else:
                    found |= axes & self.escaping(node.outputs[0], depth + 1)
            else:
                found |= axes
        return found


def _sliced(node: ir.Node, inner: Sequence[Element]) -> tuple[Element, ...] | None:
    if len(node.inputs) < 3:
        return None
    start, end = ints(node.inputs[1]), ints(node.inputs[2])
    step = ints(node.inputs[4]) if len(node.inputs) > 4 and node.inputs[4] is not None else [1]
    if start is None or end is None or step is None or any(len(each) != 1 for each in (start, end, step)):
        return None
    return tuple(inner[start[0] : end[0] : step[0]]) if step[0] > 0 else None
