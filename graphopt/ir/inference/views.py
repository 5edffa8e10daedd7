"""Rules of the operators that lay a tensor out anew: Reshape, Expand, Slice and Squeeze.

An operand whose value is unknown, or an end that only looks far away, gives a dimension a name of its own.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
from onnx_shape_inference import SYM_DATA_KEY

from graphopt.ir.dims import Dim, MemoizedDim, same_dim
from graphopt.ir.graphs import attribute_ints, static_shape
from graphopt.ir.inference.broadcasting import broadcast
from graphopt.ir.inference.context import MAX_ELEMENTS, Context, tensor_of
from graphopt.ir.inference.elements import remember_filling
from graphopt.ir.inference.unknown import new_dims, unknown
from graphopt.ir.ops import FIRST_OPSET_COUNTING_BACK
from graphopt.ir.slices import slice_range

Elements = npt.NDArray[np.object_]

_PRODUCT = re.compile(r"\w+(\*\w+)*")
_INNERMOST = re.compile(r"\([^()]*\)")
WHOLE = 10**9
"""A Slice that ends here or later takes all: exporters write such ends, and no dimension is as long."""


def infer_reshape(context: Context, node: ir.Node) -> bool:
    """A target element of unknown value names no dimension: it may be 0 or -1."""
    data, target = node.inputs[0], node.inputs[1] if len(node.inputs) > 1 else None
    elements = None if target is None else context.get_symbolic_value(target)
    if elements is None or data is None:
        return False
    allow_zero = "allowzero" in node.attributes and node.attributes["allowzero"].as_int() != 0
    dims: list[Dim] = []
    for index, element in enumerate(elements):
        if element == 0 and not allow_zero:
            known = data.shape is not None and index < len(data.shape)
            dims.append(data.shape[index] if known else context.new_symbolic_dim())  # type: ignore[index]
        else:
            dims.append(element if context.is_length(element) else context.new_symbolic_dim())
    if elements.count(-1) == 1 and data.shape is not None:
        place = elements.index(-1)
        rest = _quotient(list(data.shape.dims), dims[:place] + dims[place + 1 :])
        if rest is not None and all(same_dim(e, -1) or context.is_length(e) for e in elements):
            dims[place] = rest
    context.set_shape_and_dtype(node.outputs[0], ir.Shape(dims), data.dtype)
    known_elements = context.get_symbolic_value(data)
    if known_elements is not None:
        context.set_symbolic_value(node.outputs[0], known_elements)
    return True


def _quotient(whole: list[Dim], parts: list[Dim]) -> Dim | None:
    """Product of `whole` over that of `parts` where it is plain to see, else None."""
    if any(not isinstance(dim, int) and dim.value is None for dim in (*whole, *parts)):
        return None
    above, named = _factors(whole)
    below, gone = _factors(parts)
    for name in gone:
        if name not in named:
            return None
        named.remove(name)
    if below == 0 or above % below:
        return None
    number = above // below
    if not named:
        return number
    known = {dim.value: dim for dim in whole if not isinstance(dim, int)}
    dims = [known.get(name) or MemoizedDim(name) for name in named]
    product: Dim = dims[0]
    for dim in dims[1:]:
        product = product * dim
    return product if number == 1 else product * number


def _factors(dims: list[Dim]) -> tuple[int, list[str]]:
    """The product of dimensions as a number and names, which merged ones such as 4*b*s are made of."""
    number = 1
    named: list[str] = []
    for dim in dims:
        if isinstance(dim, int):
            number *= dim
            continue
        text = dim.value or ""
        flat = _INNERMOST.sub(_masked, text)
        while flat != (flat := _INNERMOST.sub(_masked, flat)):
            pass
        cuts = [0, *(found.end() for found in re.finditer(r"\*", flat)), len(text) + 1]
        parts = [text[start : end - 1] for start, end in itertools.pairwise(cuts)]
        for factor in parts if _PRODUCT.fullmatch(flat) else [text]:
            if factor.isdecimal():
                number *= int(factor)
            else:
                named.append(factor)
    return number, named


def _masked(found: re.Match[str]) -> str:
    """As many characters of a name, for what stands in parentheses."""
    return "_" * len(found[0])


def correct_filling(context: Context, node: ir.Node) -> None:
    """The shape of a ConstantOfShape is what is known of its input's elements, at least their number."""
    target, output = node.inputs[0], node.outputs[0]
    elements = None if target is None else context.get_symbolic_value(target)
    if elements is None and target is not None and _known_length(target):
        elements = [-1] * math.prod(static_shape(target) or ())
    if elements is not None and output.shape is None:
        lengths = [each if context.is_length(each) else context.new_symbolic_dim() for each in elements]
        context.set_shape(output, ir.Shape(lengths))
    remember_filling(context, node)


