"""What moves elements and computes nothing: on codes where there are codes.

A Transpose is no step: it changes the order in which the axes of the same elements are named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from graphopt.ir import attribute_int, attribute_ints, attribute_string
from graphopt.native.lower.forms import Coded, Form, Grid, Known, Mapped, Pending, Stored
from graphopt.native.lower.ops.elementwise import are_integers
from graphopt.native.lower.ops.pools import bounded
from graphopt.native.lower.scope import (
    INTEGERS,
    Scope,
    Unsupported,
    channels_last,
    identity,
    is_coded,
    known,
    renamed,
    reshape_dims,
)
from graphopt.native.lower.steps import Dim, Dims, Value

_INT64 = np.iinfo(np.int64)


def transpose(scope: Scope) -> Form:
    """Transpose."""
    perm = attribute_ints(scope.node, "perm") or list(range(len(scope.dims(0))))[::-1]
    return renamed(scope.form(0), perm)


def reshape(scope: Scope) -> Form:
    """Reshape, Flatten, Squeeze and Unsqueeze: elements stay where they are, in the graph's order of axes.

    And in any other, where only axes of 1 come or go.
    """
    before, after = scope.dims(0), scope.output_dims()
    shape = _shape(scope, before, after)
    what: dict[str, object] = {} if shape is None else {"dims": shape}
    if shape is None and (scope.node.op_type != "Reshape" or attribute_int(scope.node, "allowzero", 0)):
        what["zeros"] = 1
    sizes = None if shape is not None else _computed_shape(scope, before, after)

    def move(stored: Stored) -> Stored:
        order = _same_order(stored.order, before, after)
        if order is not None and stored.order != identity(len(before)):
            memory = tuple(after[axis] for axis in order)
            kept = reshape_dims(stored.value.dims, memory)
            if kept is not None:
                made = scope.step("reshape", [stored.value], {"dims": kept}, stored.value.type, memory)
                return Stored(made, order)
        stored = scope.in_order(stored, identity(len(before)))
        inputs = [stored.value]
        if sizes is not None:
            inputs.append(sizes(stored.value))
        value = scope.step("reshape", inputs, what, stored.value.type, after)
        return Stored(value, identity(len(after)))

    return scope.moved(scope.form(0), move, after)


def _same_order(order: tuple[int, ...], before: Dims, after: Dims) -> tuple[int, ...] | None:
    """The order in which elements stay where they are as axes of 1 come and go; None where others do."""
    old = [axis for axis, size in enumerate(before) if size != 1]
    new = [axis for axis, size in enumerate(after) if size != 1]
    if len(old) != len(new):
        return None
    unknown = 0
    for axis, other in zip(old, new, strict=True):
        mine, theirs = before[axis], after[other]
        if not isinstance(mine, int) or not isinstance(theirs, int):
            unknown += 1  # one that is not known is the same in both, if all others are
        elif mine != theirs:
            return None
    if unknown > 1:
        return None
    target = dict(zip(old, new, strict=True))
    result: list[int] = []
    for axis in order:
        if axis in target:
            first = target[axis]
            while first and after[first - 1] == 1:
                first -= 1
            result += range(first, target[axis] + 1)
    return (*result, *(axis for axis in range(len(after)) if axis not in result))


def _shape(scope: Scope, before: Dims, after: Dims) -> list[int] | None:
    """What the step takes; None where that is not enough."""
    if scope.node.op_type == "Reshape" and not attribute_int(scope.node, "allowzero", 0):
        form = scope.form(1)
        if isinstance(form, Known):
            return [int(size) for size in form.array]
    return reshape_dims(before, after)


def _computed_shape(scope: Scope, before: Dims, after: Dims) -> Callable[[Value], Value]:
    """What the step reads beside a value, where several sizes are not known."""
    if scope.node.op_type == "Reshape":
        given = scope.sizes(1)
        return lambda _: given
    axes: list[int | None] = []
    for size in after:
        if not isinstance(size, int) and (size is None or size not in before):
            raise Unsupported("more than one size that is known only when the program runs")
        axes.append(None if isinstance(size, int) else before.index(size))

    def sizes(value: Value) -> Value:
        parts = [
            (value, axis) if axis is not None else known(size) for size, axis in zip(after, axes, strict=True)
        ]
        return scope.shape_of(parts)

    return sizes


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

    return scope.moved(scope.form(0), move, after)


def slice_(scope: Scope) -> Form:
    """Slice by constants, or between sizes that are computed of sizes."""
    form, dims = scope.form(0), scope.output_dims()
    if scope.opset >= 10 and not (isinstance(scope.form(1), Known) and isinstance(scope.form(2), Known)):
        return _sliced_by_sizes(scope, form, dims)
    if scope.opset < 10:
        starts, ends = (attribute_ints(scope.node, name) or [] for name in ("starts", "ends"))
        axes, steps = attribute_ints(scope.node, "axes") or list(range(len(starts))), [1] * len(starts)
    else:
        starts, ends = _integers(scope, 1), _integers(scope, 2)
        axes = _integers(scope, 3) if scope.has(3) else list(range(len(starts)))
        steps = _integers(scope, 4) if scope.has(4) else [1] * len(starts)
    return scope.moved(form, lambda stored: _cut(scope, stored, starts, ends, axes, steps, dims), dims)


def _sliced_by_sizes(scope: Scope, form: Form, dims: Dims) -> Form:
    ends = [scope.sizes(1), scope.sizes(2)]
    count = known(ends[0].dims[0])
    axes = _integers(scope, 3) if scope.has(3) else list(range(count))
    steps = _integers(scope, 4) if scope.has(4) else [1] * count

    def move(stored: Stored) -> Stored:
        places = [stored.order.index(axis % len(stored.order)) for axis in axes]
        memory = tuple(dims[axis] for axis in stored.order)
        what = {"axes": places, "steps": steps}
        return Stored(
            scope.step("slice", [stored.value, *ends], what, stored.value.type, memory), stored.order
        )

    return scope.moved(form, move, dims)


def split(scope: Scope) -> list[Form]:
    """Split into parts whose sizes are known."""
    rank = len(scope.dims(0))
    axis = attribute_int(scope.node, "axis", 0) % rank
    sizes = [known(scope.output_dims(index)[axis]) for index in range(len(scope.node.outputs))]
    parts: list[Form] = []
    for index, size in enumerate(sizes):
        start = sum(sizes[:index])

        dims = scope.output_dims(index)

        def move(stored: Stored, start: int = start, size: int = size, dims: Dims = dims) -> Stored:
            return _cut(scope, stored, [start], [start + size], [axis], [1], dims)

        parts.append(scope.moved(scope.form(0), move, dims))
    return parts


def _cut(
    scope: Scope,
    stored: Stored,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int],
    steps: Sequence[int],
    dims: Dims,
) -> Stored:
    rank = len(stored.order)
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

    if any(map(are_integers, forms)):
        plain = [scope.any(form) for form in forms]
        if any(part.value.type != plain[0].value.type for part in plain):
            raise Unsupported("a Concat of several types")
        return put(plain, {}, plain[0].value.type)
    first = forms[0]
    if isinstance(first, Mapped) and not is_coded(first):
        alike = [form for form in forms if isinstance(form, Mapped) and _is_alike(first, form)]
        if len(alike) == len(forms):
            source = put([form.source for form in alike], {}, first.source.value.type)
            return replace(first, source=source)
    if all(is_coded(form) for form in forms):
        parts = [scope.coded(form) for form in forms]
        grid = parts[0][1]
        if all(own == grid for _, own in parts):
            joint = put([part for part, _ in parts], {}, grid.type)
            return scope.dequantized(scope.as_coded(joint), grid)

        def codes(grid: Grid, low: int, high: int) -> Stored:
            attributes = {
                "scales": [own.scale for _, own in parts],
                "zeros": [own.zero for _, own in parts],
                "y_type": grid.type,
                "y_scale": grid.scale,
                "y_zero": grid.zero,
            }
            return bounded(scope, put([part for part, _ in parts], attributes, grid.type), grid, low, high)

        return Pending(dims, codes, floats)
    if any(isinstance(form, Coded) for form in forms):
        raise Unsupported("a Concat of codes that are not behind DequantizeLinear")
    return floats()


def _is_alike(a: Mapped, b: Mapped) -> bool:
    """Whether two are the same function of codes."""
    if a.source.value.type != b.source.value.type or a.table.tobytes() != b.table.tobytes():
        return False
    return b.coded is None and a.rounded is None and b.rounded is None


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
    return _gathered(scope, "gather", {"axis": _axis(scope)})


def gather_elements(scope: Scope) -> Form:
    """GatherElements, of what Gather takes."""
    return _gathered(scope, "gather_elements", {"axis": _axis(scope)})


def gather_nd(scope: Scope) -> Form:
    """GatherND, of what Gather takes."""
    return _gathered(scope, "gather_nd", {"batch": attribute_int(scope.node, "batch_dims", 0)})


def _axis(scope: Scope) -> int:
    return attribute_int(scope.node, "axis", 0) % len(scope.dims(0))


def _gathered(scope: Scope, kind: str, what: dict[str, int]) -> Form:
    form, dims = scope.form(0), scope.output_dims()
    indices = scope.any(scope.form(1))
    if indices.value.type not in INTEGERS:
        raise Unsupported("indices that are no integers of 32 or 64 bits")
    indices = scope.in_order(indices, identity(len(indices.order)))

    def move(stored: Stored) -> Stored:
        stored = scope.in_order(stored, identity(len(stored.order)))
        value = scope.step(kind, [stored.value, indices.value], what, stored.value.type, dims)
        return Stored(value, identity(len(dims)))

    if isinstance(form, Known) and form.codes is not None and form.codes.scale.size == 1:
        codes = form.codes
        if codes.array.dtype in (np.uint8, np.int8):
            stored, grid = scope.coded(form)
            return scope.dequantized(scope.as_coded(move(stored)), grid)
    return scope.moved(form, move, dims)


def expand(scope: Scope) -> Form:
    """Expand, to a shape that is known, or computed of sizes."""
    form, dims = scope.form(0), scope.output_dims()
    if isinstance(scope.form(1), Known) or _sizes_to_expand_to(scope.dims(0), dims) is not None:
        return expanded(scope, form, dims)
    sizes = scope.sizes(1)

    def move(stored: Stored) -> Stored:
        value = scope.in_order(stored, identity(len(stored.order))).value
        return Stored(scope.step("expand", [value, sizes], {}, value.type, dims), identity(len(dims)))

    return scope.moved(form, move, dims)


def expanded(scope: Scope, form: Form, dims: Dims) -> Form:
    """Elements repeated along axes where there is one, until they are of a shape."""
    before = form.array.shape if isinstance(form, Known) else form.dims
    if before == dims and None not in dims:
        return form
    missing = len(dims) - len(before)
    sizes = _sizes_to_expand_to(before, dims)
    if sizes is None:
        raise Unsupported("a size to expand to that is known only when the program runs")

    def move(stored: Stored) -> Stored:
        # Axes that are new come first, in memory too.
        order = (*range(missing), *(axis + missing for axis in stored.order))
        memory = tuple(dims[axis] for axis in order)
        what = {"dims": [sizes[axis] for axis in order]}
        return Stored(scope.step("expand", [stored.value], what, stored.value.type, memory), order)

    return scope.moved(form, move, dims)


def _sizes_to_expand_to(before: Dims, dims: Dims) -> list[int] | None:
    """What the step takes: sizes, -1 where they stay; None where one is not known."""
    sizes = []
    for size, own in zip(dims, (*[1] * (len(dims) - len(before)), *before), strict=True):
        if size is None or (not isinstance(size, int) and size != own):
            return None
        sizes.append(size if isinstance(size, int) else -1)
    return sizes


def same(scope: Scope) -> Form:
    """Identity, and Dropout where nothing is trained."""
    if len(scope.node.outputs) > 1 and scope.node.outputs[1].uses():
        raise Unsupported("the mask of a Dropout")
    if scope.node.op_type == "Dropout" and scope.has(2) and scope.array(2).any():
        raise Unsupported("a Dropout that drops at random")
    return scope.form(0)


def _integers(scope: Scope, index: int) -> list[int]:
    return [int(min(max(item, _INT64.min), _INT64.max)) for item in scope.array(index).reshape(-1)]
