"""Lets everything that reads a value take up a scale or shift that precedes it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, attribute_int, constant_tensor, facts
from graphopt.passes.fusion._affine import BINARY, constant_operand
from graphopt.passes.fusion._arrays import ONE, ZERO, Array, along_axis, exact, inverse
from graphopt.passes.fusion._attention import attention_takes, passes_weighted_sum, vanishes
from graphopt.passes.fusion._backward import move_bounds, norm_channels
from graphopt.passes.fusion._carry import Kind, concatenated, one_value, through
from graphopt.passes.fusion._linear import LINEAR, linear
from graphopt.passes.fusion._plan import Plan, operand, refuse, require_fit
from graphopt.passes.fusion._views import PARTS, part

RECURRENT = ("LSTM", "GRU", "RNN")


def forward(plan: Plan, value: ir.Value, array: Array, kind: Kind) -> None:
    """Plan for `value` to come without `array` on it; Reject if a reader cannot make up for it."""
    require_fit(array, value)
    if value.is_graph_output() or not value.uses():
        raise Reject("it reaches an output of the graph")
    for node, index in value.uses():
        if node.graph is not plan.graph:
            raise Reject("it is read in a body of control flow")
        if facts(node).reads_shape:
            continue
        plan.visit(node)
        _reader(plan, node, index, array, kind)


def _reader(plan: Plan, node: ir.Node, index: int, array: Array, kind: Kind) -> None:
    if node.domain:
        raise refuse(node, kind)
    if node.op_type in PARTS and index == 0 and array.size > 1:
        _parts(plan, node, array, kind)
        return
    if node.op_type == "Attention" and kind is Kind.SHIFT and attention_takes(node, index, array):
        if index == 2:
            forward(plan, node.outputs[0], array, kind)
        return
    if node.op_type in RECURRENT and index == 0:
        _recurrent(plan, node, array, kind)
        return
    if len(node.outputs) > 1:
        raise refuse(node, kind)
    known = constant_operand(node) if node.op_type in BINARY else None
    if node.op_type in LINEAR and index == 0 and constant_tensor(node.inputs[1]) is not None:
        _linear(plan, node, array, kind)
    elif known is not None:
        _affine(plan, node, known, array, kind)
    elif node.op_type == "Concat":
        forward(plan, node.outputs[0], concatenated(node, index, array, kind), kind)
    elif node.op_type in ("Mul", "MatMul") or (node.op_type == "Div" and index == 0):
        _product(plan, node, index, array, kind)
    elif index:
        raise refuse(node, kind)
    elif node.op_type == "BatchNormalization":
        _batch_norm(plan, node, array, kind)
    elif node.op_type == "Clip":
        _clip(plan, node, array, kind)
    else:
        forward(plan, node.outputs[0], through(node, array, kind, forward=True, narrow=plan.narrow), kind)


def _parts(plan: Plan, node: ir.Node, array: Array, kind: Kind) -> None:
    value = node.inputs[0]
    assert value is not None
    for at, output in enumerate(node.outputs):
        if output.uses() or output.is_graph_output():
            forward(plan, output, part(value, node, at).taken(array), kind)


def _recurrent(plan: Plan, node: ir.Node, array: Array, kind: Kind) -> None:
    """The weight of the inputs, [directions, gates * hidden, inputs], takes up a scale, its bias a shift."""
    weight = exact(operand(node, 1))
    if attribute_int(node, "layout", 0) and array.ndim > 1:
        raise refuse(node, kind)
    inputs = along_axis(array, 3, 2, weight.shape[2])
    if kind is Kind.SCALE:
        plan.edit(node, 1, inputs, kind)
        return
    response = weight @ np.broadcast_to(inputs, (weight.shape[2],))
    plan.edit(node, 3, np.concatenate([response, np.zeros_like(response)], axis=1), kind)


def _linear(plan: Plan, node: ir.Node, array: Array, kind: Kind) -> None:
    view = linear(node)
    channels = view.of_inputs(array)
    if kind is Kind.SCALE:
        plan.views[node] = view.after(channels, ZERO)
    elif node.op_type == "MatMul":  # it has no bias of its own, but an Add may follow
        forward(plan, node.outputs[0], view.response(channels), kind)
    else:
        plan.views[node] = view.after(ONE, channels)


def _affine(plan: Plan, node: ir.Node, known: int, array: Array, kind: Kind) -> None:
    """Mul and Div by a constant take up a scale, Add and Sub a shift; a scale passes Add and Sub."""
    if node.op_type in ("Add", "Sub"):
        if kind is Kind.SHIFT:
            plan.edit(node, known, -array if node.op_type == "Sub" else array, kind)
            return
        if plan.narrow:
            raise refuse(node, kind)
        plan.edit(node, known, inverse(array), kind)
        forward(plan, node.outputs[0], array, kind)
    elif kind is Kind.SCALE:
        plan.edit(node, known, array if node.op_type == "Mul" else inverse(array), kind)
    else:
        raise refuse(node, kind)


def _product(plan: Plan, node: ir.Node, index: int, array: Array, kind: Kind) -> None:
    if kind is Kind.SHIFT and node.op_type == "MatMul":
        if passes_weighted_sum(node, index, array):
            forward(plan, node.outputs[0], array, kind)
        elif not vanishes(plan, node, index, array):
            raise refuse(node, kind)
        return
    if kind is Kind.SHIFT or plan.narrow:
        raise refuse(node, kind)
    forward(plan, node.outputs[0], one_value(node, array) if node.op_type == "MatMul" else array, kind)


def _batch_norm(plan: Plan, node: ir.Node, array: Array, kind: Kind) -> None:
    values = norm_channels(plan, node, array)
    if kind is Kind.SCALE:
        plan.edit(node, 1, values, kind)
    plan.edit(node, 3, inverse(values) if kind is Kind.SCALE else -values, kind)


def _clip(plan: Plan, node: ir.Node, array: Array, kind: Kind) -> None:
    number = one_value(node, array)
    if kind is Kind.SCALE and number <= 0:
        raise refuse(node, kind)
    move_bounds(plan, node, inverse(number) if kind is Kind.SCALE else -number, kind)
    forward(plan, node.outputs[0], number, kind)
