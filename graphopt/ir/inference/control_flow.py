"""Rules of If and Loop, applied once their bodies are inferred.

A branch that may not be taken and a body that may not run prove nothing about an output by themselves.
"""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir.dims import same_dim
from graphopt.ir.inference.context import Context


def infer_if(context: Context, node: ir.Node) -> bool:
    """Where the condition is known the outputs are those of one branch; else both branches must tell."""
    condition = None if node.inputs[0] is None else context.get_symbolic_value(node.inputs[0])
    branches = [node.attributes[name].as_graph() for name in ("then_branch", "else_branch")]
    if condition is None or len(condition) != 1:
        ends = [branch.outputs for branch in branches]
        known = all(value.type is not None for end in ends for value in end)
        tensors = known and all(isinstance(value.type, ir.TensorType) for end in ends for value in end)
        if not tensors:
            return False
        for output, left, right in zip(node.outputs, *ends, strict=False):
            shape = (
                None
                if left.shape is None or right.shape is None
                else _merged(context, left.shape, right.shape)
            )
            context.set_shape_and_dtype(output, shape, left.dtype)
        return True
    taken = branches[0] if condition[0] else branches[1]
    for output, value in zip(node.outputs, taken.outputs, strict=False):
        if value.type is not None and not isinstance(value.type, ir.TensorType):
            context.set_type(output, value.type)
            continue
        context.set_shape_and_dtype(output, value.shape, value.dtype)
        elements = context.get_symbolic_value(value)
        if elements is not None:
            context.set_symbolic_value(output, elements)
    return True


def correct_loop(context: Context, node: ir.Node) -> None:
    """A Loop may run no time at all, and may stop early."""
    body = node.attributes["body"].as_graph()
    carried = len(node.inputs) - 2
    runs_through = _is_true(context, node.inputs[1]) and _is_passed_through(context, body)
    trips = None if node.inputs[0] is None else context.get_symbolic_value(node.inputs[0])
    certain = (
        runs_through and trips is not None and len(trips) == 1 and isinstance(trips[0], int) and trips[0] > 0
    )
    for index, output in enumerate(node.outputs):
        if output.shape is None:
            continue
        if index >= carried:
            if not runs_through or trips is None or not context.is_length(trips[0]):
                output.shape = ir.Shape([context.new_symbolic_dim(), *output.shape.dims[1:]])
        elif not certain:
            initial = node.inputs[2 + index]
            known = initial is not None and initial.shape is not None
            output.shape = _merged(context, initial.shape, output.shape) if known else None  # type: ignore[union-attr, arg-type]


def _merged(context: Context, left: ir.Shape, right: ir.Shape) -> ir.Shape | None:
    if len(left) != len(right):
        return None
    return ir.Shape(
        [
            a if same_dim(a, b) else context.new_symbolic_dim()
            for a, b in zip(left.dims, right.dims, strict=True)
        ]
    )


def _is_true(context: Context, value: ir.Value | None) -> bool:
    return value is None or context.get_symbolic_value(value) == [1]


def _is_passed_through(context: Context, body: ir.Graph) -> bool:
    value = body.outputs[0]
    while (
        (node := value.producer()) is not None and node.op_type == "Identity" and node.inputs[0] is not None
    ):
        value = node.inputs[0]
    return value is body.inputs[1] or context.get_symbolic_value(value) == [1]
