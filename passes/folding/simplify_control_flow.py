"""Replace control flow whose course is known by the nodes that run.

An If with a known condition, with equal branches, or with one branch that cannot be taken becomes the nodes
of a branch; a Loop of few and known iterations is unrolled, and a Loop drops what it carries for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Changes, graphs, infer_shapes, opset, subgraphs
from graphopt.ir.edit import function_graphs, splice, substitute_outputs
from graphopt.ir.graphs import Names, mapped_bodies
from graphopt.ir.kernels import runs_as_function
from graphopt.passes.folding._branches import (
    BRANCHES,
    all_ifs,
    equal_branches,
    known_condition,
    possible_branch,
)
from graphopt.passes.folding._loops import body_size, drop_carried, release, scan_outputs, trip_count, unroll
from graphopt.pipeline import Pass


@dataclass(frozen=True)
class SimplifyControlFlow(Pass):
    """Replace Ifs and Loops whose course is known.

    Attributes:
        max_unrolled: Nodes that an unrolled Loop may have, over all iterations.
        max_tries: Ifs of unknown condition that are examined for a branch that must fail.
    """

    name: ClassVar[str] = "simplify-control-flow"
    exact: ClassVar[bool] = True
    max_unrolled: int = 64
    max_tries: int = 8

    def apply(self, model: ir.Model, changes: Changes) -> None:
        if not any(node.op_type in ("If", "Loop") for graph in graphs(model) for node in graph):
            return
        names = Names(model)
        while True:
            before = changes.count
            self._inline_known_branches(model, names, changes)
            self._simplify_loops(model, names, changes)
            if changes.count == before:
                break
            infer_shapes(model)

    def _inline_known_branches(self, model: ir.Model, names: Names, changes: Changes) -> None:
        tries = self.max_tries
        mapped = mapped_bodies(model)
        skipped = function_graphs(model)
        for node in all_ifs(model, skipped):
            if node.graph is None or not _is_attached(node):
                continue
            if id(node.graph) in mapped and _holds_functions(node, opset(model)):
                changes.refuse(_MAPPED, node.name)
                continue
            condition = known_condition(node)
            if condition is not None:
                _inline_branch(node, BRANCHES[0] if condition else BRANCHES[1], names)
                changes.add("If of a known condition")
            elif equal_branches(node):
                _inline_branch(node, BRANCHES[0], names)
                changes.add("If of equal branches")
            elif tries:
                branch = possible_branch(model, node)
                if branch is not None:
                    _inline_branch(node, branch, names)
                    infer_shapes(model)
                    tries -= 1
                    changes.add("If of one possible branch")

    def _simplify_loops(self, model: ir.Model, names: Names, changes: Changes) -> None:
        skipped = function_graphs(model)
        loops = [
            node
            for graph in graphs(model)
            if graph not in skipped
            for node in graph
            if node.op_type == "Loop" and node.domain == ""
        ]
        mapped = mapped_bodies(model)
        for node in reversed(loops):  # inner ones first: they are copied with their Loop
            count = trip_count(node)
            reason = None if count is None else self._reason_to_stay(node, count)
            if reason is None and count is not None and id(node.graph) in mapped:
                reason = _MAPPED if _holds_functions(node, opset(model)) else None
            if count is not None and reason is None:
                unroll(model, node, count, names)
                changes.add("Loop of a known trip count")
                continue
            if reason is not None:
                changes.refuse(reason, node.name)
            changes.add("value carried for nothing", drop_carried(node, opset(model)))

    def _reason_to_stay(self, node: ir.Node, count: int) -> str | None:
        if count * body_size(node) > self.max_unrolled:
            return f"unrolled it would be more than {self.max_unrolled} nodes"
        if any(value is None for value in node.inputs[2:]):
            return "an initial value is missing"
        if count == 0 and any(value.uses() or value.is_graph_output() for value in scan_outputs(node)):
            return "it never runs, but an empty stack of its results is used"
        return None


_MAPPED = "onnxruntime does not run what it holds right in a SequenceMap"


def _holds_functions(node: ir.Node, version: int) -> bool:
    """Whether bodies of a node hold what onnxruntime runs as a function."""
    return any(
        not inner.domain and runs_as_function(inner.op_type, version, inner.inputs)
        for body in subgraphs(node)
        for inner in body
    )


def _is_attached(node: ir.Node) -> bool:
    """Whether the graph of a node still is part of the model (a branch not taken is not)."""
    return any(value is not None for value in node.inputs)


def _inline_branch(node: ir.Node, branch: str, names: Names) -> None:
    other = BRANCHES[1] if branch == BRANCHES[0] else BRANCHES[0]
    taken = node.attributes[branch].as_graph()
    release(node.attributes[other].as_graph())
    substitute_outputs(node, splice(taken, node, names))
