"""Simplify Where and casts of conditions.

    Where(c, x, x)          ->  x                 Where(Not(c), x, y)   ->  Where(c, y, x)
    Where(c, 1, 0)          ->  Cast(c)           Where(c, True, False) ->  c
    Where(c, False, True)   ->  Not(c)
    Where(IsNaN(p), k, p)   ->  p                 for p = Softmax(s + mask) where mask is finite

The last one guards a Softmax against rows that are masked by -inf. A mask of finite numbers never brings a
row of -inf about, so only scores beyond the range of the dtype, or a NaN in the input, would tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import ml_dtypes
import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, const, constant, constant_tensor, facts, op, rule, var
from graphopt.passes.fusion._arrays import FLOATS
from graphopt.passes.operands import broadcasts_into, is_filled_with, keep, keeps_shape
from graphopt.pipeline import RewritePass

BROADCASTS = "the side taken is broadcast"
LONGEST_WALK = 8
PRODUCTS = frozenset({"MatMul", "Gemm", "Conv"})
COMBINED: dict[str, Callable[[Sequence[float]], float]] = {
    "Add": sum,
    "Sub": sum,
    "Mul": math.prod,
    "Where": max,
    "Concat": max,
}


@rule(op("Where", var("condition"), var("x"), var("x"), name="node"))
def where_of_equal_sides(tape: Tape, node: ir.Node, x: ir.Value) -> ir.Value:
    """Where(c, x, x)  ->  x."""
    return keep(x, keeps_shape(x, node.outputs[0]), BROADCASTS)


@rule(op("Where", op("Not", var("condition"), shared=True), var("x"), var("y")))
def where_not(tape: Tape, condition: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
    """Where(Not(c), x, y)  ->  Where(c, y, x)."""
    return tape.op("Where", [condition, y, x])


@rule(op("Where", var("condition"), const("x"), const("y"), name="node"))
def where_of_constants(tape: Tape, node: ir.Node, condition: ir.Value, x: ir.Value, y: ir.Value) -> ir.Value:
    """Where(c, 1, 0)  ->  Cast(c); Where(c, True, False)  ->  c; Where(c, False, True)  ->  Not(c)."""
    dtype = x.dtype
    assert x.shape is not None and y.shape is not None
    if not all(broadcasts_into(side.shape.numpy(), condition) for side in (x, y) if side.shape is not None):
        raise Reject("a side may broadcast the condition")
    if is_filled_with(x, 1) and is_filled_with(y, 0, sign=True):
        if dtype == ir.DataType.BOOL:
            return keep(condition, True)
        return tape.op("Cast", [condition], {"to": dtype})
    if dtype == ir.DataType.BOOL and is_filled_with(x, False) and is_filled_with(y, True):
        return tape.op("Not", [condition])
    raise Reject("")


@rule(op("Where", op("IsNaN", var("p"), shared=True), const("k"), var("p")))
def guard_of_softmax(tape: Tape, k: ir.Value, p: ir.Value) -> ir.Value:
    """Where(IsNaN(p), k, p)  ->  p, of p = Softmax(s + mask) whose mask is finite."""
    softmax = p.producer()
    if softmax is None or softmax.op_type != "Softmax" or softmax.domain:
        raise Reject("what is guarded is not a Softmax")
    if not broadcasts_into(constant_shape(k), p):
        raise Reject("the constant may broadcast the other operand")
    if p.dtype is None or p.dtype not in FLOATS or _bound(softmax.inputs[0]) > largest(p.dtype):
        raise Reject("a row may be -inf throughout, as a mask of -inf makes it")
    return p


def constant_shape(value: ir.Value) -> tuple[int, ...]:
    """Shape of a constant."""
    tensor = constant_tensor(value)
    assert tensor is not None
    return tuple(tensor.shape.numpy())


def largest(dtype: ir.DataType) -> float:
    """The largest finite number of a floating-point dtype."""
    return float(ml_dtypes.finfo(dtype.numpy()).max)  # type: ignore[no-untyped-call]


def _bound(value: ir.Value | None, depth: int = 0) -> float:
    """Largest magnitude that constants alone bring about here: what is computed from data counts as 0.

    Infinite where it is not known: float inputs of the graph and results of other operators may be -inf.
    """
    known = constant(value)
    if known is not None:
        return (
            float(np.abs(known.astype(np.float64)).max(initial=0)) if known.dtype.kind in "fiub" else np.inf
        )
    node = None if value is None else value.producer()
    if node is None or node.domain or depth >= LONGEST_WALK:
        return np.inf
    if node.op_type in PRODUCTS:
        return 0.0
    if node.op_type == "Cast":
        source = node.inputs[0]
        return 1.0 if source is not None and source.dtype == ir.DataType.BOOL else np.inf
    if facts(node).moves and node.op_type != "Concat":
        return _bound(node.inputs[0], depth + 1)
    if node.op_type == "Div":
        divisor = constant(node.inputs[1])
        if divisor is None or not np.all(divisor):
            return np.inf
        return _bound(node.inputs[0], depth + 1) / float(np.abs(divisor.astype(np.float64)).min())
    if node.op_type not in COMBINED:
        return np.inf
    operands = node.inputs[1:] if node.op_type == "Where" else node.inputs
    bounds = [_bound(operand, depth + 1) for operand in operands]
    return COMBINED[node.op_type](bounds) if np.isfinite(bounds).all() else np.inf


@dataclass(frozen=True)
class SimplifyWhere(RewritePass):
    """Simplify Where, casts of conditions and guards against NaN."""

    name: ClassVar[str] = "simplify-where"
    rules: ClassVar[tuple[Rule, ...]] = (
        where_of_equal_sides,
        where_not,
        where_of_constants,
        guard_of_softmax,
    )
