"""Nodes that end the process in which onnxruntime runs them, told apart before they are handed over.

Only what its kernels divide by or index with unchecked belongs here; everything else it refuses itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from graphopt.errors import ExecutionError
from graphopt.ir import attribute_int, attribute_ints, attribute_string, ints, rank, static_shape


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


def _windows(node: ir.Node) -> str | None:
    """A Slice of a negative size, which ends the shape inference of ONNX and of onnxruntime 1.31."""
    if not _is_sliced(node.outputs[0]):
        return None  # the sizes declared may be false, and then it runs
    data = node.inputs[0]
    size = None if data is None else static_shape(data)
    kernel = attribute_ints(node, "kernel_shape")
    if kernel is None and node.op_type == "Conv" and len(node.inputs) > 1 and node.inputs[1] is not None:
        weights = static_shape(node.inputs[1])
        kernel = None if weights is None else list(weights[2:])
    padding = attribute_string(node, "auto_pad", "NOTSET")
    if size is None or kernel is None or len(size) != len(kernel) + 2 or padding.startswith("SAME"):
        return None
    pads = attribute_ints(node, "pads") if padding == "NOTSET" else None
    steps = attribute_ints(node, "dilations") or [1] * len(kernel)
    pads = pads or [0] * (2 * len(kernel))
    if len(steps) != len(kernel) or len(pads) != 2 * len(kernel):
        return None
    for place, (length, step) in enumerate(zip(kernel, steps, strict=True)):
        room = size[place + 2] + pads[place] + pads[place + len(kernel)]
        if room < step * (length - 1):
            return f"its kernel of {step * (length - 1) + 1} is larger than the {room} that it is applied to"
    return None


def _is_sliced(value: ir.Value, steps: int = 4) -> bool:
    """Whether a Slice reads the value, or what is made from it in so many steps."""
    return any(
        user.op_type == "Slice" or (steps > 1 and any(_is_sliced(each, steps - 1) for each in user.outputs))
        for user in value.consumers()
    )


def _attention(node: ir.Node) -> str | None:
    """A kernel that divides by the number of heads, which four dimensions tell by themselves (1.31)."""
    if rank(node.inputs[0]) == 4:
        return None
    heads = [attribute_int(node, name, 1) for name in ("q_num_heads", "kv_num_heads")]
    return "it has no heads" if 0 in heads else None


_CHECKS: Mapping[str, Callable[[ir.Node], str | None]] = {
    "Attention": _attention,
    "SplitToSequence": _split_to_sequence,
    **dict.fromkeys(("AveragePool", "Conv", "LpPool", "MaxPool"), _windows),
}
