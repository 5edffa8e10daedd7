"""If: a condition known or computed, branches over outer values and constants, also inside each other."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.known import Known
from graphopt.testing.generate.recipe import Unfit, recipe
from graphopt.testing.generate.recipes._bodies import as_graph, body, captured, fill, own, same_names
from graphopt.testing.generate.recipes._parts import typed

FIRST_OPSET_OF_UNLIKE_BRANCHES = 11
"""From here on the branches of an If may give other shapes than each other."""


@recipe("If", weight=12)
def if_(b: Builder, op_type: str) -> None:
    """One or two outputs of equal types, also of other shapes in either branch where the opset allows that;
    equal names in both.
    """
    then, other = body(b), body(b)
    fill(then)
    fill(other)
    made = [known for known in then.values if known.is_tensor]
    count = b.choices.choose((1, 2))
    ends = made[-count:] or [then.op("Identity", b.pick("fi"))]
    graph = as_graph(then, ends)
    graph_other = as_graph(other, [of_type(other, each) for each in ends])
    if b.choices.chance(0.3):
        same_names(graph_other, graph)
    if b.choices.chance(0.3):
        graph, graph_other = graph_other, graph
    read = captured(b, graph, graph_other)
    branches = {"then_branch": graph, "else_branch": graph_other}
    b.op(op_type, condition(b), outputs=len(ends), captured=read, **branches)


def condition(b: Builder) -> Known:
    """A scalar, in some of the ways that models have it: given, constant, of a size, of numbers."""
    way = b.choices.weighted(("there", "constant", "size", "integers"), (5, 4, 2, 2))
    if way == "there":
        return typed(b, ir.DataType.BOOL, 0)
    if way == "constant":
        return b.constant(np.array(b.choices.chance(0.5)))
    if way == "size":
        return b.op("Equal", b.op("Size", b.pick("fi")), b.ints(b.choices.choose((6, 0, 4))))
    return b.op("Less", typed(b, ir.DataType.INT64, 0), b.ints(2))


def of_type(inner: Builder, like: Known) -> Known:
    """A result of the branch of that element type: the last one, or something made for it."""
    found = [each for each in inner.values if each.is_tensor and each.dtype == like.dtype]
    alike = inner.opset < FIRST_OPSET_OF_UNLIKE_BRANCHES
    if alike:
        found = [each for each in found if each.shape == like.shape]
    if found:
        return found[-1]
    if like.dtype == ir.DataType.STRING and inner.opset < 9:
        raise Unfit("no strings to begin with")
    if alike:
        return inner.op("Identity", inner.new(like.dtype, like.shape))
    return own(inner, typed(inner, like.dtype, like.rank))
