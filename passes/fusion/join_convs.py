"""Join two Convs in a row into one, where one of them is 1x1 and the joined weight is smaller than both.

Bottlenecks without an activation between are the usual case. A smaller weight means fewer multiplications
too, since the kernel slides over the same places. A bias of the first stays in front of the padding of the
second, where it cannot fold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, attribute_int, attribute_ints, op, rest, rule
from graphopt.passes.fusion._arrays import ZERO, exact, rounded
from graphopt.passes.fusion._linear import Linear, is_unpadded, linear, refuse_big_copy
from graphopt.pipeline import RewritePass


@rule(op("Conv", op("Conv", rest("inner"), name="first"), rest("outer"), name="second"))
def join_pointwise_conv(tape: Tape, first: ir.Node, second: ir.Node) -> ir.Value:
    """Conv(Conv(x, v, a), w, b)  ->  Conv(x, w v, w a + b)."""
    left, right = linear(first), linear(second)
    if attribute_int(first, "group", 1) != 1 or attribute_int(second, "group", 1) != 1:
        raise Reject("")
    if _is_pointwise(left):
        shape, window = "om...,mi->oi...", right
    elif _is_pointwise(right):
        shape, window = "om,mi...->oi...", left
    else:
        raise Reject("")
    taps = _taps(window)
    if left.inputs * right.outputs * taps >= _size(left) + _size(right):
        raise Reject("")
    for view in (left, right):
        view.require_constant_bias()
        refuse_big_copy(view.weight)
    bias = right.after(np.ones(()), ZERO if left.bias is None else left.bias).bias
    matrices = [_matrix(view) if view is not window else exact(view.weight) for view in (right, left)]
    weight = rounded(np.einsum(shape, *matrices), right.dtype)
    inputs = [first.inputs[0], tape.const(weight, right.weight.name or "weight")]
    if bias is not None:
        inputs.append(tape.const(rounded(np.broadcast_to(bias, (right.outputs,)), right.dtype), "bias"))
    return tape.op("Conv", inputs, window.node.attributes)


def _is_pointwise(view: Linear) -> bool:
    """Whether a Conv looks at one place at a time, at every place."""
    strides = attribute_ints(view.node, "strides") or [1]
    return _taps(view) == 1 and is_unpadded(view.node) and all(stride == 1 for stride in strides)


def _taps(view: Linear) -> int:
    assert view.weight.shape is not None
    return int(np.prod([int(dim) for dim in view.weight.shape.dims[2:]]))  # type: ignore[arg-type]


def _size(view: Linear) -> int:
    return view.inputs * view.outputs * _taps(view)


def _matrix(view: Linear) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return exact(view.weight).reshape(view.outputs, view.inputs)


@dataclass(frozen=True)
class JoinConvs(RewritePass):
    """Join a 1x1 Conv with the Conv before or behind it, where that makes both smaller."""

    name: ClassVar[str] = "join-convs"
    rules: ClassVar[tuple[Rule, ...]] = (join_pointwise_conv,)
