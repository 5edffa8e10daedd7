"""Merge Pad after Pad: both of one constant, or both repeating the edge, and neither cropping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, attribute_float, attribute_string, op, rest, rule, scalar, var
from graphopt.passes.operands import known_rank, node_ints, normalized_axes
from graphopt.pipeline import RewritePass

FIRST_OPSET_WITH_INPUTS = 11


@rule(op("Pad", op("Pad", var("x"), rest("_"), name="inner"), rest("__"), name="outer"))
def pad_of_pad(tape: Tape, x: ir.Value, inner: ir.Node, outer: ir.Node) -> ir.Value:
    """Pad(Pad(x))  ->  Pad(x) by the sum."""
    mode = attribute_string(outer, "mode", "constant")
    if mode != attribute_string(inner, "mode", "constant") or mode not in ("constant", "edge"):
        raise Reject("their modes are not both constant or both edge")
    if mode == "constant" and not _same_bits(_value(inner), _value(outer)):
        raise Reject("they pad with different values")
    axes = known_rank(x)
    first, second = _pads(inner, axes), _pads(outer, axes)
    if min(first + second, default=0) < 0:
        raise Reject("a negative pad crops")
    total = [one + other for one, other in zip(first, second, strict=True)]
    if tape.opset < FIRST_OPSET_WITH_INPUTS:
        return tape.op("Pad", [x], {**outer.attributes, "pads": total})
    value = outer.inputs[2] if len(outer.inputs) > 2 else None
    return tape.op("Pad", [x, tape.ints(total, "pads"), value], outer.attributes)


def _pads(node: ir.Node, axes: int) -> list[int]:
    """Begins of all axes, then ends of all axes."""
    pads = node_ints(node, "pads", 1)
    if pads is None:
        raise Reject("the pads are not known")
    named = node_ints(node, "axes", 3)
    if named is None:
        return pads
    spread = [0] * (2 * axes)
    for index, axis in enumerate(normalized_axes(named, axes)):
        spread[axis], spread[axes + axis] = pads[index], pads[len(named) + index]
    return spread


def _value(node: ir.Node) -> object:
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None:
        return attribute_float(node, "value", 0.0)
    found = scalar(value)
    if found is None:
        raise Reject("the value padded with is not constant")
    return found


def _same_bits(left: object, right: object) -> bool:
    return bool(left == right) and bool(np.signbit(left) == np.signbit(right))  # type: ignore[call-overload]


@dataclass(frozen=True)
class MergePads(RewritePass):
    """Merge Pad after Pad."""

    name: ClassVar[str] = "merge-pads"
    exact: ClassVar[bool] = True
    rules: ClassVar[tuple[Rule, ...]] = (pad_of_pad,)
