"""Merge Slice after Slice into one, and take slices of a Concat from its parts; all bounds constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, attribute_int, op, rest, rule, var
from graphopt.passes.chains._ranges import Range, compose, ranges, sliced
from graphopt.passes.operands import known_rank, static_dim
from graphopt.pipeline import RewritePass


@rule(op("Slice", op("Slice", var("x"), rest("_"), shared=True, name="inner"), rest("__"), name="outer"))
def slice_of_slice(tape: Tape, x: ir.Value, inner: ir.Node, outer: ir.Node) -> ir.Value:
    """Slice(Slice(x))  ->  Slice(x), on other axes or on the same."""
    merged = ranges(inner)
    for axis, second in ranges(outer).items():
        first = merged.get(axis)
        merged[axis] = second if first is None else compose(first, second, static_dim(x, axis))
    return sliced(tape, x, merged)


@rule(op("Slice", op("Concat", rest("parts"), shared=True, name="concat"), rest("_"), name="node"))
def slice_of_concat(tape: Tape, parts: tuple[ir.Value, ...], concat: ir.Node, node: ir.Node) -> ir.Value:
    """Slice(Concat(a, b, c))  ->  b, or a Slice of b, where it takes nothing of the others."""
    axis = attribute_int(concat, "axis", 0) % known_rank(parts[0])
    taken = ranges(node)
    along = taken.pop(axis, None)
    if along is None or along.step < 1:
        raise Reject("")
    total = static_dim(node.inputs[0], axis)  # type: ignore[arg-type]
    along = along.normalized(total)
    begin = 0
    for part in parts:
        size = static_dim(part, axis)
        if size is None:
            raise Reject("the size of a part is not known")
        if 0 <= begin <= along.start < along.end <= begin + size:
            inside = Range(along.start - begin, along.end - begin, along.step)
            if inside != Range(0, size):
                taken[axis] = inside
            return sliced(tape, part, taken) if taken else part
        begin += size
    raise Reject("it takes elements of several parts, or none")


@dataclass(frozen=True)
class MergeSlices(RewritePass):
    """Merge Slice after Slice, and take slices of a Concat from its parts."""

    name: ClassVar[str] = "merge-slices"
    exact: ClassVar[bool] = True
    rules: ClassVar[tuple[Rule, ...]] = (slice_of_slice, slice_of_concat)
