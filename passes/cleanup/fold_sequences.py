"""Take values straight from the nodes that made a sequence of them: SequenceAt and SequenceLength.

Only sequences built in one step by SequenceConstruct; SplitToSequence, insertions and loops are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, const, op, rest, rule, scalar
from graphopt.pipeline import RewritePass


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


@dataclass(frozen=True)
class FoldSequences(RewritePass):
    """Take values straight from the nodes that made a sequence of them."""

    name: ClassVar[str] = "fold-sequences"
    exact: ClassVar[bool] = True
    rules: ClassVar[tuple[Rule, ...]] = (element_of_construct, length_of_construct)
