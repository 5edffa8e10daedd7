"""Lets what makes a value take up a scale or shift that follows it."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir import Reject, constant_tensor, facts, is_constant_node, rank
from graphopt.passes.fusion._affine import BINARY, constant_operand, norm_affine
from graphopt.passes.fusion._arrays import ONE, ZERO, Array, along_axis, exact, inverse
from graphopt.passes.fusion._carry import Kind, one_value, split, through
from graphopt.passes.fusion._linear import LINEAR, linear
from graphopt.passes.fusion._plan import Plan, operand, refuse, require_fit
from graphopt.passes.fusion._views import PARTS, part


def backward(plan: Plan, reader: ir.Node, index: int, array: Array, kind: Kind) -> None:
    """Plan for input `index` of `reader` to come scaled or shifted by `array`; Reject if it cannot."""
    value = operand(reader, index)
    if constant_tensor(value) is not None:
        plan.edit(reader, index, array, kind)
        return
    require_fit(array, value)
    node = value.producer()
    if node is None or node.graph is not plan.graph or is_constant_node(node):
        raise Reject("it reaches an input of the graph")
    others = [use for use in value.uses() if use != (reader, index) and _reads(use.node)]
    if value.is_graph_output() or not all(_reads_another_part(value, reader, use.node) for use in others):
        raise Reject(f"the result of the {node.op_type} is also used elsewhere")
    if node.op_type in PARTS and not node.domain:
        _part(plan, node, value, array, kind)
        return
    if node.domain or len(node.outputs) > 1:
        raise refuse(node, kind)
    plan.visit(node)
    known = constant_operand(node) if node.op_type in BINARY else None
    if node.op_type in LINEAR and constant_tensor(node.inputs[1]) is not None:
        view = linear(node)
        channels = view.of_outputs(array)
        plan.views[node] = view.then(channels, ZERO) if kind is Kind.SCALE else view.then(ONE, channels)
    elif known is not None:
        _affine(plan, node, known, array, kind)
    elif node.op_type in _SPECIAL:
        _SPECIAL[node.op_type](plan, node, array, kind)
    else:
        backward(plan, node, 0, through(node, array, kind, forward=False, narrow=plan.narrow), kind)


def _reads(node: ir.Node) -> bool:
    """Whether `node` reads more than the shape of a value."""
    return not facts(node).reads_shape


def _reads_another_part(value: ir.Value, reader: ir.Node, other: ir.Node) -> bool:
    """Whether two readers of one value are a Gather or Slice each, and have no element in common."""
    if not {reader.op_type, other.op_type} <= {"Gather", "Slice"}:
        return False
    try:
        return part(value, reader).is_apart(part(value, other))
    except Reject:
        return False


def _part(plan: Plan, node: ir.Node, value: ir.Value, array: Array, kind: Kind) -> None:
    """One value passes what nothing else reads; else what is neutral stands beside the part."""
    source = operand(node, 0)
    plan.visit(node)
    alone = all(not _reads(use.node) or use.node is node for use in source.uses())
    if array.size == 1 and alone and len(node.outputs) == 1:
        backward(plan, node, 0, array.reshape(()), kind)
        return
    backward(plan, node, 0, part(source, node, value.index() or 0).widened(array, kind.neutral), kind)


def _affine(plan: Plan, node: ir.Node, known: int, array: Array, kind: Kind) -> None:
    """Mul and Div by a constant take up a scale, Add and Sub a shift; a scale passes Add and Sub."""
    if node.op_type in ("Add", "Sub"):
        subtracted = node.op_type == "Sub" and known == 1 and kind is Kind.SHIFT
        plan.edit(node, known, -array if subtracted else array, kind)
        if kind is Kind.SCALE:
            _sum(plan, node, array, kind, operands=(1 - known,))
    elif kind is Kind.SCALE:
        plan.edit(node, known, inverse(array) if node.op_type == "Div" and known == 1 else array, kind)
    else:
        raise refuse(node, kind)


def _sum(plan: Plan, node: ir.Node, array: Array, kind: Kind, operands: tuple[int, ...] = (0, 1)) -> None:
    """A scale goes into both operands, a shift into one."""
    if kind is Kind.SHIFT:
        _either(plan, node, array, kind)
        return
    if plan.narrow:
        raise refuse(node, kind)
    for index in operands:
        backward(plan, node, index, array, kind)


def _difference(plan: Plan, node: ir.Node, array: Array, kind: Kind) -> None:
    if kind is Kind.SHIFT:
        backward(plan, node, 0, array, kind)
    else:
        _sum(plan, node, array, kind)


def _product(plan: Plan, node: ir.Node, array: Array, kind: Kind) -> None:
    """A scale goes into one operand."""
    if kind is Kind.SHIFT or plan.narrow:
        raise refuse(node, kind)
    _either(plan, node, one_value(node, array) if node.op_type == "MatMul" else array, kind)


def _quotient(plan: Plan, node: ir.Node, array: Array, kind: Kind) -> None:
    if kind is Kind.SHIFT or plan.narrow:
        raise refuse(node, kind)
    backward(plan, node, 0, array, kind)


def _either(plan: Plan, node: ir.Node, array: Array, kind: Kind) -> None:
    trial = plan.copy()
    try:
        backward(trial, node, 0, array, kind)
    except Reject:
        backward(plan, node, 1, array, kind)
    else:
        plan.become(trial)


def _clip(plan: Plan, node: ir.Node, array: Array, kind: Kind) -> None:
    number = one_value(node, array)
    if kind is Kind.SCALE and number <= 0:
        raise refuse(node, kind)
    move_bounds(plan, node, number, kind)
    backward(plan, node, 0, number, kind)


def move_bounds(plan: Plan, node: ir.Node, number: Array, kind: Kind) -> None:
    """Scale or shift the bounds of a Clip."""
    if "min" in node.attributes or "max" in node.attributes:
        raise Reject("a Clip with bounds as attributes")
    for index in range(1, len(node.inputs)):
        if node.inputs[index] is not None:
            plan.edit(node, index, number, kind)


def norm_channels(plan: Plan, node: ir.Node, array: Array) -> Array:
    """An array as one value per channel of a BatchNormalization in inference; Reject of any other."""
    norm_affine(node, plan.opset)
    dims = rank(node.inputs[0])
    if dims is None:
        raise Reject("the rank of a normalized value is not known")
    return along_axis(array, dims, 1, exact(operand(node, 1)).size)


def _batch_norm(plan: Plan, node: ir.Node, array: Array, kind: Kind) -> None:
    values = norm_channels(plan, node, array)
    for index in (1, 2) if kind is Kind.SCALE else (2,):
        plan.edit(node, index, values, kind)


def _layer_norm(plan: Plan, node: ir.Node, array: Array, kind: Kind) -> None:
    operand(node, 2)
    for index in (1, 2) if kind is Kind.SCALE else (2,):
        plan.edit(node, index, array, kind)


def _concat(plan: Plan, node: ir.Node, array: Array, kind: Kind) -> None:
    for index, each in enumerate(split(node, array)):
        backward(plan, node, index, each, kind)


_SPECIAL = {
    "Add": _sum,
    "Sub": _difference,
    "Mul": _product,
    "MatMul": _product,
    "Div": _quotient,
    "Clip": _clip,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "Concat": _concat,
}
