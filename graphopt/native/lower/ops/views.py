"""What moves elements and computes nothing: on codes where there are codes.

A Transpose is no step: it changes the order in which the axes of the same elements are named.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphopt.ir import attribute_int, attribute_ints, attribute_string
from graphopt.native.lower.forms import Coded, Codes, Form, Grid, Known, Mapped, Pending, Stored
from graphopt.native.lower.ops.pools import bounded
from graphopt.native.lower.scope import (
    Scope,
    Unsupported,
    channels_last,
    identity,
    is_coded,
    known,
    reshape_dims,
)
from graphopt.native.lower.steps import Dim, Dims

_INT64 = np.iinfo(np.int64)


def transpose(scope: Scope) -> Form:
    """Transpose."""
    form = scope.form(0)
    rank = len(scope.dims(0))
    perm = attribute_ints(scope.node, "perm") or list(range(rank))[::-1]
    place = {axis: index for index, axis in enumerate(perm)}

    def renamed(stored: Stored) -> Stored:
        return Stored(stored.value, tuple(place[axis] for axis in stored.order))

    if isinstance(form, Coded):
        return Coded(renamed(form.source), form.table, form.type)
    if isinstance(form, Mapped):
        coded = form.coded and Coded(renamed(form.coded.source), form.coded.table, form.coded.type)
        floats = form.floats
        return Mapped(renamed(form.source), form.table, lambda: renamed(floats()), coded, form.grid)
    if isinstance(form, Pending):
        dims = tuple(form.dims[axis] for axis in perm)
        codes, floats = form.to_codes, form.to_floats
        return Pending(
            dims, lambda *given: renamed(codes(*given)), lambda: renamed(floats()), form.low, form.high
        )
    if isinstance(form, Known):
        made = form.codes
        if made is not None:
            made = Codes(made.array.transpose(perm), made.scale, made.zero, place[made.axis])
        return Known(form.array.transpose(perm), made)
    return renamed(form)


def reshape(scope: Scope) -> Form:
    """Reshape, Flatten, Squeeze and Unsqueeze: elements stay where they are, in the graph's order of axes."""
    before, after = scope.dims(0), scope.output_dims()
    shape = _shape(scope, before, after)

    def move(stored: Stored) -> Stored:
        stored = scope.in_order(stored, identity(len(stored.order)))
        value = scope.step("reshape", [stored.value], {"dims": shape}, stored.value.type, after)
        return Stored(value, identity(len(after)))

    return scope.same_grid(scope.form(0), move)


def _shape(scope: Scope, before: Dims, after: Dims) -> list[int]:
    """What the step takes."""
    if scope.node.op_type == "Reshape" and not attribute_int(scope.node, "allowzero", 0):
        form = scope.form(1)
        if isinstance(form, Known):
            return [int(size) for size in form.array]
    shape = reshape_dims(before, after)
    if shape is None:
        raise Unsupported("more than one size that is known only when the program runs")
    return shape


def depth_to_space(scope: Scope) -> Form:
    """DepthToSpace: channels (row, column, rest), or (rest, row, column), become blocks of pixels."""
    n, channels, height, width = scope.dims(0)
    size = attribute_int(scope.node, "blocksize", 1)
    rest = known(channels) // (size * size)
    rows_first = attribute_string(scope.node, "mode", "DCR") == "DCR"
    parts = [size, size, rest] if rows_first else [rest, size, size]
    perm = [0, 1, 3, 2, 4, 5] if rows_first else [0, 1, 4, 2, 5, 3]
    return _blocks(scope, n, [known(height), known(width), *parts], perm)


