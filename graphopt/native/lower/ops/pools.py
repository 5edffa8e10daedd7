"""Pools, means over axes of images, and Resize: in the order of axes that images have in programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from graphopt.ir import attribute_int, attribute_ints, attribute_string
from graphopt.native.lower.forms import Coded, Form, Grid, Known, Mapped, Pending, Stored
from graphopt.native.lower.ops.elementwise import are_integers, mapped
from graphopt.native.lower.pointwise import attributes_of
from graphopt.native.lower.scope import Scope, Unsupported, channels_last, identity, known, reshape_dims
from graphopt.native.lower.steps import Dims, Value

_REDUCTIONS: Mapping[str, tuple[str, str | None, str | None]] = {
    "ReduceSum": ("sum", None, None),
    "ReduceSumSquare": ("sum_squares", None, None),
    "ReduceL1": ("sum", "abs", None),
    "ReduceL2": ("sum_squares", None, "sqrt"),
    "ReduceLogSum": ("sum", None, "log"),
    "ReduceMax": ("max", None, None),
    "ReduceMin": ("min", None, None),
}
"""What the kernel computes, and the functions of its operand and its result."""
REDUCTIONS = frozenset(_REDUCTIONS)
"""What `reduce` lowers."""


def max_pool(scope: Scope) -> Form:
    """MaxPool without indices."""
    if len(scope.node.outputs) > 1 and scope.node.outputs[1].uses():
        raise Unsupported("indices of the largest elements")
    attributes = _window(scope)
    dims = scope.output_dims()
    dilations = attribute_ints(scope.node, "dilations") or [1] * (len(dims) - 2)
    what = {**attributes, "dilations": dilations if len(dims) == 4 else [1, *dilations]}

    def move(stored: Stored) -> Stored:
        value = _image(scope, stored)
        return _pooled(scope, scope.step("max_pool", [value], what, value.type, _image_dims(dims)), dims)

    kernel, pads = attributes["kernel"], attributes["pads"]
    whole = not attributes["ceil"] and all(size == 1 for size in dilations)
    if whole and all(pad < size for pad, size in zip(pads, kernel * 2, strict=True)):
        return _greatest(scope, move)
    return scope.same_grid(scope.form(0), move)


def global_max_pool(scope: Scope) -> Form:
    """GlobalMaxPool of images whose sizes are known."""
    before, after = scope.dims(0), scope.output_dims()
    rank = len(before)
    if rank not in (3, 4):
        raise Unsupported("images with other than one or two spatial axes")
    kernel = [known(size) for size in before[2:]]
    height, width = [1, *kernel][-2:]
    channels = known(before[1])
    attributes = {
        "kernel": [height, width],
        "strides": [1, 1],
        "pads": [0] * 4,
        "dilations": [1, 1],
        "ceil": 0,
    }

    def move(stored: Stored) -> Stored:
        value, n = scope.in_order(stored, channels_last(rank)).value, before[0]
        for kind, what, dims in (
            ("reshape", {"dims": [0, height, width, channels]}, (n, height, width, channels)),
            ("max_pool", attributes, (n, 1, 1, channels)),
            ("reshape", {"dims": [0, channels, *[1] * (rank - 2)]}, after),
        ):
            value = scope.step(kind, [value], what, value.type, dims)
        return Stored(value, identity(rank))

    return _greatest(scope, move)


def _greatest(scope: Scope, pool: Callable[[Stored], Stored]) -> Form:
    """The greatest numbers of windows that are not empty: of codes where they are a function of these."""
    form = scope.form(0)
    if not isinstance(form, Mapped) or form.coded is not None:
        return scope.same_grid(form, pool)
    ranked = _ranked(scope, form)
    return pool(scope.floats(form)) if ranked is None else replace(ranked, source=pool(ranked.source))


def _ranked(scope: Scope, form: Mapped) -> Mapped | None:
    """The same numbers as a function of codes that are in their order; None where one is no number."""
    stored = form.source
    values = form.table[np.argsort(Grid(stored.value.type, 1.0, 0).all_codes())]
    if (values[:-1] <= values[1:]).all():
        return form
    if np.isnan(values).any() or form.rounded is not None:
        return None
    numbers, ranks = np.unique(form.table, return_inverse=True)
    codes = scope.codes(Coded(stored, ranks.astype(np.int32), "u8"))
    table = np.concatenate([numbers, np.repeat(numbers[-1:], len(values) - len(numbers))])
    return scope.tabled(codes, table)


def average_pool(scope: Scope) -> Form:
    """AveragePool."""
    return averaged(scope, scope.form(0))


def averaged(scope: Scope, x: Form) -> Form:
    """Means over windows of images."""
    if any(step != 1 for step in attribute_ints(scope.node, "dilations") or []):
        raise Unsupported("an AveragePool with dilations")
    attributes = {**_window(scope), "count_include_pad": attribute_int(scope.node, "count_include_pad", 0)}
    return _means(scope, "average_pool", x, attributes, scope.output_dims())


def global_average_pool(scope: Scope) -> Form:
    """GlobalAveragePool."""
    return pooled_whole(scope, scope.form(0))


def pooled_whole(scope: Scope, x: Form) -> Form:
    """Means over whole images."""
    dims = scope.output_dims()
    rank = len(scope.dims(0))
    if rank not in (3, 4):
        raise Unsupported("images with other than one or two spatial axes")
    whole = (*dims[:2], *[1] * (rank - 2))
    return flattened(scope, _means(scope, "global_average_pool", x, {}, whole), dims)


def flattened(scope: Scope, form: Form, dims: Dims) -> Form:
    """Images of one pixel without their spatial axes, if those are not among `dims`."""
    if len(dims) == len(form.array.shape if isinstance(form, Known) else form.dims):
        return form
    shape = reshape_dims(dims, dims)
    if shape is None:
        raise Unsupported("more than one size that is known only when the program runs")
    name = scope.node.name or ""

    def flat(stored: Stored) -> Stored:
        value = scope.steps.add("reshape", [stored.value], {"dims": shape}, stored.value.type, dims, name)
        return Stored(value, identity(len(dims)))

    if not isinstance(form, Pending):
        return flat(scope.floats(form))
    codes, floats = form.to_codes, form.to_floats
    return Pending(dims, lambda *given: flat(codes(*given)), lambda: flat(floats()))


def reduce_mean(scope: Scope) -> Form:
    """ReduceMean over constant axes."""
    rank, axes = len(scope.dims(0)), _reduced_axes(scope)
    if axes is None:
        return scope.form(0)
    keep = attribute_int(scope.node, "keepdims", 1)
    if rank in (3, 4) and axes == list(range(2, rank)):
        return pooled_whole(scope, scope.form(0))
    attributes = {"axes": axes, "keepdims": keep}
    return _means(scope, "reduce_mean", scope.form(0), attributes, scope.output_dims(), identity(rank))


def reduce(scope: Scope) -> Form:
    """ReduceSum and its like over constant axes, of floats or, but for functions of these, of integers."""
    (name, before, behind), axes = _REDUCTIONS[scope.node.op_type], _reduced_axes(scope)
    if axes is None:
        raise Unsupported("a reduction over no axes")
    form, keep, dims = scope.form(0), attribute_int(scope.node, "keepdims", 1), scope.output_dims()
    if are_integers(form) and before is None and behind is None:
        stored = scope.any(form)
    else:
        stored = scope.floats(form if before is None else mapped(scope, form, before, {}))
    kept = [axis for axis in stored.order if keep or axis not in axes]
    order = tuple(sorted(kept).index(axis) for axis in kept)
    memory = tuple(dims[axis] for axis in order)
    places = sorted(stored.order.index(axis) for axis in axes)
    what = {"op": name, "axes": places, "keepdims": keep}
    result = Stored(scope.step("reduce", [stored.value], what, stored.value.type, memory), order)
    return result if behind is None else mapped(scope, result, behind, {})


def cumulate(scope: Scope) -> Form:
    """CumSum along a constant axis, of floats or integers."""
    form, rank = scope.form(0), len(scope.dims(0))
    axis = int(scope.number(1))
    stored = scope.any(form) if are_integers(form) else scope.floats(form)
    what = {
        "axis": stored.order.index(axis % rank),
        "exclusive": attribute_int(scope.node, "exclusive", 0),
        "reverse": attribute_int(scope.node, "reverse", 0),
    }
    value = scope.step("cumulate", [stored.value], what, stored.value.type, stored.value.dims)
    return Stored(value, stored.order)


def _reduced_axes(scope: Scope) -> list[int] | None:
    """The axes that a reduction takes; None where it does nothing."""
    rank = len(scope.dims(0))
    given = scope.array(1).tolist() if scope.has(1) else attribute_ints(scope.node, "axes")
    if not given and attribute_int(scope.node, "noop_with_empty_axes", 0):
        return None
    return sorted(axis % rank for axis in given or range(rank))


def _means(
    scope: Scope,
    kind: str,
    x: Form,
    attributes: dict[str, Any],
    dims: Dims,
    order: tuple[int, ...] | None = None,
) -> Form:
    """Of images, unless there is an `order` that the axes must have."""
    memory = _image_dims(dims) if order is None else dims
    name = scope.node.name or ""

    lies = channels_last(len(scope.dims(0))) if order is None else order

    def source(stored: Stored) -> Value:
        stored = scope.in_order(stored, lies)
        return _image(scope, stored) if order is None else stored.value

    def made(value: Value) -> Stored:
        return _pooled(scope, value, dims) if order is None else Stored(value, identity(len(dims)))

    def floats() -> Stored:
        value = source(scope.floats_in(x, lies))
        return made(scope.steps.add(kind, [value], attributes, "f32", memory, name))

    if not isinstance(x, Mapped) or x.coded is None:
        return floats()

    def codes(grid: Grid, low: int, high: int) -> Stored:
        data, own = scope.coded(x)
        what = {
            **attributes,
            "x_scale": own.scale,
            "x_zero": own.zero,
            "y_type": grid.type,
            "y_scale": grid.scale,
            "y_zero": grid.zero,
        }
        result = made(scope.steps.add(kind, [source(data)], what, grid.type, memory, name))
        return bounded(scope, result, grid, low, high)

    return Pending(dims, codes, floats)


def _image(scope: Scope, stored: Stored) -> Value:
    """Images with their channels last; rows as images of height 1."""
    value = scope.in_order(stored, channels_last(len(stored.order))).value
    if len(value.dims) != 3:
        return value
    n, length, channels = value.dims
    return scope.reshaped(value, (n, 1, length, channels))


def _image_dims(dims: Dims) -> Dims:
    """Those of what is made of images in the graph's order, or of rows."""
    return (dims[0], *([1] if len(dims) == 3 else []), *dims[2:], dims[1])


