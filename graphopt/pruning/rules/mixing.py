"""Operators that mix elements along some axes and leave the others alone: pooling, reductions, attention."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.ir import attribute_int, attribute_ints, ints
from graphopt.ir.ops import REDUCTIONS
from graphopt.pruning.site import Axis, Site


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
    axes = attribute_ints(node, "axes")
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        axes = ints(node.inputs[1])
        if axes is None:
            return
        site.free(Axis(node.inputs[1], 0))
    if node.op_type in ("ArgMax", "ArgMin"):
        axes = [attribute_int(node, "axis", 0)]
    elif not axes:
        axes = [] if attribute_int(node, "noop_with_empty_axes", 0) else [*range(len(dims))]
    gone = {axis % len(dims) for axis in axes}
    keeps = attribute_int(node, "keepdims", 1)
    target = 0
    for axis in range(len(dims)):
        if axis in gone:
            site.block(node, Axis(x, axis), f"{node.op_type} reduces over them")
            target += 1 if keeps else 0
        else:
            site.link(node, Axis(x, axis), Axis(y, target))
            target += 1


def attention(site: Site, node: ir.Node) -> None:
    """Heads of Q, K, V and the output are the same, if there are as many: an axis, or parts of one."""
    values = [node.inputs[index] for index in range(3)]
    y = node.outputs[0]
    if all(len(site.dims(value) or ()) == 3 for value in (*values, y)):
        _packed_heads(site, node)
        return
    if len(node.outputs) > 1 or any(len(site.dims(value) or ()) != 4 for value in (*values, y)):
        return
    heads = {site.size(value, 1) for value in values}
    if len(heads) != 1 or any(value is None for value in node.inputs[4:]):
        return
    q, k, v = values
    assert q is not None and k is not None and v is not None
    for axis in (0, 1):
        for value in (q, k, v):
            site.link(node, Axis(value, axis), Axis(y, axis))
    site.link(node, Axis(q, 2), Axis(y, 2))
    site.link(node, Axis(v, 3), Axis(y, 3))
    if "scale" in node.attributes:
        site.link(node, Axis(q, 3), Axis(k, 3))
    mask = node.inputs[3] if len(node.inputs) > 3 else None
    dims = site.dims(mask)
    if mask is not None and dims is not None and len(dims) == 4:
        for axis in (0, 1):
            if dims[axis] != 1:
                site.link(node, Axis(mask, axis), Axis(y, axis))


def _packed_heads(site: Site, node: ir.Node) -> None:
    """[batch, length, heads x size]: the elements of a head go together."""
    heads = attribute_int(node, "q_num_heads", 0)
    if not heads or attribute_int(node, "kv_num_heads", 0) != heads or len(node.outputs) > 1:
        return
    if any(value is None for value in node.inputs[:3]) or any(value is not None for value in node.inputs[4:]):
        return
    mask = node.inputs[3] if len(node.inputs) > 3 else None
    if mask is not None and site.size(mask, 1) != 1 and len(site.dims(mask) or ()) == 4:
        return  # a mask of its own for each head
    q = Axis(node.inputs[0], 2)  # type: ignore[arg-type]
    y = node.outputs[0]
    places = [Axis(value, 2) for value in (*node.inputs[:3], y) if value is not None]
    sizes = [site.size(axis.value, 2) for axis in places]
    if any(size is None or size % heads for size in sizes):
        return
    first = np.arange(heads) * ((sizes[0] or 0) // heads)
    for axis, size in zip(places, sizes, strict=True):
        each = (size or 0) // heads
        for place in range(each):
            site.link(node, q, axis, first, np.arange(heads) * each + place)
    for value in node.inputs[:3]:
        if value is not None:
            site.link(node, Axis(value, 0), Axis(y, 0))
    site.link(node, Axis(node.inputs[0], 1), Axis(y, 1))  # type: ignore[arg-type]
    site.link(node, Axis(node.inputs[1], 1), Axis(node.inputs[2], 1))  # type: ignore[arg-type]


RULES = {
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool"), pooling),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"), pooling),
    "Dropout": same,
    **dict.fromkeys((*REDUCTIONS, "ArgMax", "ArgMin"), reduction),
    "Attention": attention,
}
