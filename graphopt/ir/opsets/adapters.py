"""Where a newer version says the same in another way, or something else in the same way: one function a case.

An adapter takes a node from the definition before a step to the one at the step, on its draft, or says why
it cannot. Steps without an adapter are those that need none by their schemas, see `steps.difference`; the
changes of documentation up to opset 26 were read one by one for changes of meaning that schemas do not show.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir.ops import REDUCTIONS
from graphopt.ir.opsets.draft import CannotRaise, Draft

Adapter = Callable[[Draft], None]

FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


def axes_to_input(draft: Draft) -> None:
    """Reduce*, Squeeze: `axes`; an empty list means the same as none."""
    axes = draft.take("axes")
    if axes:
        draft.put(1, draft.ints(axes, "axes"))


def needed_axes_to_input(draft: Draft) -> None:
    """Unsqueeze 13: `axes`, if only an empty list."""
    draft.put(1, draft.ints(draft.take("axes"), "axes"))


def no_spatial(draft: Draft) -> None:
    """BatchNormalization 9: only the meaning of `spatial=1` is left."""
    if draft.take("spatial", 1) != 1:
        raise CannotRaise("spatial=0 has no counterpart")


def no_saved_statistics(draft: Draft) -> None:
    """BatchNormalization 14: more than one output meant training, which is another formula now."""
    if any(output.uses() or output.is_graph_output() for output in draft.node.outputs[1:]):
        raise CannotRaise("its outputs for training are in use")
    draft.outputs = 1


def bounds_to_inputs(draft: Draft) -> None:
    """Clip 11: `min` and `max`."""
    for index, name in ((1, "min"), (2, "max")):
        bound = draft.take(name)
        if bound is not None:
            draft.put(index, draft.constant(bound, draft.dtype(), name))


def dft_axis_to_input(draft: Draft) -> None:
    """DFT 20: `axis`, whose default changed."""
    draft.put(2, draft.constant(draft.take("axis", 1), ir.DataType.INT64, "axis"))


def no_mask(draft: Draft) -> None:
    """Dropout 10: the mask is of another type, and runtimes fill it differently."""
    if any(output.uses() or output.is_graph_output() for output in draft.node.outputs[1:]):
        raise CannotRaise("its mask is in use")
    draft.outputs = 1


def ratio_to_input(draft: Draft) -> None:
    """Dropout 12: `ratio`; without the new input `training_mode` it has no effect, as before."""
    no_mask(draft)
    ratio = draft.take("ratio")
    if ratio is not None:
        draft.put(1, draft.constant(ratio, ir.DataType.FLOAT, "ratio"))


def floats_only(draft: Draft) -> None:
    """Erf 13: integers are no longer taken."""
    if draft.dtype() not in FLOATS:
        raise CannotRaise(f"it takes no {draft.dtype().name} any more")


def renamed_modes(draft: Draft) -> None:
    """GridSample 20: modes have other names."""
    modes = {"bilinear": "linear", "bicubic": "cubic"}
    mode = draft.look("mode", "bilinear")
    draft.set("mode", modes.get(mode, mode))


def parameters_per_channel(draft: Draft) -> None:
    """GroupNormalization 21: scale and bias have an element for each channel, not each group."""
    data = draft.inputs[0]
    channels = None if data is None or data.shape is None or len(data.shape) < 2 else data.shape[1]
    groups = draft.look("num_groups")
    if not isinstance(channels, int) or not groups or channels % groups:
        raise CannotRaise("its number of channels is unknown")
    repeated = channels // groups
    if repeated == 1:
        return
    for index, name in ((1, "scale"), (2, "bias")):
        value = draft.inputs[index]
        elements = draft.elements(value)
        if elements is not None:
            draft.put(
                index,
                draft.constant(np.repeat(elements, repeated), ir.DataType.from_numpy(elements.dtype), name),
            )
            continue
        column = draft.emit("Unsqueeze", [value, draft.ints([1], "axes")])
        table = draft.emit("Expand", [column, draft.ints([groups, repeated], "shape")])
        draft.put(index, draft.emit("Reshape", [table, draft.ints([-1], "shape")]))


def flattened(draft: Draft) -> None:
    """Softmax, LogSoftmax, Hardmax 13: along one axis, no longer over all axes from `axis` on."""
    data = draft.inputs[0]
    axis = draft.take("axis", 1)
    dims = None if data is None or data.shape is None else data.shape.dims
    if axis == -1 or (dims is not None and axis % max(len(dims), 1) == len(dims) - 1):
        draft.set("axis", -1)
        return
    if dims is not None:
        start = axis % len(dims)
        larger = [index for index in range(start, len(dims)) if dims[index] != 1]
        if len(larger) <= 1:
            draft.set("axis", larger[0] if larger else start)
            return
    rows = draft.emit("Flatten", [data], axis=axis)
    result = draft.emit(draft.op_type, [rows], axis=-1)
    shape = draft.emit("Shape", [data])
    draft.op_type = "Reshape"
    draft.inputs = [result, shape]
    if draft.target >= 14:
        draft.set("allowzero", 1)


def pads_to_inputs(draft: Draft) -> None:
    """Pad 11: `pads` and `value`."""
    draft.put(1, draft.ints(draft.take("pads"), "pads"))
    value = draft.take("value", 0.0)
    if value != 0 and draft.look("mode", "constant") == "constant":
        draft.put(2, draft.constant(value, draft.dtype(), "value"))


def asymmetric(draft: Draft) -> None:
    """Resize 11: the coordinates of version 10 are one mode of many, and not the default."""
    scales = draft.inputs[1]
    draft.put(1, None if draft.target >= 13 else draft.constant(np.zeros(0), ir.DataType.FLOAT, "roi"))
    draft.put(2, scales)
    draft.set("coordinate_transformation_mode", "asymmetric")
    if draft.look("mode", "nearest") == "nearest" and "nearest_mode" not in draft.attributes:
        draft.set("nearest_mode", _nearest_mode(draft.elements(scales)))


def _nearest_mode(scales: np.ndarray[Any, Any] | None) -> str:
    """Version 10 rounds down where it enlarges, and onnxruntime up where it shrinks."""
    if scales is None:
        raise CannotRaise("its scales are not constant, so that its rounding is unknown")
    if bool(np.all(scales >= 1)):
        return "floor"
    if bool(np.all(scales <= 1)):
        return "ceil"
    raise CannotRaise("it enlarges some axes and shrinks others, and rounds differently for them")


def no_half_pixel_for_nn(draft: Draft) -> None:
    """Resize 13: one mode less."""
    if draft.look("coordinate_transformation_mode") == "tf_half_pixel_for_nn":
        raise CannotRaise("its mode tf_half_pixel_for_nn has no counterpart")


def unshifted(draft: Draft) -> None:
    """RoiAlign 16: pixels are shifted by a half unless told otherwise."""
    if "coordinate_transformation_mode" not in draft.attributes:
        draft.set("coordinate_transformation_mode", "output_half_pixel")


def no_batches(draft: Draft) -> None:
    """Scan 9: no axis for batches any more."""
    raise CannotRaise("the axis for batches that it had has no counterpart")


def no_wide_strides(draft: Draft) -> None:
    """AveragePool 19: onnxruntime's kernel for it pads no strides beyond the kernel by itself."""
    if not draft.look("auto_pad", "NOTSET").startswith("SAME"):
        return
    kernel = draft.look("kernel_shape")
    strides = draft.look("strides", [1] * len(kernel))
    if any(stride > size for stride, size in zip(strides, kernel, strict=True)):
        raise CannotRaise("onnxruntime does not run its automatic padding with strides beyond its kernel")


