"""What the passes into onnxruntime's own operators share: their domain, and the import that it needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from graphopt.ir import Changes, Reject, Rule, rewrite

CONTRIB = "com.microsoft"
VERSION = 1
"""Version of the domain; there has been no other."""


def rewrite_into_contrib(model: ir.Model, rules: Sequence[Rule], changes: Changes) -> None:
    """Apply rules that make nodes of onnxruntime's domain, and import it where it is used then."""
    rewrite(model, rules, changes)
    if not changes.count:
        return
    holders: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for holder in holders:
        if any(node.domain == CONTRIB for node in holder.all_nodes()):
            holder.opset_imports.setdefault(CONTRIB, VERSION)


def inverse(number: float) -> float:
    """The factor that stands for a division by a constant.

    Raises:
        Reject: It is zero, or so near to it that no float32 holds the factor.
    """
    divisor = float(number)
    if not abs(divisor) > 1.0 / float(np.finfo(np.float32).max):
        raise Reject("the divisor is zero, or too near to it")
    return 1.0 / divisor


def is_float32(value: ir.Value | None) -> bool:
    """Whether a value is known to be of the one type that most of these operators' CPU kernels take."""
    return value is not None and value.dtype == ir.DataType.FLOAT
