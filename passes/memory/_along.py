"""How nodes compute a part of an output along an axis from parts of their inputs: a rule for each operator.

A part is computed by the same operator from the same elements as on the whole. An operator without a rule, or
an axis along which all depends on all, cannot be cut. Nothing is changed here.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable, Sequence

import onnx_ir as ir

from graphopt.cost.call import Call, Shape, UnknownShapeError
from graphopt.ir import (
    attribute_int,
    attribute_ints,
    attribute_string,
    constant,
    facts,
    ints,
    is_deterministic,
)
from graphopt.ir.ops import REDUCTIONS
from graphopt.passes.memory._reads import Reads, Slide, Spread, Stamp


class Fit(enum.Enum):
    """What of a node must be fitted to a part."""

    NOTHING = "nothing"
    PADS = "pads"
    """Attribute `pads` of a window: padding is left at the borders of the whole alone."""
    CROPS = "crops"
    """Attribute `pads` of a ConvTranspose: what it makes beyond the part is cut off."""
    PAD_INPUT = "pad input"
    """Input 1 of a Pad."""
    SHAPE = "shape"
    """Input 1 of a Reshape or Expand: the shape of the part."""
    SIZES = "sizes"
    """Input 3 of a Resize, if it is given."""
    GROUPS = "groups"
    """Attribute `group`: as many as the part has channels."""


@dataclasses.dataclass(frozen=True)
class Along:
    """How a node works along an axis of its output.

    Attributes:
        reads: For each input what a part reads of it; None where that is all of it, whatever the part.
        fit: What must be fitted.
        axis: Of the output.
    """

    reads: tuple[Reads | None, ...]
    fit: Fit
    axis: int


Found = tuple[Sequence[Reads | None], Fit] | Sequence[Reads | None] | None
Rule = Callable[[Call, int, int], Found]
"""(node with its shapes, axis of the output, opset) -> what it reads, and what must be fitted if anything."""


def along(call: Call, axis: int, opset: int) -> Along | None:
    """How a node works along an axis of its only output; None where it cannot be cut.

    Args:
        call: The node and its shapes.
        axis: Of the output, counted from 0.
        opset: Of the model.
    """
    node = call.node
    if node.domain or len([value for value in node.outputs if value.name]) != 1 or not node.outputs[0].name:
        return None
    rule = RULES.get(node.op_type) or (_pointwise if facts(node).elementwise else None)
    if rule is None:
        return None
    try:
        found = rule(call, axis, opset)
    except (IndexError, UnknownShapeError):
        return None
    if found is None:
        return None
    reads, fit = found if isinstance(found, tuple) and isinstance(found[1], Fit) else (found, Fit.NOTHING)
    padded = [*reads, *[None] * len(node.inputs)][: len(node.inputs)]
    if not any(padded) and fit is Fit.NOTHING:
        return None
    return Along(tuple(padded), fit, axis)


def _pointwise(call: Call, axis: int, opset: int) -> Found:
    return [_broadcast(call, index, axis) for index in range(len(call.inputs))]


def _broadcast(call: Call, index: int, axis: int) -> Slide | None:
    """What an input reads of that is broadcast to the output."""
    if not call.has(index):
        return None
    shape = call.shape(index)
    own = axis - len(call.out()) + len(shape)
    return Slide(own) if own >= 0 and shape[own] != 1 else None


def _expand(call: Call, axis: int, opset: int) -> Found:
    return [_broadcast(call, 0, axis)], Fit.SHAPE


def _linear(call: Call, axis: int, opset: int) -> Found:
    """QuantizeLinear, DequantizeLinear: scales are for all or one for each place of another axis."""
    if attribute_int(call.node, "block_size", 0):
        return None
    per_axis = any(call.has(index) and math.prod(call.shape(index)) != 1 for index in (1, 2))
    own = attribute_int(call.node, "axis", 1) % max(len(call.out()), 1)
    if not per_axis:
        return [Slide(axis)]
    return [Slide(axis), *(Slide(0) if axis == own else None for _ in call.inputs[1:])]


def _batch_norm(call: Call, axis: int, opset: int) -> Found:
    if attribute_int(call.node, "training_mode", 0):
        return None
    return [Slide(axis), *(Slide(0) if axis == 1 else None for _ in call.inputs[1:])]


def _instance_norm(call: Call, axis: int, opset: int) -> Found:
    return _batch_norm(call, axis, opset) if axis < 2 else None


def _softmax(call: Call, axis: int, opset: int) -> Found:
    rank = len(call.out())
    own = attribute_int(call.node, "axis", -1 if opset >= 13 else 1) % rank
    return [Slide(axis)] if axis < own or (opset >= 13 and axis != own) else None


def _layer_norm(call: Call, axis: int, opset: int) -> Found:
    own = attribute_int(call.node, "axis", -1) % len(call.out())
    return [Slide(axis)] if axis < own else None


def _reduction(call: Call, axis: int, opset: int) -> Found:
    rank = len(call.shape(0))
    reduced = attribute_ints(call.node, "axes")
    if reduced is None and call.has(1):
        reduced = ints(call.node.inputs[1])
    if not reduced:
        return None
    gone = {each % rank for each in reduced}
    if attribute_int(call.node, "keepdims", 1):
        return None if axis in gone else [Slide(axis)]
    return [Slide([each for each in range(rank) if each not in gone][axis])]


def _channel_norm(call: Call, axis: int, opset: int) -> Found:
    """LRN, whose window moves over channels."""
    return [Slide(axis)] if axis != 1 else None


def _dropout(call: Call, axis: int, opset: int) -> Found:
    return [Slide(axis)] if opset >= 7 and is_deterministic(call.node) else None


def _global_pool(call: Call, axis: int, opset: int) -> Found:
    return [Slide(axis)] if axis < 2 else None


def _transpose(call: Call, axis: int, opset: int) -> Found:
    order = attribute_ints(call.node, "perm") or list(reversed(range(len(call.out()))))
    return [Slide(order[axis])]


def _reshape(call: Call, axis: int, opset: int) -> Found:
    reads = _regrouped(call, axis)
    return None if reads is None else ([reads], Fit.SHAPE)


def _view(call: Call, axis: int, opset: int) -> Found:
    """Squeeze with its axes, Unsqueeze, Flatten: right for any part as they stand."""
    node = call.node
    if node.op_type == "Squeeze" and not call.has(1) and attribute_ints(node, "axes") is None:
        return None
    reads = _regrouped(call, axis)
    return None if reads is None else [reads]


def _regrouped(call: Call, axis: int) -> Slide | Spread | None:
    """The axis of the input that an axis of the output is, is several places of, or is places in."""
    shape, made = call.shape(0), call.out()
    before = math.prod(made[:axis])
    for own, size in enumerate(shape):
        if math.prod(shape[:own]) != before or size == 1:
            continue
        if size % made[axis] == 0:
            return Slide(own, size // made[axis], size // made[axis])
        if made[axis] % size == 0:
            return Spread(own, made[axis] // size)
    return None


def _concat(call: Call, axis: int, opset: int) -> Found:
    own = attribute_int(call.node, "axis", 0) % len(call.out())
    return None if axis == own else [Slide(axis) for _ in call.inputs]


def _slice(call: Call, axis: int, opset: int) -> Found:
    node, rank = call.node, len(call.out())
    if opset < 10:
        starts, axes = attribute_ints(node, "starts"), attribute_ints(node, "axes")
    else:
        starts, axes = ints(node.inputs[1]), ints(node.inputs[3]) if call.has(3) else None
    if axes is None:
        if starts is None:
            return None
        axes = list(range(len(starts)))
    return None if axis in {each % rank for each in axes} else [Slide(axis)]


def _pad(call: Call, axis: int, opset: int) -> Found:
    node, rank = call.node, len(call.out())
    pads = ints(node.inputs[1]) if opset >= 11 and call.has(1) and not call.has(3) else None
    if pads is None or len(pads) != 2 * rank:
        return None
    before, after = pads[axis], pads[rank + axis]
    if before == after == 0:
        return [Slide(axis)]
    if attribute_string(node, "mode", "constant") != "constant" or min(before, after) < 0:
        return None
    return [Slide(axis, pad=before)], Fit.PAD_INPUT


def _gather(call: Call, axis: int, opset: int) -> Found:
    data, indices = call.shape(0), len(call.shape(1))
    own = attribute_int(call.node, "axis", 0) % len(data)
    if axis < own:
        return [Slide(axis), None]
    if axis < own + indices:
        return [None, Slide(axis - own)]
    return [Slide(axis - indices + 1), None]


def _matmul(call: Call, axis: int, opset: int) -> Found:
    left, right, rank = call.shape(0), call.shape(1), len(call.out())
    if min(len(left), len(right)) < 2:
        return None
    if axis == rank - 2:
        return [Slide(len(left) - 2), None]
    if axis == rank - 1:
        return [None, Slide(len(right) - 1)]
    return [_broadcast(call, index, axis) for index in range(2)]


def _gemm(call: Call, axis: int, opset: int) -> Found:
    added = _broadcast(call, 2, axis) if call.has(2) else None
    if axis == 0:
        return [Slide(attribute_int(call.node, "transA", 0)), None, added]
    return [None, Slide(1 - attribute_int(call.node, "transB", 0)), added]


def _conv(call: Call, axis: int, opset: int) -> Found:
    """Images, output channels without groups, channels with a group each, rows and columns."""
    weights, groups = call.shape(1), attribute_int(call.node, "group", 1)
    if axis == 0:
        return [Slide(0)]
    if axis == 1:
        if call.node.op_type != "Conv" and call.has(3):
            return None  # a zero point for each of them, perhaps
        filters = [None, Slide(0), *([Slide(0)] if call.node.op_type == "Conv" else [])]
        if groups == 1:
            return filters
        if groups != weights[0]:
            return None
        return [Slide(1, weights[1], weights[1]), *filters[1:]], Fit.GROUPS
    return _window(call, axis, weights[2:])


def _quantized_conv(call: Call, axis: int, opset: int) -> Found:
    """QLinearConv; its output channels may have scales of their own."""
    if axis == 1:
        return None
    return [Slide(0)] if axis == 0 else _window(call, axis, call.shape(3)[2:])


def _pool(call: Call, axis: int, opset: int) -> Found:
    if axis < 2:
        return [Slide(axis)]
    node = call.node
    counts_padding = node.op_type == "AveragePool" and attribute_int(node, "count_include_pad", 0)
    if attribute_int(node, "ceil_mode", 0) and (counts_padding or node.op_type == "LpPool"):
        return None  # what lies behind the padding counts otherwise
    return _window(call, axis, attribute_ints(node, "kernel_shape") or ())


def _window(call: Call, axis: int, kernel: Sequence[int]) -> Found:
    node, place, count = call.node, axis - 2, len(call.out()) - 2
    if len(kernel) != count:
        return None
    stride = (attribute_ints(node, "strides") or [1] * count)[place]
    dilation = (attribute_ints(node, "dilations") or [1] * count)[place]
    extent = (kernel[place] - 1) * dilation + 1
    size, made = call.shape(0)[axis], call.out()[axis]
    before, after = padding(node, place, count, (made - 1) * stride + extent - size)
    if min(before, after) < 0 or max(before, after) >= extent:
        return None  # a window that covers padding alone
    return [Slide(axis, extent, stride, before)], Fit.PADS


def padding(node: ir.Node, place: int, count: int, missing: int) -> tuple[int, int]:
    """Padding before and behind an axis of a window.

    Args:
        node: It.
        place: Of the axis among those that the window moves along.
        count: Number of those.
        missing: Places that all windows together cover beyond the input.
    """
    kind = attribute_string(node, "auto_pad", "NOTSET")
    if kind in ("SAME_UPPER", "SAME_LOWER"):
        less, more = max(missing, 0) // 2, -(-max(missing, 0) // 2)
        return (less, more) if kind == "SAME_UPPER" else (more, less)
    pads = attribute_ints(node, "pads") if kind == "NOTSET" else None
    return (0, 0) if pads is None else (pads[place], pads[count + place])


def pads_follow_sizes(node: ir.Node) -> bool:
    """Whether the padding of a window follows from sizes, and not from `pads` alone."""
    kind = attribute_string(node, "auto_pad", "NOTSET")
    return kind.startswith("SAME") or attribute_int(node, "ceil_mode", 0) != 0


def _conv_transpose(call: Call, axis: int, opset: int) -> Found:
    node, weights = call.node, call.shape(1)
    groups, place, count = attribute_int(node, "group", 1), axis - 2, len(call.out()) - 2
    if axis == 0:
        return [Slide(0)]
    if axis == 1:
        return [None, Slide(1), Slide(0)] if groups == 1 else None
    if attribute_string(node, "auto_pad", "NOTSET") != "NOTSET" or "output_shape" in node.attributes:
        return None
    stride = (attribute_ints(node, "strides") or [1] * count)[place]
    dilation = (attribute_ints(node, "dilations") or [1] * count)[place]
    pads = attribute_ints(node, "pads") or [0] * 2 * count
    extent = (weights[2 + place] - 1) * dilation + 1
    if extent < stride or min(pads) < 0:
        return None  # some outputs have no input
    return [Stamp(axis, extent, stride, pads[place])], Fit.CROPS


def _resize(call: Call, axis: int, opset: int) -> Found:
    """Axes that stay as they are, and whole factors."""
    node = call.node
    if opset < 11 or attribute_int(node, "antialias", 0):
        return None
    if not {"axes", "keep_aspect_ratio_policy"}.isdisjoint(node.attributes):
        return None
    if call.has(1) and call.size(1):
        return None  # a region of interest
    size, made = call.shape(0)[axis], call.out()[axis]
    if made % size or not _scales_exactly(node, axis, made // size):
        return None
    if made == size:
        return [Slide(axis)], Fit.SIZES
    mode, place = attribute_string(node, "mode", "nearest"), _coordinates(node)
    factor = made // size
    if mode == "nearest" and _is_nearest_below(node, place):
        return [Spread(axis, factor)], Fit.SIZES
    is_exact = factor & (factor - 1) == 0  # of the places in binary
    if mode == "linear" and is_exact and place in ("half_pixel", "pytorch_half_pixel", "asymmetric"):
        return [Spread(axis, factor, halo=1)], Fit.SIZES
    return None


def _coordinates(node: ir.Node) -> str:
    return attribute_string(node, "coordinate_transformation_mode", "half_pixel")


def _is_nearest_below(node: ir.Node, place: str) -> bool:
    """Whether output i of a whole factor f is input i // f."""
    rounding = attribute_string(node, "nearest_mode", "round_prefer_floor")
    if place == "asymmetric":
        return rounding == "floor"
    return place in ("half_pixel", "pytorch_half_pixel") and rounding.startswith("round")