def _pooled(scope: Scope, value: Value, dims: Dims) -> Stored:
    """What was made of images; of height 1 if the graph has rows."""
    if len(dims) == 3:
        value = scope.reshaped(value, (dims[0], dims[2], dims[1]))
    return Stored(value, channels_last(len(dims)))


def bounded(scope: Scope, stored: Stored, grid: Grid, low: int, high: int) -> Stored:
    """Codes between two, by a table."""
    if (low, high) == (grid.low, grid.high):
        return stored
    coded = scope.as_coded(stored)
    return scope.codes(type(coded)(coded.source, np.clip(coded.table, low, high), coded.type))


def resize(scope: Scope) -> Form:
    """Resize of both spatial axes by constant sizes or scales."""
    node = scope.node
    rank = len(scope.dims(0))
    mode = attribute_string(node, "mode", "nearest")
    if rank != 4 or mode not in ("nearest", "linear"):
        raise Unsupported(f"a Resize of {rank} axes, {mode}")
    if attribute_ints(node, "axes") not in (None, [2, 3]) or attribute_int(node, "antialias", 0):
        raise Unsupported("a Resize of some axes, or with antialias")
    if attribute_string(node, "keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Unsupported("a Resize that keeps the aspect ratio")
    old = node.op_type == "Upsample"
    attributes: dict[str, Any] = {"mode": mode}
    coordinates = attribute_string(node, "coordinate_transformation_mode", "half_pixel")
    attributes["coordinates"] = "asymmetric" if old or scope.opset < 11 else coordinates
    if attributes["coordinates"] == "tf_crop_and_resize":
        raise Unsupported("a Resize of a region")
    if mode == "nearest":
        default = "floor" if old or scope.opset < 11 else "round_prefer_floor"
        attributes["nearest_mode"] = attribute_string(node, "nearest_mode", default)
    scales, sizes = (1, None) if old or scope.opset < 11 else (2, 3)
    if sizes is not None and scope.has(sizes) and scope.array(sizes).size:
        array = scope.array(sizes)
        attributes["sizes"] = [int(size) for size in array[-2:]]
    else:
        array = scope.array(scales)
        if array.size == 4 and (array[:2] != 1).any():
            raise Unsupported("a Resize of channels")
        attributes["scales"] = [float(scale) for scale in array[-2:]]
    if array.size == 4 and sizes is not None and "sizes" in attributes and int(array[1]) != scope.dims(0)[1]:
        raise Unsupported("a Resize of channels")
    dims, order = scope.output_dims(), channels_last(4)

    def move(stored: Stored) -> Stored:
        stored = scope.in_order(stored, order)
        memory = tuple(dims[axis] for axis in order)
        return Stored(scope.step("resize", [stored.value], attributes, stored.value.type, memory), order)

    form = scope.form(0)
    if mode == "linear" and isinstance(form, Coded):
        # Of integers themselves fractions are cut off: numbers between two codes, not the nearest code.
        if form.type != "u8":
            raise Unsupported("a linear Resize of signed integers")
        plain = Grid(form.type, 1.0, 0)
        between = move(scope.floats(scope.dequantized(form, plain)))
        whole = scope.step("unary", [between.value], attributes_of("floor", {}), "f32", between.value.dims)
        return scope.quantized(Stored(whole, between.order), plain)
    return scope.same_grid(form, move)


def _window(scope: Scope) -> dict[str, Any]:
    node = scope.node
    kernel = attribute_ints(node, "kernel_shape") or []
    axes = len(kernel)
    if axes not in (1, 2) or len(scope.output_dims()) != axes + 2:
        raise Unsupported(f"a pool over {axes} spatial axes, not one or two")
    if attribute_string(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise Unsupported("padding that depends on the sizes of images")
    strides = attribute_ints(node, "strides") or [1] * axes
    pads = attribute_ints(node, "pads") or [0] * 2 * axes
    if axes == 1:
        kernel, strides, pads = [1, *kernel], [1, *strides], [0, pads[0], 0, pads[1]]
    return {
        "kernel": kernel,
        "strides": strides,
        "pads": pads,
        "ceil": attribute_int(node, "ceil_mode", 0),
    }