def infer_expand(context: Context, node: ir.Node) -> bool:
    """Broadcasting with a shape; of an unknown shape at least the rank is known."""
    data, target = node.inputs
    if data is None or target is None:
        return False
    output = node.outputs[0]
    elements = context.get_symbolic_value(target)
    if data.shape is None or (elements is None and not _known_length(target)):
        context.set_shape_and_dtype(output, None, data.dtype)
        return True
    if elements is None:
        elements = [-1] * math.prod(static_shape(target) or ())
    wanted = [element if context.is_length(element) else context.new_symbolic_dim() for element in elements]
    context.set_shape_and_dtype(output, broadcast(context, [data.shape, ir.Shape(wanted)]), data.dtype)
    known = context.get_symbolic_value(data)
    shape = static_shape(output)
    if known is not None and shape is not None:
        repeats = math.prod(shape) if len(known) == 1 and math.prod(shape) <= MAX_ELEMENTS else 1
        context.set_symbolic_value(output, known * repeats)
    return True


def _known_length(vector: ir.Value) -> bool:
    return len(static_shape(vector) or ()) == 1


def infer_slice_by_attributes(context: Context, node: ir.Node) -> bool:
    """Slice before opset 10, whose bounds are attributes."""
    data = node.inputs[0]
    starts, ends = attribute_ints(node, "starts"), attribute_ints(node, "ends")
    if data is None or data.shape is None or starts is None or ends is None:
        return False
    axes = attribute_ints(node, "axes") or list(range(len(starts)))
    dims = list(data.shape.dims)
    for axis, start, end in zip(axes, starts, ends, strict=True):
        dim = dims[axis]
        if isinstance(dim, int) and end >= -dim:  # onnx.checker counts otherwise from before the first on
            dims[axis] = len(slice_range(start, end, 1, dim))
        elif isinstance(dim, int) or start != 0 or end < WHOLE:
            dims[axis] = context.new_symbolic_dim()
    context.set_shape_and_dtype(node.outputs[0], ir.Shape(dims), data.dtype)
    elements = context.get_symbolic_value(data)
    if elements is not None and len(dims) == len(starts) == 1:
        context.set_symbolic_value(node.outputs[0], elements[starts[0] : ends[0]])
    return True


def correct_slice(context: Context, node: ir.Node) -> None:
    """A named dimension is not as long as a Slice's end just because the end is a number."""
    data, output = node.inputs[0], node.outputs[0]
    if data is None or data.shape is None or output.shape is None or len(data.shape) != len(output.shape):
        return
    if any(unknown(context, value) for value in node.inputs[3:5]):
        output.shape = new_dims(context, len(data.shape))
        return
    in_full = _slices_from_the_start(node)
    bounds, sliced = _bounds(node, len(data.shape)), _sliced_axes(node, len(data.shape))
    dims: list[Dim] = []
    for axis, (old, new) in enumerate(zip(data.shape.dims, output.shape.dims, strict=True)):
        if isinstance(old, int) and axis in bounds:
            dims.append(len(slice_range(*bounds[axis], old)))
        elif isinstance(old, int) and isinstance(new, int) and axis in sliced:
            dims.append(context.new_symbolic_dim())  # a bound that has a name may be 0
        elif isinstance(old, int) or not isinstance(new, int) or new == 0:
            dims.append(new)
        else:
            dims.append(old if new >= WHOLE and in_full else context.new_symbolic_dim())
    if dims != list(output.shape.dims):
        output.shape = ir.Shape(dims)
    if bounds or len(data.shape) > 1:
        _remember_moved(context, node, functools.partial(_sliced, bounds))


def _sliced(bounds: dict[int, tuple[int, int, int]], array: Elements) -> Elements | None:
    for axis, bound in bounds.items():
        array = array.take(list(slice_range(*bound, array.shape[axis])), axis)
    return array if bounds else None


