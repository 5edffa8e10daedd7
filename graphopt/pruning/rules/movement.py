"""Operators that move elements along axes: an element of the output is one of an input."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphopt.ir import attribute_int, attribute_ints, attribute_string, constant, ints
from graphopt.pruning.site import Axis, Site
from graphopt.pruning.sizes import Sizes


def transpose(site: Site, node: ir.Node) -> None:
    """Axes change places."""
    x, y = node.inputs[0], node.outputs[0]
    dims = site.dims(x)
    if x is None or dims is None or site.dims(y) is None:
        return
    perm = attribute_ints(node, "perm") or [*reversed(range(len(dims)))]
    for axis, source in enumerate(perm):
        site.link(node, Axis(x, source), Axis(y, axis))


def concat(site: Site, node: ir.Node) -> None:
    """Axes of the inputs stand behind each other; the others are equal."""
    y = node.outputs[0]
    out = site.dims(y)
    if not out or any(site.dims(value) is None for value in node.inputs):
        return
    along = attribute_int(node, "axis", 0) % len(out)
    start: int | None = 0
    for value in node.inputs:
        assert value is not None
        for axis in range(len(out)):
            if axis != along:
                site.link(node, Axis(value, axis), Axis(y, axis))
        size = site.size(value, along)
        if start is None or size is None or site.atoms(Axis(y, along)) is None:
            start = None
            site.block(node, Axis(value, along), "sizes of what Concat joins are not known")
            site.block(node, Axis(y, along), "sizes of what Concat joins are not known")
            continue
        site.link(node, Axis(value, along), Axis(y, along), np.arange(size), np.arange(start, start + size))
        start += size


def split(site: Site, node: ir.Node) -> None:
    """Parts of one axis."""
    x = node.inputs[0]
    dims = site.dims(x)
    if x is None or not dims:
        return
    along = attribute_int(node, "axis", 0) % len(dims)
    start: int | None = 0
    for y in node.outputs:
        if site.dims(y) is None:
            return
        for axis in range(len(dims)):
            if axis != along:
                site.link(node, Axis(x, axis), Axis(y, axis))
        size = site.size(y, along)
        if start is None or size is None or site.atoms(Axis(x, along)) is None:
            start = None
            site.block(node, Axis(x, along), "the parts of Split are not known")
            site.block(node, Axis(y, along), "the parts of Split are not known")
            continue
        site.link(node, Axis(x, along), Axis(y, along), np.arange(start, start + size), np.arange(size))
        start += size
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        site.free(Axis(node.inputs[1], 0))


def slices(site: Site, node: ir.Node) -> None:
    """Every element from one place to another."""
    x, y = node.inputs[0], node.outputs[0]
    dims = site.dims(x)
    found = slice_bounds(node, len(dims or ()))
    if x is None or dims is None or site.dims(y) is None:
        return
    for value in node.inputs[1:]:
        if value is not None and site.dims(value):
            site.free(Axis(value, 0))
    for axis, dim in enumerate(dims):
        if found is None:
            continue
        if axis not in found:
            site.link(node, Axis(x, axis), Axis(y, axis))
        elif isinstance(dim, int):
            start, end, step = found[axis]
            places = np.arange(dim)[start:end:step]
            if step != 1 or len(places) == 0:
                site.block(node, Axis(x, axis), "Slice takes them in steps")
                site.block(node, Axis(y, axis), "Slice takes them in steps")
            else:
                site.link(node, Axis(x, axis), Axis(y, axis), places, np.arange(len(places)))


def slice_bounds(node: ir.Node, of_rank: int) -> dict[int, tuple[int, int, int]] | None:
    """Axis -> start, end and step of a Slice; None where they are computed."""
    if "starts" in node.attributes:
        starts, ends = attribute_ints(node, "starts"), attribute_ints(node, "ends")
        axes, steps = attribute_ints(node, "axes"), None
    else:
        inputs = [*node.inputs[1:], None, None, None, None][:4]
        starts, ends = ints(inputs[0]), ints(inputs[1])
        axes, steps = ints(inputs[2]), ints(inputs[3])
        if (inputs[2] is not None and axes is None) or (inputs[3] is not None and steps is None):
            return None
    if starts is None or ends is None:
        return None
    axes = [*range(len(starts))] if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    return {
        axis % max(of_rank, 1): (start, end, step)
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=False)
    }


def gather(site: Site, node: ir.Node) -> None:
    """Rows by their numbers: of a table, where the numbers are data, or known ones of anything."""
    x, y = node.inputs[0], node.outputs[0]
    places, index = node.inputs[1], site.dims(node.inputs[1])
    dims = site.dims(x)
    if x is None or not dims or places is None or index is None or site.dims(y) is None:
        return
    along = attribute_int(node, "axis", 0) % len(dims)
    for axis in range(len(dims)):
        if axis < along:
            site.link(node, Axis(x, axis), Axis(y, axis))
        elif axis > along:
            site.link(node, Axis(x, axis), Axis(y, axis + len(index) - 1))
    known = constant(places)
    if known is None or known.ndim > 1:
        site.block(node, Axis(x, along), "Gather takes them by numbers that are computed")
        for axis in range(len(index)):
            site.link(node, Axis(places, axis), Axis(y, along + axis))
        return
    size = site.size(x, along)
    if size is None:
        return
    taken = np.atleast_1d(known).astype(np.int64) % size
    if known.ndim == 0:
        site.block(node, Axis(x, along), "Gather takes one of them", taken)
        return
    if len(set(taken.tolist())) != len(taken):
        return
    site.link(node, Axis(x, along), Axis(y, along), taken, np.arange(len(taken)))
    site.free(Axis(places, 0))


def expand(site: Site, node: ir.Node) -> None:
    """Axes of size 1 are repeated, the others are the same."""
    x, y = node.inputs[0], node.outputs[0]
    dims, out = site.dims(x), site.dims(y)
    elements = Sizes(site).elements(node.inputs[1])
    if x is None or dims is None or out is None or elements is None:
        return
    for axis, dim in enumerate(dims):
        target = Axis(y, axis + len(out) - len(dims))
        if dim != 1:
            site.link(node, Axis(x, axis), target)
    for axis, element in enumerate(reversed(elements), 1):
        place = Axis(y, len(out) - axis)
        if isinstance(element, Axis) and site.atoms(element) is not None and out[-axis] != 1:
            site.link(node, element, place)
        elif isinstance(element, int):
            site.free(place)
    shape = node.inputs[1]
    if shape is not None:
        site.free(Axis(shape, 0))


def filled(site: Site, node: ir.Node) -> None:
    """ConstantOfShape of a shape that is known: any of its elements may go."""
    shape, y = node.inputs[0], node.outputs[0]
    if shape is None or ints(shape) is None or site.dims(y) is None:
        return
    site.free(Axis(shape, 0))
    for axis in range(len(site.dims(y) or ())):
        site.free(Axis(y, axis))


def tile(site: Site, node: ir.Node) -> None:
    """Axes that are not repeated are the same."""
    x, y = node.inputs[0], node.outputs[0]
    repeats = ints(node.inputs[1]) if len(node.inputs) > 1 else None
    if x is None or repeats is None or site.dims(x) is None or site.dims(y) is None:
        return
    for axis, times in enumerate(repeats):
        if times == 1:
            site.link(node, Axis(x, axis), Axis(y, axis))
    if node.inputs[1] is not None:
        site.free(Axis(node.inputs[1], 0))


def pad(site: Site, node: ir.Node) -> None:
    """Axes that are not padded are the same."""
    x, y = node.inputs[0], node.outputs[0]
    dims = site.dims(x)
    if x is None or dims is None or site.dims(y) is None:
        return
    pads = attribute_ints(node, "pads") or (ints(node.inputs[1]) if len(node.inputs) > 1 else None)
    axes: list[int] | None = [*range(len(dims))]
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        axes = ints(node.inputs[3])
    if pads is None or axes is None or len(pads) != 2 * len(axes):
        return
    padded = {axis % len(dims) for at, axis in enumerate(axes) if pads[at] or pads[at + len(axes)]}
    for axis in range(len(dims)):
        if axis not in padded:
            site.link(node, Axis(x, axis), Axis(y, axis))
    for value in node.inputs[1:]:
        if value is not None and site.dims(value):
            site.free(Axis(value, 0))


def resize(site: Site, node: ir.Node) -> None:
    """Axes that keep their size, where that is certain, are the same."""
    x, y = node.inputs[0], node.outputs[0]
    dims, out = site.dims(x), site.dims(y)
    if x is None or dims is None or out is None or attribute_ints(node, "axes"):
        return
    scales = constant(node.inputs[_scales(node)]) if len(node.inputs) > _scales(node) else None
    sizes = Sizes(site).elements(node.inputs[3]) if len(node.inputs) > 3 and node.inputs[3] else None
    if "scales" in node.attributes:
        scales = np.asarray(node.attributes["scales"].as_floats())
    for axis, dim in enumerate(dims):
        if scales is not None and len(scales) == len(dims) and scales[axis] == 1.0:
            site.link(node, Axis(x, axis), Axis(y, axis))
        elif sizes is not None and len(sizes) == len(dims) and dim == out[axis]:
            element = sizes[axis]
            if element is None:
                continue
            site.link(node, Axis(x, axis), Axis(y, axis))
            if isinstance(element, Axis) and element != Axis(x, axis):
                site.link(node, element, Axis(y, axis))
    for value in node.inputs[1:]:
        if value is not None and site.dims(value):
            site.free(Axis(value, 0))


def _scales(node: ir.Node) -> int:
    """Where scales stand among the inputs: behind a region of interest since opset 11."""
    return 1 if node.op_type == "Upsample" or len(node.inputs) == 2 else 2


def depth_to_space(site: Site, node: ir.Node) -> None:
    """Channels that make one channel of blocks go together."""
    _blocks(site, node, wide=Axis(node.inputs[0], 1), narrow=Axis(node.outputs[0], 1))  # type: ignore[arg-type]


def space_to_depth(site: Site, node: ir.Node) -> None:
    """Channels that one channel is spread over go together."""
    _blocks(site, node, wide=Axis(node.outputs[0], 1), narrow=Axis(node.inputs[0], 1))  # type: ignore[arg-type]


def _blocks(site: Site, node: ir.Node, wide: Axis, narrow: Axis) -> None:
    x, y = node.inputs[0], node.outputs[0]
    many, few = site.size(wide.value, 1), site.size(narrow.value, 1)
    if x is None or many is None or few is None or not few or many % few:
        return
    site.link(node, Axis(x, 0), Axis(y, 0))
    places = np.arange(many)
    last = attribute_string(node, "mode", "DCR") == "CRD"
    site.link(node, wide, narrow, places, places // (many // few) if last else places % few)


def shape(site: Site, node: ir.Node) -> None:
    """Sizes that are read follow by themselves where only shapes are made of them."""
    x = node.inputs[0]
    dims = site.dims(x)
    if x is None or dims is None:
        return
    escaping = Sizes(site).escaping(node.outputs[0])
    for axis in range(len(dims)):
        if Axis(x, axis) in escaping:
            site.block(node, Axis(x, axis), "something is computed of their number")
        else:
            site.free(Axis(x, axis))
    site.free(Axis(node.outputs[0], 0))


RULES = {
    "Transpose": transpose,
    "Concat": concat,
    "Split": split,
    "Slice": slices,
    "Gather": gather,
    "Expand": expand,
    "ConstantOfShape": filled,
    "Tile": tile,
    "Pad": pad,
    "Resize": resize,
    "Upsample": resize,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "Shape": shape,
}
