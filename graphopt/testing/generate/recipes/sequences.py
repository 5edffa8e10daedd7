"""Sequences of tensors: made, changed, read and joined."""

from __future__ import annotations

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import Unfit, recipe
from graphopt.testing.generate.recipes._parts import an_axis


@recipe("SequenceConstruct", weight=4)
def construct(b: Builder, op_type: str) -> None:
    """Of values of one type, and most often read again at once."""
    x = b.pick("fi")
    others = [b.pick("fi", where=lambda v: v.dtype == x.dtype) for _ in range(b.choices.choose((1, 0, 2)))]
    made = b.op(op_type, x, *others)
    if b.choices.chance(0.6):
        b.op("SequenceAt", made, b.ints(b.choices.choose((0, -1, len(others)))))


@recipe("SplitToSequence", weight=3)
def split(b: Builder, op_type: str) -> None:
    """Into parts of one size, of given sizes, or one by one."""
    x = b.pick("fi", where=lambda v: v.rank > 0)
    axis = an_axis(b, x.rank)
    size = x.shape[axis]
    kind = b.choices.choose(("each", "size", "sizes"))
    if kind == "each":
        b.op(op_type, x, axis=axis, keepdims=b.choices.choose((1, 0)))
    else:
        b.op(op_type, x, b.ints(2 if kind == "size" else [1, size - 1]), axis=axis)


@recipe("SequenceEmpty", weight=1)
def empty(b: Builder, op_type: str) -> None:
    """One that a tensor is put into."""
    x = b.pick("f")
    b.op("SequenceInsert", b.op(op_type, dtype=int(x.dtype)), x)


@recipe("SequenceInsert", "SequenceErase", weight=3)
def change(b: Builder, op_type: str) -> None:
    """At a place or at the end."""
    sequence = _sequence(b)
    place = b.ints(b.choices.choose((0, -1, 1))) if b.choices.chance(0.6) else None
    if op_type == "SequenceErase":
        b.op(op_type, sequence, place)
    else:
        b.op(op_type, sequence, b.pick("fi", where=lambda v: v.dtype == sequence.dtype), place)


@recipe("SequenceAt", "SequenceLength", "ConcatFromSequence", weight=6)
def read(b: Builder, op_type: str) -> None:
    """One of its tensors, their number, or all joined or stacked."""
    sequence = _sequence(b)
    if op_type == "SequenceAt":
        b.op(op_type, sequence, b.ints(b.choices.choose((0, -1, 1))))
    elif op_type == "SequenceLength":
        b.op(op_type, sequence)
    else:
        b.op(op_type, sequence, axis=b.choices.choose((0, -1, 1)), new_axis=b.choices.choose((0, 1)))


def _sequence(b: Builder) -> Known:
    found = [value for value in b.visible() if not value.is_tensor]
    if found:
        return b.choices.choose(found)
    if b.opset < 11:
        raise Unfit("no sequences yet")
    x = b.pick("fi")
    return b.op("SequenceConstruct", x, x)