def remember_transposed(context: Context, node: ir.Node) -> None:
    """Elements of a Transpose."""
    perm = attribute_ints(node, "perm")
    _remember_moved(context, node, lambda array: array.transpose(perm or None))


def _remember_moved(context: Context, node: ir.Node, move: Callable[[Elements], Elements | None]) -> None:
    """Known elements of the first input, moved, are those of the output; none where it is not known how."""
    data, output = node.inputs[0], node.outputs[0]
    output.metadata_props.pop(SYM_DATA_KEY, None)
    shape = None if data is None else static_shape(data)
    elements = None if data is None else context.get_symbolic_value(data)
    if shape is None or elements is None or static_shape(output) is None:
        return
    array = np.empty(len(elements), object)
    array[:] = elements
    moved = move(array.reshape(shape))
    if moved is not None:
        context.set_symbolic_value(output, moved.reshape(-1).tolist())


def _bounds(node: ir.Node, rank: int) -> dict[int, tuple[int, int, int]]:
    """Start, end and step along each axis where all are constant."""
    starts, ends = _ints(node.inputs[1]), _ints(node.inputs[2])
    if starts is None or ends is None or len(starts) != len(ends):
        return {}
    given = [*node.inputs[3:], None, None]
    axes = range(len(starts)) if given[0] is None else _ints(given[0])
    steps = [1] * len(starts) if given[1] is None else _ints(given[1])
    if axes is None or steps is None or 0 in steps:
        return {}
    named = zip(axes, starts, ends, steps, strict=False)
    return {axis % rank: (start, end, step) for axis, start, end, step in named}


def _sliced_axes(node: ir.Node, rank: int) -> set[int]:
    given = node.inputs[3] if len(node.inputs) > 3 else None
    axes = _ints(given)
    if axes is None:
        (count,) = (node.inputs[1] and static_shape(node.inputs[1])) or (rank,)
        axes = list(range(count)) if given is None else list(range(rank))
    return {axis % rank for axis in axes}


def _ints(value: ir.Value | None) -> list[int] | None:
    """The elements of a constant of integers, also of one that is not yet part of the graph."""
    tensor = None if value is None else tensor_of(value)
    if tensor is None or len(tensor.shape) > 1 or not tensor.dtype.is_integer():
        return None
    return [int(element) for element in tensor.numpy().reshape(-1)]


def _slices_from_the_start(node: ir.Node) -> bool:
    """Whether a Slice takes every element up to its ends."""
    starts = attribute_ints(node, "starts")
    if starts is not None:
        return not any(starts)
    starts = _ints(node.inputs[1])
    steps = [1] if len(node.inputs) < 5 or node.inputs[4] is None else _ints(node.inputs[4])
    return starts is not None and steps is not None and not any(starts) and set(steps) <= {1}


def correct_unsqueeze(context: Context, node: ir.Node) -> None:
    """Before opset 11 the standard counts axes from the front alone.

    onnxruntime computes with axes counted from the end, yet like onnx.checker expects another shape: the
    right one would contradict them.
    """
    if context.opset < FIRST_OPSET_COUNTING_BACK and min(attribute_ints(node, "axes") or [0]) < 0:
        node.outputs[0].shape = None
        node.outputs[0].metadata_props.pop(SYM_DATA_KEY, None)


def correct_squeeze(context: Context, node: ir.Node) -> None:
    """Without known axes, each named dimension might be 1 and go; no axes are all axes to onnxruntime."""
    correct_unsqueeze(context, node)
    axes = node.inputs[1] if len(node.inputs) > 1 else None
    if attribute_ints(node, "axes") or _ints(axes):
        return
    shape = static_shape(node.inputs[0])
    if shape is None or (1 in shape and (axes is not None or "axes" in node.attributes)):
        node.outputs[0].shape = None


def correct_features(context: Context, node: ir.Node) -> None:
    """As many columns as there are indices, in the last dimension; a vector becomes a matrix of one row."""
    source, indices, output = node.inputs[0], node.inputs[1], node.outputs[0]
    output.shape = None
    if source is None or source.shape is None or indices is None or indices.shape is None:
        return
    count: Dim = 1
    for dim in indices.shape.dims:
        count = count * dim
    output.shape = ir.Shape([*(source.shape.dims[:-1] if len(source.shape) > 1 else [1]), count])
