"""Take values straight from the nodes that made a sequence of them: SequenceAt and SequenceLength.

Only sequences built in one step, by SequenceConstruct or by a SplitToSequence into constant sizes; insertions
and loops are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    Changes,
    Reject,
    Rule,
    Tape,
    attribute_int,
    const,
    infer_shapes,
    ints,
    op,
    rank,
    rest,
    rule,
    scalar,
    var,
)
from graphopt.passes.operands import FIRST_OPSET_WITH_AXES_INPUT, static_dim
from graphopt.pipeline import RewritePass

MOST_PARTS = 1024
"""Outputs that a Split may get; a sequence may have any number of elements."""


@rule(op("SequenceAt", op("SequenceConstruct", rest("elements"), shared=True), const("position")))
def element_of_construct(tape: Tape, elements: tuple[ir.Value, ...], position: ir.Value) -> ir.Value:
    """SequenceAt(SequenceConstruct(a, b, ...), constant)  ->  that element."""
    index = int(scalar(position))
    if not -len(elements) <= index < len(elements):
        raise Reject(f"position {index} lies outside a sequence of {len(elements)}")
    return elements[index]


@rule(op("SequenceLength", op("SequenceConstruct", rest("elements"), shared=True)))
def length_of_construct(tape: Tape, elements: tuple[ir.Value, ...]) -> ir.Value:
    """SequenceLength(SequenceConstruct(...))  ->  a constant."""
    return tape.const(np.array(len(elements), dtype=np.int64), "length")


@rule(
    op(
        "SequenceAt",
        op("SplitToSequence", var("x"), const("split"), name="node", shared=True),
        const("position"),
    )
)
def element_of_split(tape: Tape, x: ir.Value, split: ir.Value, node: ir.Node, position: ir.Value) -> ir.Value:
    """SequenceAt(SplitToSequence(x, sizes), constant)  ->  that output of Split(x, sizes)."""
    axis = attribute_int(node, "axis", 0)
    size, index = static_dim(x, axis), int(scalar(position))
    if size is None:
        raise Reject("the size of what is split is not known")
    sizes = ints(split) or []
    if rank(split) == 0 and sizes[0] > 0:
        whole, left = divmod(size, sizes[0])
        if whole > MOST_PARTS:
            raise Reject(f"{whole} parts are too many for one node")
        sizes = [sizes[0]] * whole + [left] * (left > 0)
    if sum(sizes) != size or min(sizes, default=0) <= 0 or not -len(sizes) <= index < len(sizes):
        raise Reject(f"position {index} of parts of {sizes} does not fit a size of {size}")
    if tape.opset < FIRST_OPSET_WITH_AXES_INPUT:  # Split likewise takes its sizes as an input from here on
        return tape.ops("Split", [x], {"axis": axis, "split": sizes}, outputs=len(sizes))[index]
    return tape.ops("Split", [x, tape.ints(sizes, "sizes")], {"axis": axis}, outputs=len(sizes))[index]


@dataclass(frozen=True)
class FoldSequences(RewritePass):
    """Take values straight from the nodes that made a sequence of them."""

    name: ClassVar[str] = "fold-sequences"
    exact: ClassVar[bool] = True
    rules: ClassVar[tuple[Rule, ...]] = (element_of_construct, length_of_construct, element_of_split)

    def apply(self, model: ir.Model, changes: Changes) -> None:
        """Rewrite; elements of sequences have no shapes, so what follows gets its shapes in between."""
        before = -1
        while before != changes.count:
            before = changes.count
            changes.refusals.clear()
            super().apply(model, changes)
            if changes.count != before:
                infer_shapes(model)
