"""Loop, Scan and SequenceMap: trip counts of all sorts, carried values, collected ones, captured ones."""

from __future__ import annotations

import numpy as np

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import Unfit, recipe
from graphopt.testing.generate.recipes._bodies import as_graph, body, captured, fill, own
from graphopt.testing.generate.recipes._parts import an_axis


@recipe("Loop", weight=10)
def loop(b: Builder, op_type: str) -> None:
    """None, one or several turns, or until a condition says so."""
    inner = body(b)
    carried = [b.pick("fi") for _ in range(b.choices.weighted((1, 2, 0), (5, 2, 1)))]
    turn = inner.input(np.array(0, np.int64))
    going = inner.input(np.array(True))
    starts = [inner.input(each.content) for each in carried]
    fill(inner)
    counted = b.choices.chance(0.6)  # or else the body says when to end, which must come at some time
    if counted:
        goes_on = inner.op("Identity", going)
    else:
        goes_on = inner.op("Less", turn, inner.ints(b.choices.choose((2, 0, 1))))
    ends = [goes_on, *(_next(inner, each) for each in starts), *_collected(inner)]
    graph = as_graph(inner, ends)
    count = _trips(b) if counted or b.choices.chance(0.5) else None
    first = b.constant(np.array(not b.choices.chance(0.1))) if b.choices.chance(0.5) else None
    read = captured(b, graph)
    stacks = len(b.values) + len(carried)
    b.op(op_type, count, first, *carried, outputs=len(ends) - 1, captured=read, body=graph)
    # onnxruntime gives stacks of nothing this shape or that, and dies of some that it has given itself.
    b.values[stacks:] = [each for each in b.values[stacks:] if each.array.size]


@recipe("Scan", weight=5)
def scan(b: Builder, op_type: str) -> None:
    """Along any axis and in either direction, with a state or without."""
    if b.opset < 9:
        raise Unfit("of older opsets with a batch")
    inner = body(b)
    x = b.pick(where=lambda v: v.rank > 0 and 0 not in v.shape)
    axis = an_axis(b, x.rank) if b.opset >= 11 else b.choices.integer(0, x.rank - 1)
    states = [b.pick("fi")] if b.choices.chance(0.5) else []
    starts = [inner.input(each.content) for each in states]
    inner.input(np.asarray(x.array.take(0, axis=axis)))
    fill(inner)
    ends = [*(_next(inner, each) for each in starts), *(_collected(inner) or [own(inner, inner.inputs[-1])])]
    graph = as_graph(inner, ends)
    backwards = [1] if b.choices.chance(0.3) else None
    b.op(
        op_type, *states, x, outputs=len(ends), captured=captured(b, graph), body=graph, num_scan_inputs=1,
        scan_input_axes=[axis], scan_input_directions=backwards,
    )  # fmt: skip


@recipe("SequenceMap", weight=3)
def sequence_map(b: Builder, op_type: str) -> None:
    """Over a sequence made for it."""
    x = b.pick()
    sequence = b.op("SequenceConstruct", x, b.op("Neg", x))
    inner = body(b)
    element = inner.input(x.content)
    fill(inner)
    graph = as_graph(inner, _collected(inner) or [own(inner, element)])
    b.op(op_type, sequence, outputs=len(graph.output), captured=captured(b, graph), body=graph)


def _trips(b: Builder) -> Known:
    few = b.choices.weighted((3, 1, 0, 2), (3, 3, 2, 1))
    if b.outer is None and b.choices.chance(0.2):
        return b.input(np.array(few, np.int64))
    return b.constant(np.array(few, np.int64))


def _next(inner: Builder, start: Known) -> Known:
    """What a carried value becomes: something of its type and shape, or a step from it, or itself."""

    def fits(known: Known) -> bool:
        return known.is_tensor and known.dtype == start.dtype and known.shape == start.shape

    found = [each for each in inner.values if each not in inner.inputs and fits(each)]
    if found and inner.choices.chance(0.5):
        return found[-1]
    if inner.choices.chance(0.2):
        return inner.op("Identity", start)
    return inner.op(inner.choices.choose(("Add", "Sub")), start, inner.floats([], start.dtype))


def _collected(inner: Builder) -> list[Known]:
    """Tensors that the body makes, for the outputs that are stacked."""
    made = [each for each in inner.values if each not in inner.inputs and each.is_tensor]
    return made[-inner.choices.choose((1, 2)) :] if made and inner.choices.chance(0.7) else []
