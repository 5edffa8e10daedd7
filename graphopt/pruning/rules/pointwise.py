"""Operators that work place by place, and broadcast: equal axes belong together."""

from __future__ import annotations

import onnx_ir as ir

from graphopt.pruning.site import Axis, Site

_PER_AXIS = {"QuantizeLinear": 1, "DequantizeLinear": 1}
"""Axis along which a vector of scales lies, unless the node says so."""


def pointwise(site: Site, node: ir.Node) -> None:
    """Axes of all inputs, aligned at the last one, are those of the output; those of size 1 are repeated."""
    output = node.outputs[0]
    out = site.dims(output)
    if out is None:
        return
    axes = range(len(out))
    for axis in axes:
        site.free(Axis(output, axis))
    for index, value in enumerate(node.inputs):
        dims = site.dims(value)
        if value is None or dims is None or len(dims) > len(out):
            continue
        if index and node.op_type in _PER_AXIS:
            _scales(site, node, value)
            continue
        shift = len(out) - len(dims)
        for axis, dim in enumerate(dims):
            if dim == 1 and out[axis + shift] == 1:
                site.link(node, Axis(value, axis), Axis(output, axis + shift))
            elif dim == 1:
                site.free(Axis(value, axis))
            else:
                site.link(node, Axis(value, axis), Axis(output, axis + shift))


def _scales(site: Site, node: ir.Node, value: ir.Value) -> None:
    """Scales or zero points: one, or one a channel; in blocks they stay."""
    dims, out = site.dims(value), site.dims(node.outputs[0])
    if not dims or out is None or len(dims) != 1:
        return
    attribute = node.attributes.get("axis")
    axis = attribute.as_int() if attribute is not None else _PER_AXIS[node.op_type]
    if dims[0] == 1 or not -len(out) <= axis < len(out):
        return
    site.link(node, Axis(value, 0), site.place(node.outputs[0], axis))
