"""Merge Gather with the Gather, Squeeze, Unsqueeze or Slice beside it, where all indices are constant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, attribute_int, const, op, rest, rule, var
from graphopt.passes.chains._ranges import SURELY_THE_END, Range, ranges
from graphopt.passes.operands import constant_or_reject, known_rank, node_ints, normalized_axes
from graphopt.pipeline import RewritePass

INNER = op("Gather", var("x"), const("first"), shared=True, name="inner")


@rule(op("Gather", INNER, const("second"), name="outer"))
def gather_of_gather(
    tape: Tape, x: ir.Value, inner: ir.Node, outer: ir.Node, first: ir.Value, second: ir.Value
) -> ir.Value:
    """Gather(Gather(x, i), j)  ->  Gather(x, i[j])."""
    indices, positions = constant_or_reject(first, "indices are"), constant_or_reject(second, "indices are")
    axes = known_rank(x)
    axis = attribute_int(inner, "axis", 0) % axes
    if indices.ndim != 1 or attribute_int(outer, "axis", 0) % axes != axis:
        raise Reject("they gather along different axes")
    if positions.size and not (-len(indices) <= positions.min() and positions.max() < len(indices)):
        raise Reject("an index lies outside")
    merged = np.asarray(indices[positions], dtype=indices.dtype)
    return tape.op("Gather", [x, tape.const(merged, "indices")], {"axis": axis})


@rule(op("Unsqueeze", op("Gather", var("x"), const("index"), name="gather"), rest("_"), name="node"))
def unsqueeze_of_gather(tape: Tape, x: ir.Value, index: ir.Value, gather: ir.Node, node: ir.Node) -> ir.Value:
    """Unsqueeze(Gather(x, i))  ->  Gather(x, [i]), where the new axis stands where the old one was."""
    position = constant_or_reject(index, "the index is")
    axes = known_rank(x)
    axis = attribute_int(gather, "axis", 0) % axes
    if position.ndim or normalized_axes(node_ints(node, "axes", 1) or [], axes) != [axis]:
        raise Reject("")
    return tape.op("Gather", [x, tape.const(position.reshape(1), "indices")], {"axis": axis})


@rule(op("Squeeze", op("Slice", var("x"), rest("_"), name="slice"), rest("__"), name="node"))
def squeeze_of_slice(tape: Tape, x: ir.Value, slice: ir.Node, node: ir.Node) -> ir.Value:
    """Squeeze(x[i:i+1])  ->  Gather(x, i)."""
    squeezed = node_ints(node, "axes", 1)
    if squeezed is None or len(squeezed) != 1:
        raise Reject("")
    ((axis, taken), *others) = ranges(slice).items()
    if others or normalized_axes(squeezed, known_rank(x)) != [axis]:
        raise Reject("it takes a part along another axis too")
    if not _is_one_element(taken):
        raise Reject("it is not known to take one element")
    index = np.array(taken.start, dtype=np.int64)
    return tape.op("Gather", [x, tape.const(index, "index")], {"axis": axis})


def _is_one_element(taken: Range) -> bool:
    """Whether a range takes exactly one element of every size, or nothing (which Squeeze would refuse)."""
    if taken.step != 1:
        return False
    if taken.start == -1:
        return taken.end >= SURELY_THE_END
    return taken.end == taken.start + 1


@dataclass(frozen=True)
class MergeGathers(RewritePass):
    """Merge Gather with the Gather, Squeeze, Unsqueeze or Slice beside it."""

    name: ClassVar[str] = "merge-gathers"
    exact: ClassVar[bool] = True
    rules: ClassVar[tuple[Rule, ...]] = (gather_of_gather, unsqueeze_of_gather, squeeze_of_slice)
