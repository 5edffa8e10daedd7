"""Operators that sum products: channels of the data end here, those of the output begin."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.ir import attribute_int, attribute_string
from graphopt.pruning.site import Axis, Site

MANY_GROUPS = 8
"""From so many groups on a grouped convolution loses whole groups, below channels of every group."""


def conv(site: Site, node: ir.Node) -> None:
    """[N, C, ...] by [M, C / groups, ...] gives [N, M, ...]."""
    x, weight = node.inputs[0], node.inputs[1]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    y = node.outputs[0]
    shape, out = site.dims(weight), site.dims(y)
    if x is None or weight is None or shape is None or site.dims(x) is None or out is None or len(out) < 3:
        return
    _batch(site, node, x, y)
    site.link(node, Axis(weight, 0), Axis(y, 1))
    if bias is not None:
        site.link(node, Axis(bias, 0), Axis(y, 1))
    groups = attribute_int(node, "group", 1)
    if groups == 1:
        site.link(node, Axis(x, 1), Axis(weight, 1))
        site.sink(node, Axis(x, 1), Axis(weight, 1))
        return
    _grouped(site, node, Axis(x, 1), Axis(weight, 0), Axis(weight, 1), groups)


def conv_transpose(site: Site, node: ir.Node) -> None:
    """[N, C, ...] by [C, M / groups, ...] gives [N, M, ...]."""
    x, weight = node.inputs[0], node.inputs[1]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    y = node.outputs[0]
    if (
        x is None
        or weight is None
        or site.dims(weight) is None
        or site.dims(x) is None
        or site.dims(y) is None
    ):
        return
    groups = attribute_int(node, "group", 1)
    if groups != 1:
        return
    _batch(site, node, x, y)
    site.link(node, Axis(weight, 1), Axis(y, 1))
    if bias is not None:
        site.link(node, Axis(bias, 0), Axis(y, 1))
    site.link(node, Axis(x, 1), Axis(weight, 0))
    site.sink(node, Axis(x, 1), Axis(weight, 0))


def _batch(site: Site, node: ir.Node, x: ir.Value, y: ir.Value) -> None:
    site.link(node, Axis(x, 0), Axis(y, 0))


def _grouped(site: Site, node: ir.Node, data: Axis, outputs: Axis, inputs: Axis, groups: int) -> None:
    """Groups go as a whole, or each loses the channels at the same places."""
    channels, made = site.size(data.value, data.axis), site.size(outputs.value, outputs.axis)
    if channels is None or made is None or channels % groups or made % groups:
        return
    of_data, of_outputs = channels // groups, made // groups
    if groups >= MANY_GROUPS or of_data == 1:
        site.free(inputs)
        for place in range(of_data):
            sources = np.arange(groups) * of_data + place
            site.link(node, data, data, sources, np.arange(groups) * of_data)
        for place in range(of_outputs):
            targets = np.arange(groups) * of_outputs + place
            site.link(node, data, outputs, np.arange(groups) * of_data, targets)
        site.block(node, inputs, "each group reads all of them")
        return
    site.link(node, data, inputs, np.arange(channels), np.tile(np.arange(of_data), groups))
    site.link(node, outputs, outputs, np.arange(made), np.tile(np.arange(of_outputs), groups))
    site.sink(node, data, inputs)


def matmul(site: Site, node: ir.Node) -> None:
    """[..., M, K] by [..., K, N] gives [..., M, N]; the axes before are broadcast."""
    a, b = node.inputs[0], node.inputs[1]
    y = node.outputs[0]
    one, other, out = site.dims(a), site.dims(b), site.dims(y)
    if a is None or b is None or one is None or other is None or out is None or min(len(one), len(other)) < 2:
        return
    site.link(node, Axis(a, len(one) - 2), Axis(y, len(out) - 2))
    site.link(node, Axis(b, len(other) - 1), Axis(y, len(out) - 1))
    site.link(node, Axis(a, len(one) - 1), Axis(b, len(other) - 2))
    site.sink(node, Axis(a, len(one) - 1), Axis(b, len(other) - 2))
    for value, dims in ((a, one), (b, other)):
        for axis in range(len(dims) - 2):
            target = Axis(y, axis + len(out) - len(dims))
            if dims[axis] != 1 or out[target.axis] == 1:
                site.link(node, Axis(value, axis), target)
            else:
                site.free(Axis(value, axis))


def gemm(site: Site, node: ir.Node) -> None:
    """alpha A B + beta C, where A and B may be transposed and C is broadcast."""
    a, b = node.inputs[0], node.inputs[1]
    c = node.inputs[2] if len(node.inputs) > 2 else None
    y = node.outputs[0]
    if a is None or b is None or any(len(site.dims(value) or ()) != 2 for value in (a, b, y)):
        return
    rows = 1 if attribute_int(node, "transA", 0) else 0
    columns = 0 if attribute_int(node, "transB", 0) else 1
    site.link(node, Axis(a, rows), Axis(y, 0))
    site.link(node, Axis(b, columns), Axis(y, 1))
    site.link(node, Axis(a, 1 - rows), Axis(b, 1 - columns))
    site.sink(node, Axis(a, 1 - rows), Axis(b, 1 - columns))
    dims = site.dims(c)
    if c is None or dims is None:
        return
    for axis, dim in enumerate(dims):
        if dim == 1:
            site.free(Axis(c, axis))
        else:
            site.link(node, Axis(c, axis), Axis(y, axis + 2 - len(dims)))


def einsum(site: Site, node: ir.Node) -> None:
    """Axes of one letter belong together; letters without an axis of the output are summed over."""
    equation = attribute_string(node, "equation", "").replace(" ", "")
    if "->" not in equation or "." in equation:
        return
    terms, _, result = equation.partition("->")
    letters: dict[str, Axis] = {letter: Axis(node.outputs[0], axis) for axis, letter in enumerate(result)}
    places: dict[str, list[Axis]] = {}
    for value, term in zip(node.inputs, terms.split(","), strict=False):
        dims = site.dims(value)
        if value is None or dims is None or len(dims) != len(term) or len(set(term)) != len(term):
            return
        for axis, letter in enumerate(term):
            places.setdefault(letter, []).append(Axis(value, axis))
    if len(set(result)) != len(result):
        return
    for letter, found in places.items():
        for place in found[1:]:
            site.link(node, found[0], place)
        if letter in letters:
            site.link(node, found[0], letters[letter])
        elif len(found) == 2:
            site.sink(node, found[0], found[1])
        else:
            for place in found:
                site.block(node, place, "Einsum sums over all of them")


RULES = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "MatMul": matmul,
    "Gemm": gemm,
    "Einsum": einsum,
}
