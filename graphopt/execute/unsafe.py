"""Nodes that end the process in which onnxruntime runs them, told apart before they are handed over.

Only what its kernels divide by or index with unchecked belongs here; everything else it refuses itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from graphopt.errors import ExecutionError
from graphopt.ir import ints


def check_survivable(node: ir.Node) -> None:
    """Raise `ExecutionError` for a node that onnxruntime does not survive."""
    check = _CHECKS.get(node.op_type)
    if check is None or node.domain:
        return
    if reason := check(node):
        raise ExecutionError(f"onnxruntime cannot run {node.op_type} node {node.name!r}: {reason}")


def _split_to_sequence(node: ir.Node) -> str | None:
    """A kernel that divides by the size of a part (onnxruntime 1.31)."""
    sizes = ints(node.inputs[1]) if len(node.inputs) > 1 else None
    return (
        None if sizes is None or all(size > 0 for size in sizes) else f"it splits into parts of {sizes[:4]}"
    )


_CHECKS: Mapping[str, Callable[[ir.Node], str | None]] = {"SplitToSequence": _split_to_sequence}