def space_to_depth(scope: Scope) -> Form:
    """SpaceToDepth: blocks of pixels become channels (row, column, rest)."""
    n, channels, height, width = scope.dims(0)
    size = attribute_int(scope.node, "blocksize", 1)
    sizes = [known(height) // size, size, known(width) // size, size, known(channels)]
    return _blocks(scope, n, sizes, [0, 1, 3, 2, 4, 5])


def _blocks(scope: Scope, count: Dim, sizes: list[int], perm: list[int]) -> Form:
    """Images as they lie in memory, taken as arrays of `sizes` behind the first axis, transposed."""
    order, after = channels_last(4), scope.output_dims()
    memory = tuple(after[axis] for axis in order)

    def move(stored: Stored) -> Stored:
        value = scope.in_order(stored, order).value
        split = (count, *sizes)
        moved = tuple(split[axis] for axis in perm)
        for kind, what, made in (
            ("reshape", {"dims": [0, *sizes]}, split),
            ("transpose", {"perm": perm}, moved),
            ("reshape", {"dims": [0, *(known(size) for size in memory[1:])]}, memory),
        ):
            value = scope.step(kind, [value], what, value.type, made)
        return Stored(value, order)

    return scope.same_grid(scope.form(0), move)


def slice_(scope: Scope) -> Form:
    """Slice by constants."""
    if scope.opset < 10:
        starts, ends = (attribute_ints(scope.node, name) or [] for name in ("starts", "ends"))
        axes, steps = attribute_ints(scope.node, "axes") or list(range(len(starts))), [1] * len(starts)
    else:
        starts, ends = _integers(scope, 1), _integers(scope, 2)
        axes = _integers(scope, 3) if scope.has(3) else list(range(len(starts)))
        steps = _integers(scope, 4) if scope.has(4) else [1] * len(starts)
    return scope.same_grid(scope.form(0), lambda stored: _cut(scope, stored, starts, ends, axes, steps, 0))


def split(scope: Scope) -> list[Form]:
    """Split into parts whose sizes are known."""
    rank = len(scope.dims(0))
    axis = attribute_int(scope.node, "axis", 0) % rank
    sizes = [known(scope.output_dims(index)[axis]) for index in range(len(scope.node.outputs))]
    parts: list[Form] = []
    for index, size in enumerate(sizes):
        start = sum(sizes[:index])

        def move(stored: Stored, start: int = start, size: int = size, index: int = index) -> Stored:
            return _cut(scope, stored, [start], [start + size], [axis], [1], index)

        parts.append(scope.same_grid(scope.form(0), move))
    return parts


def _cut(
    scope: Scope,
    stored: Stored,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int],
    steps: Sequence[int],
    output: int,
) -> Stored:
    rank = len(stored.order)
    dims = scope.output_dims(output)
    attributes = {
        "starts": list(starts),
        "ends": list(ends),
        "steps": list(steps),
        "axes": [stored.order.index(axis % rank) for axis in axes],
    }
    memory = tuple(dims[axis] for axis in stored.order)
    return Stored(scope.step("slice", [stored.value], attributes, stored.value.type, memory), stored.order)


def concat(scope: Scope) -> Form:
    """Concat."""
    return joined(scope, [scope.form(index) for index in range(len(scope.node.inputs))])


def joined(scope: Scope, forms: list[Form]) -> Form:
    """Values side by side: on codes if all are, whatever their scales."""
    dims, name = scope.output_dims(), scope.node.name or ""
    axis = attribute_int(scope.node, "axis", 1) % len(dims)
    if all(isinstance(form, Known) for form in forms):
        return Known(np.concatenate([form.array for form in forms if isinstance(form, Known)], axis))

    def put(parts: list[Stored], attributes: dict[str, object], kind: str) -> Stored:
        orders = [part.order for part in parts if part.order != identity(len(dims))]
        order = max(orders, key=orders.count) if orders else parts[0].order
        values = [scope.in_order(part, order).value for part in parts]
        memory = tuple(dims[place] for place in order)
        what = {"axis": order.index(axis), **attributes}
        return Stored(scope.steps.add("concat", values, what, kind, memory, name), order)

    def floats() -> Stored:
        return put([scope.floats(form) for form in forms], {}, "f32")

    if all(is_coded(form) for form in forms):

        def codes(grid: Grid, low: int, high: int) -> Stored:
            parts, grids = zip(*(scope.coded(form) for form in forms), strict=True)
            attributes = {
                "scales": [part.scale for part in grids],
                "zeros": [part.zero for part in grids],
                "y_type": grid.type,
                "y_scale": grid.scale,
                "y_zero": grid.zero,
            }
            return bounded(scope, put(list(parts), attributes, grid.type), grid, low, high)

        return Pending(dims, codes, floats)
    if any(isinstance(form, Coded) for form in forms):
        raise Unsupported("a Concat of codes that are not behind DequantizeLinear")
    return floats()


