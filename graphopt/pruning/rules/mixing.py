"""Operators that mix elements along some axes and leave the others alone: pooling and reductions."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.ir import attribute_int, attribute_ints, ints
from graphopt.ir.ops import REDUCTIONS
from graphopt.pruning.site import Axis, Site

_NORMS = ("ReduceL1", "ReduceL2", "ReduceSumSquare")


def pooling(site: Site, node: ir.Node) -> None:
    """The first two axes, batch and channels, are left alone; all of them in a Dropout."""
    x, y = node.inputs[0], node.outputs[0]
    dims = site.dims(x)
    if x is None or dims is None or site.dims(y) is None or len(node.outputs) > 1:
        return
    for axis in range(min(2, len(dims))):
        site.link(node, Axis(x, axis), Axis(y, axis))


def same(site: Site, node: ir.Node) -> None:
    """All axes are left alone."""
    x, y = node.inputs[0], node.outputs[0]
    dims = site.dims(x)
    if x is None or dims is None or any(site.dims(output) is None for output in node.outputs):
        return
    for output in node.outputs:
        if output.uses() or output is y:
            for axis in range(len(dims)):
                site.link(node, Axis(x, axis), Axis(output, axis))


def reduction(site: Site, node: ir.Node) -> None:
    """Axes that are not reduced are left alone."""
    x, y = node.inputs[0], node.outputs[0]
    dims = site.dims(x)
    if x is None or dims is None or site.dims(y) is None:
        return
    gone = reduced_axes(node, len(dims))
    if gone is None:
        return
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        site.free(Axis(node.inputs[1], 0))
    keeps = attribute_int(node, "keepdims", 1)
    target = 0
    for axis in range(len(dims)):
        if axis in gone and is_mean_of_norms(node):
            site.average(Axis(x, axis))
            target += 1 if keeps else 0
        elif axis in gone:
            site.block(node, Axis(x, axis), f"{node.op_type} reduces over them")
            target += 1 if keeps else 0
        else:
            site.link(node, Axis(x, axis), Axis(y, target))
            target += 1


def reduced_axes(node: ir.Node, of_rank: int) -> set[int] | None:
    """Axes over which a node reduces; None where they are computed."""
    axes = attribute_ints(node, "axes")
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        axes = ints(node.inputs[1])
        if axes is None:
            return None
    if node.op_type in ("ArgMax", "ArgMin"):
        axes = [attribute_int(node, "axis", 0)]
    elif not axes:
        axes = [] if attribute_int(node, "noop_with_empty_axes", 0) else [*range(of_rank)]
    return {axis % of_rank for axis in axes}


def is_mean_of_norms(node: ir.Node) -> bool:
    """Whether a node takes a mean of the sizes of channels: one that is zero is known to add nothing to it.

    So do global response normalizations (S. Woo et al., "ConvNeXt V2", 2023).
    """
    value = node.inputs[0]
    maker = None if value is None else value.producer()
    return node.op_type == "ReduceMean" and maker is not None and maker.op_type in _NORMS


RULES = {
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), pooling),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), pooling),
    "Dropout": same,
    **dict.fromkeys((*REDUCTIONS, "ArgMax", "ArgMin"), reduction),
}
