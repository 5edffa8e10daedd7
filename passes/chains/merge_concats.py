"""Merge Concat, Split and Slice along one axis: what was taken apart and joined again, or the reverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from graphopt.ir import Reject, Rule, Tape, attribute_int, op, rest, rule
from graphopt.passes.chains._ranges import END, Range, ranges, sliced
from graphopt.passes.operands import keep, known_rank, static_dim
from graphopt.pipeline import RewritePass

Values = tuple[ir.Value, ...]


NOTHING = Range(0, 0)


@dataclass(frozen=True)
class _Run:
    """Operands of a Concat that are consecutive slices of one source, or any single operand."""

    parts: Values
    source: ir.Value | None
    taken: Range

    def joined(self, tape: Tape, axis: int) -> ir.Value:
        if len(self.parts) == 1 or self.source is None:
            return self.parts[0]
        if self.taken.start == 0 and self.taken.end in (END, static_dim(self.source, axis)):
            return self.source
        if any(len(part.uses()) > 1 or part.is_graph_output() for part in self.parts):
            raise Reject("the slices are also used elsewhere")
        return sliced(tape, self.source, {axis: self.taken})


@rule(op("Concat", rest("parts"), name="node"))
def concat_of_concat(tape: Tape, parts: Values, node: ir.Node) -> ir.Value:
    """Concat(a, Concat(b, c))  ->  Concat(a, b, c), where the inner one has no other user."""
    axis = _axis(node)
    flat: list[ir.Value | None] = []
    for part in parts:
        producer = part.producer()
        if producer is not None and _is_inner_concat(producer, part, node) and _axis(producer) == axis:
            flat.extend(producer.inputs)
        else:
            flat.append(part)
    if len(flat) == len(parts):
        raise Reject("")
    return tape.op("Concat", flat, {"axis": axis})


@rule(op("Concat", rest("parts"), name="node"))
def concat_of_split(tape: Tape, parts: Values, node: ir.Node) -> ir.Value:
    """Concat(*Split(x))  ->  x, all parts in order along the axis."""
    split = parts[0].producer()
    if split is None or split.op_type != "Split" or split.domain or parts != tuple(split.outputs):
        raise Reject("")
    x = split.inputs[0]
    assert x is not None
    return keep(x, _axis(split) == _axis(node), "it joins along another axis")


@rule(op("Concat", rest("parts"), name="node"))
def concat_of_slices(tape: Tape, parts: Values, node: ir.Node) -> ir.Value:
    """Concat(x[a:b], x[b:c], y)  ->  Concat(x[a:c], y); x where nothing else is left."""
    axis = _axis(node)
    runs: list[_Run] = []
    for part in parts:
        source, taken = _slice_along(part, axis)
        if runs and source is not None and source is runs[-1].source and runs[-1].taken.end == taken.start:
            runs[-1] = _Run((*runs[-1].parts, part), source, Range(runs[-1].taken.start, taken.end))
        else:
            runs.append(_Run((part,), source, taken))
    joined = [run.joined(tape, axis) for run in runs]
    if len(joined) == len(parts):
        raise Reject("")
    return joined[0] if len(joined) == 1 else tape.op("Concat", joined, {"axis": axis})


@rule(op("Split", op("Concat", rest("parts"), shared=True, name="concat"), rest("_"), name="split"))
def split_of_concat(tape: Tape, parts: Values, concat: ir.Node, split: ir.Node) -> Sequence[ir.Value]:
    """Split(Concat(a, b))  ->  a, b, where it splits at the same places."""
    axis = _axis(split)
    if _axis(concat) != axis or len(set(parts)) != len(split.outputs):
        raise Reject("it splits elsewhere")
    sizes = [static_dim(part, axis) for part in parts]
    if None in sizes or sizes != [static_dim(output, axis) for output in split.outputs]:
        raise Reject("it splits elsewhere, or a size is not known")
    return parts


def _axis(node: ir.Node) -> int:
    assert node.inputs[0] is not None
    return attribute_int(node, "axis", 0) % known_rank(node.inputs[0])


def _is_inner_concat(producer: ir.Node, part: ir.Value, node: ir.Node) -> bool:
    if producer.op_type != "Concat" or producer.domain or producer.graph is not node.graph:
        return False
    return len(part.uses()) == 1 and not part.is_graph_output()


def _slice_along(part: ir.Value, axis: int) -> tuple[ir.Value | None, Range]:
    """The value that `part` is a Slice of along `axis` alone, and where, bounds not counted from the end."""
    producer = part.producer()
    if producer is None or producer.op_type != "Slice" or producer.domain:
        return None, NOTHING
    try:
        taken = ranges(producer)
    except Reject:
        return None, NOTHING
    source = producer.inputs[0]
    if list(taken) != [axis] or taken[axis].step != 1 or source is None:
        return None, NOTHING
    found = taken[axis].normalized(static_dim(source, axis))
    return (source, found) if 0 <= found.start <= found.end else (None, NOTHING)


@dataclass(frozen=True)
class MergeConcats(RewritePass):
    """Merge Concat, Split and Slice along one axis."""

    name: ClassVar[str] = "merge-concats"
    exact: ClassVar[bool] = True
    rules: ClassVar[tuple[Rule, ...]] = (
        concat_of_concat,
        concat_of_split,
        concat_of_slices,
        split_of_concat,
    )
