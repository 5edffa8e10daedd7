"""How each operator goes on where its data is kept with its axes in another order.

One function an operator, or a kind of them; an operator without one has a fixed order. Changes nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from graphopt.ir import (
    Reject,
    attribute_int,
    attribute_ints,
    attribute_string,
    constant,
    constant_tensor,
    facts,
    rank,
    static_shape,
)
from graphopt.ir.ops import REDUCTIONS, allows_type
from graphopt.passes.fusion._linear import refuse_big_copy
from graphopt.passes.layout._carry_views import flatten, gather, reshape, squeeze, unsqueeze
from graphopt.passes.layout._layout import OUTPUT, Ask, Draft, Edit, Layout, same_for_all, set_axis
from graphopt.passes.layout._perms import Perm, Segment, identity, is_identity, swaps_last_two
from graphopt.passes.operands import an, node_ints, normalized_axes, reduced_axes

Array = np.ndarray[Any, Any]
_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16})
GEMM_WITHOUT_BIAS_OPSET = 11


def carry(node: ir.Node, port: int, perm: Perm, opset: int, current: Layout | None = None) -> Layout:
    """The layout of a node one of whose values is kept in the order `perm`.

    Args:
        node: Any node.
        port: Number of the input, or OUTPUT.
        perm: Order of its axes.
        opset: Version of the standard operator set.
        current: The layout that the node has now; None for that in which it stands.

    Raises:
        Reject: The node cannot work so.
    """
    if node.domain or any(attribute.is_ref() for attribute in node.attributes.values()):
        raise Reject(f"{an(node.op_type)} has a fixed order of axes")
    for value in (*node.inputs, *node.outputs):
        if value is not None and value.dtype is not None and not allows_type("Transpose", opset, value.dtype):
            raise Reject(f"opset {opset} has no Transpose of {value.dtype}")
    rule = _RULES.get(node.op_type)
    if rule is None:
        if not facts(node).elementwise:
            raise Reject(f"{an(node.op_type)} has a fixed order of axes")
        rule = _elementwise
    return rule(Ask(node, port, perm, opset, current))


def works_along(node: ir.Node, layout: Layout | None) -> int | None:
    """How far from the last axis a node stands that is slower along any other; None for other nodes."""
    if node.op_type not in _SLOW_UNLESS_LAST:
        return None
    axes = rank(node.outputs[0])
    if axes is None:
        return None
    axis = attribute_int(node, "axis", -1) % axes
    return axes - 1 - (axis if layout is None else layout.outputs.index(axis))


def _elementwise(ask: Ask) -> Layout:
    """All operands in one order; constants and operands of fewer dimensions are fitted to it."""
    node = ask.node
    axes = rank(node.outputs[0])
    if axes is None or len(node.outputs) != 1:
        raise Reject("the rank is not known")
    if "axis" in node.attributes or "broadcast" in node.attributes:
        raise Reject(f"{an(node.op_type)} that names an axis")
    perm = same_for_all(ask, axes)
    inputs: dict[int, Perm] = {}
    edits: list[Edit] = []
    adds_node = False
    last = 1 if node.op_type == "CastLike" else len(node.inputs)
    for index, value in enumerate(node.inputs[:last]):
        if value is None:
            continue
        if constant_tensor(value) is not None:
            edits += _constant_operand(index, value, perm, inputs)
        elif rank(value) == axes:
            inputs[index] = perm
        else:
            widened = _narrow_operand(ask, index, value, perm)
            edits += widened
            adds_node |= bool(widened)
    return Layout(inputs, perm, edits, adds_node=adds_node)


def _constant_operand(index: int, value: ir.Value, perm: Perm, full: Mapping[int, Perm]) -> list[Edit]:
    """A constant, permuted; where others (`full`) have all axes it goes without axes of size 1 in front."""
    tensor = constant_tensor(value)
    assert tensor is not None
    if tensor.size == 1:
        return []
    refuse_big_copy(value)

    def permute(draft: Draft) -> None:
        array = constant(draft.inputs[index])
        assert array is not None
        wide = array.reshape((1,) * (len(perm) - array.ndim) + array.shape).transpose(perm)
        while full and wide.ndim and wide.shape[0] == 1:
            wide = wide[0]
        draft.set_const(index, wide, ("operand", perm))

    return [permute]


def _narrow_operand(ask: Ask, index: int, value: ir.Value, perm: Perm) -> list[Edit]:
    """An operand that broadcasts its missing front axes gets axes of size 1 where others come between."""
    axes = rank(value)
    if axes is None:
        raise Reject("the rank of an operand is not known")
    own = [axis for axis in perm if axis >= len(perm) - axes]
    if own != sorted(own):
        raise Reject(f"an operand of {an(ask.node.op_type)} of fewer dimensions")
    places = [perm.index(axis) for axis in own]
    if not places or places == list(range(len(perm) - axes, len(perm))):
        return []
    front = places[0]
    added = [place - front for place in range(front, len(perm)) if place not in places]
    old = ask.opset < 13

    def widen(draft: Draft) -> None:
        inputs = [draft.inputs[index]]
        if not old:
            inputs.append(draft.builder.const(np.array(added, dtype=np.int64), None, tuple(added)))
        attributes = {"axes": added} if old else {}
        draft.inputs[index] = draft.builder.node("Unsqueeze", inputs, attributes, draft.node)

    return [widen]


def _quantize(ask: Ask) -> Layout:
    """QuantizeLinear and DequantizeLinear of one scale, or of one for each index of an axis."""
    before, after = ask.primary()
    if attribute_int(ask.node, "block_size", 0):
        raise Reject("blocks of a quantized tensor")
    scales = rank(ask.node.inputs[1])
    if scales is None or scales > 1:
        raise Reject("the scale is no vector")
    axis = attribute_int(ask.node, "axis", 1) % len(before) if scales else 0
    return Layout({0: before}, after, [set_axis(axis, before)] if scales else [])


def _along_axis(default: int) -> Callable[[Ask], Layout]:
    """Nodes of one operand that work along one axis and keep the shape."""

    def rule(ask: Ask) -> Layout:
        before, after = ask.primary()
        axis = attribute_int(ask.node, "axis", default) % len(before)
        if ask.opset < 13 and ask.node.op_type in _SLOW_UNLESS_LAST:
            if attribute_int(ask.node, "axis", 1) % len(before) != len(before) - 1:
                raise Reject(f"{an(ask.node.op_type)} over several axes")
            ask.fixed([len(before) - 1], before)
            return Layout({0: before}, after)
        return Layout({0: before}, after, [set_axis(axis, before)])

    return rule


def _concat(ask: Ask) -> Layout:
    axes = rank(ask.node.outputs[0])
    if axes is None:
        raise Reject("the rank is not known")
    perm = same_for_all(ask, axes)
    edits = [set_axis(attribute_int(ask.node, "axis", 0) % axes, perm)]
    inputs = {}
    for index, value in enumerate(ask.node.inputs):
        if value is not None and constant_tensor(value) is not None:
            refuse_big_copy(value)
            edits.append(_transposed_constant(index, perm))
        else:
            inputs[index] = perm
    return Layout(inputs, perm, edits)


def _transposed_constant(index: int, perm: Perm) -> Edit:
    def permute(draft: Draft) -> None:
        array = constant(draft.inputs[index])
        assert array is not None
        draft.set_const(index, array.transpose(perm), ("transpose", perm))

    return permute


def _split(ask: Ask) -> Layout:
    before, after = ask.primary()
    axis = attribute_int(ask.node, "axis", 0) % len(before)
    return Layout({0: before}, after, [set_axis(axis, before)])


def _pair_along_axis(ask: Ask) -> Layout:
    """GatherElements: data and indices in one order."""
    perm = same_for_all(ask, ask.rank())
    inputs, edits = {}, [set_axis(attribute_int(ask.node, "axis", 0) % len(perm), perm)]
    for index in (0, 1):
        if constant_tensor(ask.data(index)) is not None:
            refuse_big_copy(ask.data(index))
            edits.append(_transposed_constant(index, perm))
        else:
            inputs[index] = perm
    return Layout(inputs, perm, edits)


def _cumsum(ask: Ask) -> Layout:
    before, after = ask.primary()
    axis = constant(ask.data(1))
    if axis is None:
        raise Reject("the axis is not constant")
    place = before.index(int(axis.reshape(-1)[0]) % len(before))
    new = np.full(axis.shape, place, dtype=axis.dtype)
    return Layout({0: before}, after, [lambda draft: draft.set_const(1, new, ("axis", place))])


def _top_k(ask: Ask) -> Layout:
    before, after = ask.primary()
    axis = attribute_int(ask.node, "axis", -1) % len(before)
    return Layout({0: before}, after, [set_axis(axis, before)])


def _arg_max(ask: Ask) -> Layout:
    axes = ask.rank()
    axis = attribute_int(ask.node, "axis", 0) % axes
    kept = attribute_int(ask.node, "keepdims", 1)
    before, after = ask.primary(_without(axes, [] if kept else [axis]))
    return Layout({0: before}, after, [set_axis(axis, before)])


def _reduce(ask: Ask) -> Layout:
    axes = ask.rank()
    reduced = reduced_axes(ask.node, axes)
    kept = attribute_int(ask.node, "keepdims", 1)
    before, after = ask.primary(_without(axes, [] if kept else reduced))
    return Layout({0: before}, after, _axes_edit(ask.node, sorted(before.index(axis) for axis in reduced)))


def _without(axes: int, dropped: Sequence[int]) -> list[Segment]:
    """From axes to those that are left."""
    left = iter(range(axes))
    return [((axis,), () if axis in dropped else (next(left),)) for axis in range(axes)]


def _axes_edit(node: ir.Node, axes: list[int], index: int = 1) -> list[Edit]:
    """Name other axes in the attribute or input that names them; nothing where none does."""
    if "axes" in node.attributes:
        return [lambda draft: draft.set("axes", axes)]
    if index < len(node.inputs) and node.inputs[index] is not None:
        return [lambda draft: draft.set_const(index, _like(draft.inputs[index], axes), ("axes", tuple(axes)))]
    return []


def _like(value: ir.Value | None, elements: Sequence[int]) -> Array:
    """A vector of the integer type of a value."""
    dtype = np.int64 if value is None or value.dtype is None else value.dtype.numpy()
    return np.array(elements, dtype=dtype)


def _slice(ask: Ask) -> Layout:
    before, after = ask.primary()
    node = ask.node
    axes = node_ints(node, "axes", 3)
    if axes is not None:
        places = [before.index(axis) for axis in normalized_axes(axes, len(before))]
        return Layout({0: before}, after, _axes_edit(node, places, 3))
    if "starts" in node.attributes:
        places = [before.index(axis) for axis in range(len(attribute_ints(node, "starts") or []))]
        return Layout({0: before}, after, [lambda draft: draft.set("axes", places)])
    starts = static_shape(ask.data(1))
    if starts is None:
        raise Reject("the number of starts of a Slice is not known")
    places = [before.index(axis) for axis in range(starts[0])]

    def name_axes(draft: Draft) -> None:
        value = draft.builder.const(np.array(places, dtype=np.int64), None, tuple(places))
        like = draft.inputs[1]
        if like is not None and like.dtype == ir.DataType.INT32:
            value = draft.builder.const(np.array(places, dtype=np.int32), None, ("int32", *places))
        draft.inputs[3:4] = [value]

    return Layout({0: before}, after, [name_axes])


def _pad(ask: Ask) -> Layout:
    before, after = ask.primary()
    node, axes = ask.node, len(before)
    named = node_ints(node, "axes", 3) if ask.opset >= 18 else None
    if named is not None:
        places = [before.index(axis) for axis in normalized_axes(named, axes)]
        return Layout({0: before}, after, _axes_edit(node, places, 3))
    order = [*before, *(axis + axes for axis in before)]
    for name in ("pads", "paddings"):
        pads = attribute_ints(node, name)
        if pads is not None:
            return Layout({0: before}, after, [_set_edit(name, [pads[index] for index in order])])
    return _picked(ask, 1, order, before, after)


def _picked(ask: Ask, index: int, order: Sequence[int], before: Perm, after: Perm) -> Layout:
    """A vector input of one element (or two) for each axis comes in another order."""
    computed = constant_tensor(ask.data(index)) is None
    return Layout({0: before}, after, [lambda draft: draft.pick(index, order)], adds_node=computed)


def _per_axis(ask: Ask) -> Layout:
    """Expand and Tile, which name a size or count for each axis."""
    before, after = ask.primary()
    shape = static_shape(ask.data(1))
    if rank(ask.node.outputs[0]) != len(before) or shape is None or shape[0] > len(before):
        raise Reject(f"{an(ask.node.op_type)} that adds axes")
    missing = len(before) - shape[0]
    if not missing:
        return _picked(ask, 1, before, before, after)
    known = constant(ask.data(1))
    if known is None:
        raise Reject(f"the shape of an {ask.node.op_type} is not constant")
    wide = np.concatenate([np.ones(missing, known.dtype), known])[list(before)]
    return Layout({0: before}, after, [lambda draft: draft.set_const(1, wide, ("axes", before))])


def _resize(ask: Ask) -> Layout:
    before, after = ask.primary()
    node, axes = ask.node, len(before)
    if len(node.inputs) < 3:
        raise Reject("a Resize of opset 10")
    if attribute_string(node, "mode", "nearest") != "nearest":
        _require_trailing_resize(node, before)
    if len(node.inputs) > 1 and node.inputs[1] is not None and constant_tensor(node.inputs[1]) is None:
        raise Reject("the region of a Resize is not constant")
    named = attribute_ints(node, "axes")
    if named is not None:
        places = [before.index(axis) for axis in normalized_axes(named, axes)]
        return Layout({0: before}, after, [lambda draft: draft.set("axes", places)])
    edits: list[Edit] = []
    computed = False
    for index, value in enumerate(node.inputs[1:], start=1):
        tensor = constant_tensor(value)
        if value is None or (tensor is not None and tensor.size == 0):
            continue
        order = [*before, *(axis + axes for axis in before)] if index == 1 else list(before)
        edits.append(_pick_edit(index, order))
        computed |= tensor is None
    return Layout({0: before}, after, edits, adds_node=computed)


def _pick_edit(index: int, order: Sequence[int]) -> Edit:
    return lambda draft: draft.pick(index, order)


def _require_trailing_resize(node: ir.Node, perm: Perm) -> None:
    """Runtimes interpolate along the last axes; those in front must certainly keep their sizes."""
    given, made = node.inputs[0], node.outputs[0]
    assert given is not None
    if given.shape is None or made.shape is None:
        raise Reject("the shape of a Resize is not known")
    kept = [old == new for old, new in zip(given.shape.dims, made.shape.dims, strict=True)]
    if not all(kept[axis] for axis in perm[:-2]):
        raise Reject("runtimes interpolate along the last two axes")


def _first_two_stay(ask: Ask) -> Layout:
    """Nodes that know batch and channels, and treat all other axes alike."""
    before, after = ask.primary()
    ask.fixed([0, 1], before)
    if any(output.uses() or output.is_graph_output() for output in ask.node.outputs[1:]):
        raise Reject(f"{an(ask.node.op_type)} with further outputs")
    return Layout({0: before}, after)


def _last_stay(ask: Ask) -> Layout:
    """Normalizations over the last axes."""
    before, after = ask.primary()
    axis = attribute_int(ask.node, "axis", -1) % len(before)
    ask.fixed(range(axis, len(before)), before)
    if any(output.uses() or output.is_graph_output() for output in ask.node.outputs[1:]):
        raise Reject(f"{an(ask.node.op_type)} with further outputs")
    return Layout({0: before}, after)


def _trilu(ask: Ask) -> Layout:
    before, after = ask.primary()
    ask.fixed([len(before) - 2, len(before) - 1], before)
    return Layout({0: before}, after)


def _spatial(ask: Ask) -> Layout:
    """Convolution and pooling with spatial axes in another order."""
    before, after = ask.primary()
    ask.fixed([0, 1], before)
    node, space = ask.node, [axis - 2 for axis in before[2:]]
    if attribute_string(node, "auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise Reject(f"{an(node.op_type)} that pads by itself")
    if len(node.outputs) > 1:
        raise Reject(f"{an(node.op_type)} with further outputs")
    edits: list[Edit] = []
    for name in ("kernel_shape", "strides", "dilations", "pads", "output_padding", "output_shape"):
        old = attribute_ints(node, name)
        if old is not None:
            order = [*space, *(axis + len(space) for axis in space)] if name == "pads" else space
            edits.append(_set_edit(name, [old[axis] for axis in order]))
    if len(node.inputs) > 1:
        if constant_tensor(ask.data(1)) is None:
            raise Reject("the weight is not constant")
        refuse_big_copy(ask.data(1))
        edits.append(_transposed_constant(1, before))
    return Layout({0: before}, after, edits)


def _set_edit(name: str, value: int | list[int]) -> Edit:
    return lambda draft: draft.set(name, value)


def _mat_mul(ask: Ask) -> Layout:
    """Batch axes go along; both operands may change places, each with its last two axes exchanged."""
    node = ask.node
    left, right = ask.rank(0), ask.rank(1)
    if min(left, right) < 2:
        raise Reject("a MatMul by a vector")
    perm, axes = ask.perm, max(left, right)
    if left == right == 2:
        return _matrix_product(ask)
    if right == 2 and left > 2:
        if ask.port == 1:
            raise Reject("a matrix that is transposed for a MatMul")
        ask.fixed([axes - 1], perm)
        return Layout({0: perm}, perm)
    if len(perm) != axes:
        raise Reject("an operand of a MatMul of fewer dimensions")
    fixed = perm[-2:] == (axes - 2, axes - 1)
    if not fixed and perm[-2:] != (axes - 1, axes - 2):
        raise Reject("a MatMul has a fixed order of its last two axes")
    inputs, edits = {}, []
    for index, value in enumerate(node.inputs):
        narrow = rank(value) != axes
        if constant_tensor(value) is None and not narrow:
            inputs[index] = perm
        elif not fixed:
            raise Reject("a MatMul by a constant has a fixed order of its last two axes")
        elif not narrow:
            assert value is not None
            refuse_big_copy(value)
            edits.append(_transposed_constant(index, perm))
        elif rank(value) != 2:
            raise Reject("an operand of a MatMul of fewer dimensions")
    if not fixed:
        edits.append(lambda draft: draft.inputs.reverse())
    return Layout(inputs, perm, edits)


def _matrix_product(ask: Ask) -> Layout:
    """A transposed operand of a product of two matrices: the node becomes a Gemm that transposes it."""
    if ask.opset < GEMM_WITHOUT_BIAS_OPSET:
        raise Reject("a Gemm without bias needs opset 11")
    if ask.data().dtype not in _FLOATS:
        raise Reject(f"there is no Gemm of {ask.data().dtype}")
    layout = _gemm(ask)

    def become_gemm(draft: Draft) -> None:
        draft.op_type = "Gemm"

    return dataclasses.replace(layout, edits=[become_gemm, *layout.edits])


def _gemm(ask: Ask) -> Layout:
    """A transposed operand is transposed by the Gemm itself."""
    if ask.port not in (0, 1) or not (swaps_last_two(ask.perm) or is_identity(ask.perm)):
        raise Reject(f"{an(ask.node.op_type)} has a fixed order of axes")
    others = {} if ask.current is None else ask.current.inputs
    inputs = {**others, ask.port: ask.perm}
    edits = [
        _set_edit(name, 1 - attribute_int(ask.node, name, 0))
        for index, name in enumerate(("transA", "transB"))
        if index in inputs and not is_identity(inputs[index])
    ]
    return Layout(inputs, identity(2), edits)


def _shape(ask: Ask) -> Layout:
    """The sizes are picked from those of the value in its other order."""
    axes = ask.rank()
    if ask.port == OUTPUT:
        raise Reject("the sizes of a Shape have a fixed order")
    ends = [
        min(max(end + axes if end < 0 else end, 0), axes)
        for end in (attribute_int(ask.node, "start", 0), attribute_int(ask.node, "end", axes))
    ]
    order = [ask.perm.index(axis) for axis in range(*ends)]
    if ask.opset >= 15 and order and order == list(range(order[0], order[0] + len(order))):
        named = [_set_edit("start", order[0]), _set_edit("end", order[-1] + 1)]
        return Layout({0: ask.perm}, (0,), named)

    def pick(draft: Draft) -> None:
        value = draft.inputs[0]
        sizes = draft.builder.node("Shape", [value], {}, draft.node)
        draft.op_type = "Gather"
        draft.attributes.clear()
        indices = draft.builder.const(np.array(order, dtype=np.int64), None, tuple(order))
        draft.inputs[:] = [sizes, indices]

    return Layout({0: ask.perm}, (0,), [pick], adds_node=True)


def _size(ask: Ask) -> Layout:
    if ask.port == OUTPUT:
        raise Reject("the result of a Size has no axes")
    return Layout({0: ask.perm}, ())


_SLOW_UNLESS_LAST = frozenset({"Softmax", "LogSoftmax", "Hardmax"})

_RULES: dict[str, Callable[[Ask], Layout]] = {
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), _quantize),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax", "LpNormalization"), _along_axis(-1)),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg_max),
    **dict.fromkeys(REDUCTIONS, _reduce),
    **dict.fromkeys(("Expand", "Tile"), _per_axis),
    **dict.fromkeys(
        ("BatchNormalization", "InstanceNormalization", "GlobalAveragePool", "GlobalMaxPool"), _first_two_stay
    ),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), _last_stay),
    **dict.fromkeys(("Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"), _spatial),
    "Concat": _concat,
    "CumSum": _cumsum,
    "Flatten": flatten,
    "Gather": gather,
    "GatherElements": _pair_along_axis,
    "Gemm": _gemm,
    "MatMul": _mat_mul,
    "Pad": _pad,
    "Reshape": reshape,
    "Resize": _resize,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": squeeze,
    "TopK": _top_k,
    "Trilu": _trilu,
    "Unsqueeze": unsqueeze,
}