def pad(scope: Scope) -> Form:
    """Pad by constants; zeros become zero points."""
    mode = attribute_string(scope.node, "mode", "constant")
    rank = len(scope.dims(0))
    if scope.opset < 11:
        pads, value = attribute_ints(scope.node, "pads") or [], 0.0
        if "value" in scope.node.attributes:
            value = scope.node.attributes["value"].as_float()
    else:
        pads, value = _integers(scope, 1), scope.number(2) if scope.has(2) else 0.0
    axes = [axis % rank for axis in _integers(scope, 3)] if scope.has(3) else list(range(rank))
    form, dims = scope.form(0), scope.output_dims()
    code = value
    if isinstance(form, Mapped) and form.coded is not None and form.grid is not None and mode == "constant":
        codes = form.grid.quantize(np.array(value))
        if float(form.grid.dequantize(codes)) != value:
            form = scope.floats(form)
        else:
            code = int(codes)

    def move(stored: Stored) -> Stored:
        begins, ends = dict.fromkeys(range(rank), 0), dict.fromkeys(range(rank), 0)
        begins.update(zip(axes, pads[: len(axes)], strict=True))
        ends.update(zip(axes, pads[len(axes) :], strict=True))
        amounts = [begins[axis] for axis in stored.order] + [ends[axis] for axis in stored.order]
        memory = tuple(dims[axis] for axis in stored.order)
        attributes = {
            "pads": amounts,
            "mode": mode,
            "value": code if stored.value.type == "f32" else int(code),
        }
        return Stored(scope.step("pad", [stored.value], attributes, stored.value.type, memory), stored.order)

    return scope.same_grid(form, move)


def gather(scope: Scope) -> Form:
    """Gather of an activation, or of a table, by constant or computed indices."""
    form, dims = scope.form(0), scope.output_dims()
    axis = attribute_int(scope.node, "axis", 0) % len(scope.dims(0))
    indices = scope.any(scope.form(1))
    if indices.value.type not in ("s32", "s64"):
        raise Unsupported("indices that are no integers of 32 or 64 bits")
    indices = scope.in_order(indices, identity(len(indices.order)))

    def move(stored: Stored) -> Stored:
        stored = scope.in_order(stored, identity(len(stored.order)))
        value = scope.step("gather", [stored.value, indices.value], {"axis": axis}, stored.value.type, dims)
        return Stored(value, identity(len(dims)))

    if isinstance(form, Known) and form.codes is not None and form.codes.scale.size == 1:
        codes = form.codes
        if codes.array.dtype in (np.uint8, np.int8):
            stored, grid = scope.coded(form)
            return scope.dequantized(scope.as_coded(move(stored)), grid)
    return scope.same_grid(form, move)


def same(scope: Scope) -> Form:
    """Identity, and Dropout where nothing is trained."""
    if len(scope.node.outputs) > 1 and scope.node.outputs[1].uses():
        raise Unsupported("the mask of a Dropout")
    if scope.node.op_type == "Dropout" and scope.has(2) and scope.array(2).any():
        raise Unsupported("a Dropout that drops at random")
    return scope.form(0)


def _integers(scope: Scope, index: int) -> list[int]:
    return [int(min(max(item, _INT64.min), _INT64.max)) for item in scope.array(index).reshape(-1)]
