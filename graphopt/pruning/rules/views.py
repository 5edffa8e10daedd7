"""Operators that keep elements in order and give them another shape: which axes are which."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from graphopt.ir import attribute_int
from graphopt.pruning.site import Axis, Dim, Site
from graphopt.pruning.sizes import Sizes


def reshape(site: Site, node: ir.Node) -> None:
    """A 0 in the shape is the same axis; an axis that is read from somewhere is that one."""
    x, y = node.inputs[0], node.outputs[0]
    dims, out = site.dims(x), site.dims(y)
    if x is None or dims is None or out is None:
        return
    elements = Sizes(site).elements(node.inputs[1])
    if elements is not None and len(elements) == len(out):
        keeps = not attribute_int(node, "allowzero", 0)
        named = [
            dims[axis] if element == 0 and keeps and axis < len(dims) else out[axis]
            for axis, element in enumerate(elements)
        ]
        for axis, element in enumerate(elements):
            if element is None:
                site.block(node, Axis(y, axis), "its size is computed")
            elif isinstance(element, Axis) and site.atoms(element) is not None and named[axis] != 1:
                site.link(node, element, Axis(y, axis))
        out = tuple(named)
    elif elements is None or len(elements) != len(out):
        for axis in range(len(out)):
            site.block(node, Axis(y, axis), "the shape is computed")
    same_elements(site, node, x, y, dims, out)
    shape = node.inputs[1]
    if shape is not None:
        site.free(Axis(shape, 0))


def flatten(site: Site, node: ir.Node) -> None:
    """Two axes: everything before one, and everything from it on."""
    _plain(site, node)


def squeeze(site: Site, node: ir.Node) -> None:
    """Axes of size 1 come or go."""
    _plain(site, node)
    for value in node.inputs[1:]:
        if value is not None and site.dims(value):
            site.free(Axis(value, 0))


def _plain(site: Site, node: ir.Node) -> None:
    x, y = node.inputs[0], node.outputs[0]
    dims, out = site.dims(x), site.dims(y)
    if x is not None and dims is not None and out is not None:
        same_elements(site, node, x, y, dims, out)


def same_elements(
    site: Site, node: ir.Node, x: ir.Value, y: ir.Value, dims: Sequence[Dim], out: Sequence[Dim]
) -> None:
    """Find the axes of both sides that hold the same elements, and link them."""
    for before, after in matched(dims, out):
        ones = [axis for axis in before if dims[axis] != 1]
        others = [axis for axis in after if out[axis] != 1]
        known = all(isinstance(dims[axis], int) for axis in ones) and all(
            isinstance(out[axis], int) for axis in others
        )
        if len(ones) == 1 and len(others) == 1:
            if known or dims[ones[0]] == out[others[0]]:
                site.link(node, Axis(x, ones[0]), Axis(y, others[0]))
        elif known and len(ones) == 1 and others:
            site.view(node, Axis(x, ones[0]), [Axis(y, axis) for axis in others])
        elif known and len(others) == 1 and ones:
            site.view(node, Axis(y, others[0]), [Axis(x, axis) for axis in ones])


def matched(dims: Sequence[Dim], out: Sequence[Dim]) -> list[tuple[list[int], list[int]]]:
    """Runs of axes on both sides that hold the same elements; the finest that can be told.

    Equal axes at both ends come first, since sizes in between may not be known; then known ones by products.
    """
    first = 0
    while first < min(len(dims), len(out)) and dims[first] == out[first]:
        first += 1
    last = 0
    while last < min(len(dims), len(out)) - first and dims[-1 - last] == out[-1 - last]:
        last += 1
    runs = [([axis], [axis]) for axis in range(first)]
    runs += _between(dims, out, (first, len(dims) - last), (first, len(out) - last))
    runs += [([len(dims) - last + step], [len(out) - last + step]) for step in range(last)]
    return runs


def _between(
    dims: Sequence[Dim], out: Sequence[Dim], before: tuple[int, int], after: tuple[int, int]
) -> list[tuple[list[int], list[int]]]:
    """Runs between two places by equal products; one run of all where a size is not known."""
    (one, end), (other, stop) = before, after
    sizes = [*dims[one:end], *out[other:stop]]
    if any(not isinstance(size, int) for size in sizes):
        return [([*range(one, end)], [*range(other, stop)])] if sizes else []
    runs: list[tuple[list[int], list[int]]] = []
    left: list[int] = []
    right: list[int] = []
    while one < end or other < stop:
        have, want = (
            math.prod(int(sides[axis]) for axis in run) for sides, run in ((dims, left), (out, right))
        )
        if left and right and have == want:
            runs.append((left, right))
            left, right = [], []
        elif one < end and (have <= want or other == stop):
            left = [*left, one]
            one += 1
        else:
            right = [*right, other]
            other += 1
    if left or right:
        runs.append((left, right))
    return runs


RULES = {
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": squeeze,
}
