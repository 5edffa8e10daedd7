"""Normalizations: parameters follow their channels; axes that statistics run over lose nothing."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.ir import attribute_int
from graphopt.pruning.site import Axis, Site

_STATISTICS = "{} takes its statistics over them"


def per_channel(site: Site, node: ir.Node) -> None:
    """Axis 1 with a number of each parameter for every channel."""
    x, y = node.inputs[0], node.outputs[0]
    dims = site.dims(x)
    if x is None or dims is None or site.dims(y) is None or len(dims) < 2 or len(node.outputs) > 1:
        return
    for axis in (0, 1):
        site.link(node, Axis(x, axis), Axis(y, axis))
    for axis in range(2, len(dims)):
        _statistics(site, node, x, y, axis)
    for value in node.inputs[1:]:
        if value is not None:
            site.link(node, Axis(value, 0), Axis(y, 1))


def batch_normalization(site: Site, node: ir.Node) -> None:
    """Parameters are constants at inference; in training mode nothing is said of it."""
    if not attribute_int(node, "training_mode", 0):
        per_channel(site, node)


def last_axes(site: Site, node: ir.Node) -> None:
    """LayerNormalization and RMSNormalization: statistics over all axes from one on."""
    x, y = node.inputs[0], node.outputs[0]
    dims = site.dims(x)
    if x is None or dims is None or site.dims(y) is None:
        return
    first = attribute_int(node, "axis", -1) % len(dims)
    for axis in range(len(dims)):
        if axis < first:
            site.link(node, Axis(x, axis), Axis(y, axis))
            for output in node.outputs[1:]:
                if site.dims(output) is not None:
                    site.link(node, Axis(x, axis), Axis(output, axis))
        else:
            _statistics(site, node, x, y, axis)


def along_axis(site: Site, node: ir.Node) -> None:
    """Softmax and the like: elements along one axis depend on each other."""
    x, y = node.inputs[0], node.outputs[0]
    dims = site.dims(x)
    if x is None or dims is None or not dims or site.dims(y) is None:
        return
    version = site.model.graph.opset_imports.get("", 1)
    default = -1 if version >= 13 or node.op_type == "LpNormalization" else 1
    along = attribute_int(node, "axis", default) % len(dims)
    flattened = version < 13 and node.op_type != "LpNormalization"
    for axis in range(len(dims)):
        if axis == along or (flattened and axis > along):
            _statistics(site, node, x, y, axis)
        else:
            site.link(node, Axis(x, axis), Axis(y, axis))


def group_normalization(site: Site, node: ir.Node) -> None:
    """Groups of channels go as a whole."""
    x, y = node.inputs[0], node.outputs[0]
    dims, groups = site.dims(x), attribute_int(node, "num_groups", 1)
    channels = site.size(x, 1)
    if x is None or dims is None or channels is None or site.dims(y) is None or channels % groups:
        return
    each = channels // groups
    for axis in (0, 1):
        site.link(node, Axis(x, axis), Axis(y, axis))
    for place in range(1, each):
        site.link(node, Axis(x, 1), Axis(x, 1), np.arange(groups) * each, np.arange(groups) * each + place)
    for axis in range(2, len(dims)):
        _statistics(site, node, x, y, axis)
    for value in node.inputs[1:]:
        size = site.size(value, 0)
        if value is None or size is None:
            continue
        if size == channels:
            site.link(node, Axis(value, 0), Axis(y, 1))
        elif size == groups:
            site.link(node, Axis(value, 0), Axis(y, 1), np.arange(groups), np.arange(groups) * each)


def _statistics(site: Site, node: ir.Node, x: ir.Value, y: ir.Value, axis: int) -> None:
    for value in (x, y):
        site.block(node, Axis(value, axis), _STATISTICS.format(node.op_type))


RULES = {
    "BatchNormalization": batch_normalization,
    "InstanceNormalization": per_channel,
    "GroupNormalization": group_normalization,
    "LayerNormalization": last_axes,
    "RMSNormalization": last_axes,
    "Softmax": along_axis,
    "LogSoftmax": along_axis,
    "LpNormalization": along_axis,
}
