"""What nodes say of the axes they read and write, by operator."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from graphopt.ir import facts
from graphopt.pruning.rules import attention, mixing, movement, norms, pointwise, products, recurrent, views
from graphopt.pruning.site import Site

Rule = Callable[[Site, ir.Node], None]

RULES: dict[str, Rule] = {
    **products.RULES,
    **norms.RULES,
    **views.RULES,
    **movement.RULES,
    **mixing.RULES,
    **attention.RULES,
    **recurrent.RULES,
}


def rule_for(node: ir.Node) -> Rule | None:
    """What speaks for a node; None where nothing is known of it."""
    if node.domain not in ("", "ai.onnx"):
        return None
    found = RULES.get(node.op_type)
    if found is not None:
        return found
    return pointwise.pointwise if facts(node).elementwise else None


__all__ = ["RULES", "Rule", "rule_for"]
