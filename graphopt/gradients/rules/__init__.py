"""How the gradients of a node's inputs follow from those of its outputs, by operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx_ir as ir

from graphopt.gradients.rules import attention, movement, norms, pointwise, pooling, products, reductions
from graphopt.gradients.tape import Tape
from graphopt.ir import facts

Rule = Callable[[Tape, ir.Node, int, Sequence[ir.Value | None]], ir.Value | None]
"""Of a tape, a node, the number of an input and the gradients of the outputs, of which one at least is there,
the gradient of that input; None where nothing depends on it."""

RULES: dict[str, Rule] = {
    **pointwise.RULES,
    **products.RULES,
    **reductions.RULES,
    **norms.RULES,
    **pooling.RULES,
    **movement.RULES,
    **attention.RULES,
}


def rule_for(node: ir.Node) -> Rule | None:
    """What tells the gradients of a node; None where nothing does."""
    if node.domain not in ("", "ai.onnx"):
        return None
    found = RULES.get(node.op_type)
    if found is None and facts(node).moves:
        return movement.moves
    return found


__all__ = ["RULES", "Rule", "rule_for"]