def renamed(op_type: str, draft: Draft) -> None:
    """Scatter 11: it goes by another name."""
    draft.op_type = op_type


def bounds_of_slice_to_inputs(draft: Draft) -> None:
    """Slice 10: `starts`, `ends` and `axes`."""
    for index, name in ((1, "starts"), (2, "ends"), (3, "axes")):
        elements = draft.take(name)
        if elements is not None:
            draft.put(index, draft.ints(elements, name))


def sizes_to_input(draft: Draft) -> None:
    """Split 13: `split`."""
    sizes = draft.take("split")
    if sizes:
        draft.put(1, draft.ints(sizes, "split"))


def counted(draft: Draft) -> None:
    """Split 18: equal parts are asked for by their number."""
    if draft.input(1) is None:
        draft.set("num_outputs", draft.outputs)


def k_to_input(draft: Draft) -> None:
    """TopK 10: `k`."""
    draft.put(1, draft.ints([draft.take("k")], "k"))


def scales_to_input(draft: Draft) -> None:
    """Upsample 9: `scales`."""
    draft.put(1, draft.constant(draft.take("scales"), ir.DataType.FLOAT, "scales"))


def resized(draft: Draft) -> None:
    """Upsample 10 is Resize; it only enlarges, which settles the rounding."""
    draft.op_type = "Resize"
    if draft.target > 10 and draft.look("mode", "nearest") == "nearest":
        draft.set("nearest_mode", "floor")


ADAPTERS: dict[tuple[str, int], Adapter] = {
    ("AveragePool", 19): no_wide_strides,
    ("BatchNormalization", 9): no_spatial,
    ("BatchNormalization", 14): no_saved_statistics,
    ("Clip", 11): bounds_to_inputs,
    ("DFT", 20): dft_axis_to_input,
    ("Dropout", 10): no_mask,
    ("Dropout", 12): ratio_to_input,
    ("Erf", 13): floats_only,
    ("GridSample", 20): renamed_modes,
    ("GroupNormalization", 21): parameters_per_channel,
    ("Hardmax", 13): flattened,
    ("LogSoftmax", 13): flattened,
    ("Pad", 11): pads_to_inputs,
    **{(name, 18): axes_to_input for name in REDUCTIONS if name != "ReduceSum"},
    ("ReduceSum", 13): axes_to_input,
    ("Resize", 11): asymmetric,
    ("Resize", 13): no_half_pixel_for_nn,
    ("RoiAlign", 16): unshifted,
    ("Scan", 9): no_batches,
    ("Scatter", 11): partial(renamed, "ScatterElements"),
    ("Slice", 10): bounds_of_slice_to_inputs,
    ("Softmax", 13): flattened,
    ("Split", 13): sizes_to_input,
    ("Split", 18): counted,
    ("Squeeze", 13): axes_to_input,
    ("TopK", 10): k_to_input,
    ("Unsqueeze", 13): needed_axes_to_input,
    ("Upsample", 9): scales_to_input,
    ("Upsample", 10): resized,
}
"""Operator and step -> adapter."""
