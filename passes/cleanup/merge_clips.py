"""Merge chains of Clip and Relu into one Clip.

min(max(x, low), high) after min(max(x, l), h) is again a clip, and its bounds are the images of l and h: that
is right for disjoint intervals, for a maximum below the minimum and for negative maxima under a Relu. NaN
passes through each of them. Without a bound, Clip stops at the largest finite number, Relu does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, op, rest, rule, scalar, var
from graphopt.pipeline import RewritePass

CLIPS = ("Clip", "Relu")
FIRST_OPSET_WITH_INPUTS = 11


@dataclass(frozen=True)
class Interval:
    """Bounds of a clip, of the dtype of the data; those of Relu are 0 and the largest value there is."""

    low: Any
    high: Any

    def clip(self, element: Any) -> Any:
        """min(max(element, low), high); where equal, the element."""
        element = self.low if element < self.low else element
        return self.high if element > self.high else element


@rule(op(CLIPS, op(CLIPS, var("x"), rest("_"), shared=True, name="inner"), rest("_"), name="outer"))
def clip_of_clip(tape: Tape, x: ir.Value, inner: ir.Node, outer: ir.Node) -> ir.Value:
    """Clip or Relu after Clip or Relu  ->  one Clip."""
    if inner.op_type == outer.op_type == "Relu":
        raise Reject("")
    if x.dtype is None or x.dtype not in RANGES:
        raise Reject(f"bounds of {x.dtype} are not known")
    if tape.opset < FIRST_OPSET_WITH_INPUTS and x.dtype != ir.DataType.FLOAT:
        raise Reject(f"a Clip of opset {tape.opset} holds its bounds as float32")
    low, high = RANGES[x.dtype]
    first, second = _interval(inner, low, high), _interval(outer, low, high)
    bounds = second.clip(first.clip(first.low)), second.clip(first.clip(first.high))
    _check_zeros(first, second, Interval(*bounds))
    given = [None if bound == limit else bound for bound, limit in zip(bounds, (low, high), strict=True)]
    if tape.opset < FIRST_OPSET_WITH_INPUTS:
        named = zip(("min", "max"), given, strict=True)
        return tape.op("Clip", [x], {name: float(bound) for name, bound in named if bound is not None})
    known = [value for node in (outer, inner) for value in node.inputs[1:] if value is not None]
    return tape.op("Clip", [x, *(_as_input(tape, bound, known) for bound in given)])


def _as_input(tape: Tape, bound: Any, known: list[ir.Value]) -> ir.Value | None:
    """A bound as a constant: one that is there already, or a new one."""
    if bound is None:
        return None
    for value in known:
        found = scalar(value)
        if found == bound and np.signbit(found) == np.signbit(bound):
            return value
    return tape.const(np.asarray(bound), "bound")


_FLOATS = (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16)
_INTEGERS = (ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT32, ir.DataType.INT64)


def _limits(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    info: Any = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    return dtype.type(info.min), dtype.type(info.max)


RANGES = {dtype: _limits(dtype.numpy()) for dtype in (*_FLOATS, *_INTEGERS)}
"""Bounds of a Clip that names none."""


def _interval(node: ir.Node, low: Any, high: Any) -> Interval:
    dtype = type(low)
    if node.op_type == "Relu":
        return Interval(dtype(0), dtype("inf") if isinstance(low, np.floating) else high)
    bounds = []
    for index, (name, limit) in enumerate((("min", low), ("max", high)), start=1):
        value = node.inputs[index] if index < len(node.inputs) else None
        bound = limit
        if name in node.attributes:
            bound = dtype(node.attributes[name].as_float())
        elif value is not None:
            bound = scalar(value)
        if bound is None or bound != bound:
            raise Reject("a bound is not a constant number")
        bounds.append(bound)
    return Interval(*bounds)


def _check_zeros(first: Interval, second: Interval, merged: Interval) -> None:
    """A clip keeps the sign of a zero inside its bounds; one that makes all values 0 would bring out a -0."""
    for zero in (0.0, -0.0):
        element = type(first.low)(zero)
        if np.signbit(merged.clip(element)) != np.signbit(second.clip(first.clip(element))):
            raise Reject("the merged Clip would change the sign of zeros")


@dataclass(frozen=True)
class MergeClips(RewritePass):
    """Merge chains of Clip and Relu into one Clip."""

    name: ClassVar[str] = "merge-clips"
    exact: ClassVar[bool] = True
    rules: ClassVar[tuple[Rule, ...]] = (clip_of_clip,)
