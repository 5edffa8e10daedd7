"""Merge chains of Mul, Div, Add, Sub and Neg by constants into at most one Mul and one Add.

Constants are combined in float64 and rounded once. A chain stays where a merged constant would be larger than
those it is made of, or where something else reads a value in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, constant_tensor, op, rule
from graphopt.passes.fusion._affine import AFFINE, Affine, affine, is_one, is_zero
from graphopt.passes.fusion._arrays import ONE, ZERO, dtype_of, rounded
from graphopt.pipeline import RewritePass

LONGEST_CHAIN = 16


@rule(op(AFFINE, name="last"))
def merge_chain(tape: Tape, last: ir.Node) -> ir.Value:
    """((x + a) * b - c) / d  ->  x * s + t."""
    steps = _chain(last)
    if len(steps) < 2:
        raise Reject("")
    constants = [value for node, _ in steps for value in node.inputs if constant_tensor(value) is not None]
    if not constants or constants[0] is None:
        raise Reject("")
    scale, shift = ONE, ZERO
    for _, step in reversed(steps):
        scale, shift = step.scale * scale, step.scale * shift + step.shift
    shapes = [step.shape for _, step in steps]
    if max(scale.size, shift.size) > max(int(np.prod(shape)) for shape in shapes):
        raise Reject("the merged constant would be larger")
    scales, shifts = not is_one(scale), not is_zero(shift)
    left = [array.shape for array, used in ((scale, scales), (shift, shifts)) if used]
    same_shape = np.broadcast_shapes(*left) == np.broadcast_shapes(*shapes)
    if not same_shape and not all(step.keeps_shape for _, step in steps):
        raise Reject("the merged constants would broadcast to another shape")
    data, dtype = steps[-1][1].data, dtype_of(constants[0])
    if shifts and scale.size == 1 and bool((scale == -1).all()):
        return tape.op("Sub", [tape.const(rounded(shift, dtype), "shift"), data])
    if scales + shifts >= len(steps):
        raise Reject("")
    if scales:
        data = tape.op("Mul", [data, tape.const(rounded(scale, dtype), "scale")])
    if shifts:
        data = tape.op("Add", [data, tape.const(rounded(shift, dtype), "shift")])
    return data


def _chain(last: ir.Node) -> list[tuple[ir.Node, Affine]]:
    """`last` and the nodes before it that only feed each other, last first."""
    steps: list[tuple[ir.Node, Affine]] = []
    node: ir.Node | None = last
    while node is not None and len(steps) < LONGEST_CHAIN and node.graph is last.graph:
        output = node.outputs[0]
        if node is not last and (len(output.uses()) != 1 or output.is_graph_output()):
            break
        try:
            steps.append((node, affine(node)))
        except Reject:
            break
        node = steps[-1][1].data.producer()
    return steps


@dataclass(frozen=True)
class MergeAffine(RewritePass):
    """Merge chains of multiplications and additions by constants into at most one of each."""

    name: ClassVar[str] = "merge-affine"
    rules: ClassVar[tuple[Rule, ...]] = (merge_chain,)