def _scales_exactly(node: ir.Node, axis: int, factor: int) -> bool:
    """Whether the scales that a Resize is given, if any, are the factor of the sizes."""
    scales = constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else None
    if scales is None or not scales.size:
        return len(node.inputs) > 3
    return bool(scales[axis] == factor)


def _depth_to_space(call: Call, axis: int, opset: int) -> Found:
    factor = attribute_int(call.node, "blocksize", 1)
    if axis == 0:
        return [Slide(0)]
    return [Spread(axis, factor)] if axis > 1 else None


def _space_to_depth(call: Call, axis: int, opset: int) -> Found:
    factor = attribute_int(call.node, "blocksize", 1)
    if axis == 0:
        return [Slide(0)]
    return [Slide(axis, factor, factor)] if axis > 1 else None


RULES: dict[str, Rule] = {
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Concat": _concat,
    "Conv": _conv,
    "ConvInteger": _conv,
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _depth_to_space,
    "DequantizeLinear": _linear,
    "Dropout": _dropout,
    "Expand": _expand,
    "Flatten": _view,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "InstanceNormalization": _instance_norm,
    "LRN": _channel_norm,
    "LayerNormalization": _layer_norm,
    "LogSoftmax": _softmax,
    "LpPool": _pool,
    "MatMul": _matmul,
    "MaxPool": _pool,
    "Pad": _pad,
    "QLinearConv": _quantized_conv,
    "QuantizeLinear": _linear,
    "RMSNormalization": _layer_norm,
    **dict.fromkeys(REDUCTIONS, _reduction),
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "Softmax": _softmax,
    "SpaceToDepth": _space_to_depth,
    "Squeeze": _view,
    "Transpose": _transpose,
    "Unsqueeze": _view,
}
"""Rules of operators that are not elementwise."""


def shapes_of(node: ir.Node, shape: Callable[[ir.Value], Shape | None]) -> Call:
    """A node with the shapes of its inputs and outputs."""
    return Call(
        node,
        [None if value is None else shape(value) for value in node.inputs],
        [shape(value) for value in node.outputs],
    )
