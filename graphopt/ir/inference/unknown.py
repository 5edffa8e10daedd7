"""Rules of operators whose result is as large as values say that nobody knows before a run.

Where axes or sizes are computed, or elements are counted, a dimension gets a name of its own.
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_shape_inference import registry

from graphopt.ir.graphs import attribute_int, attribute_ints, attribute_string
from graphopt.ir.inference.context import Context, tensor_of

OPSET_OF_NO_PADDING_ALONE = 22
"""From here on a pool has no windows that start behind the end."""
QUANTIZED_LIKE = 7
"""Input of QLinearConv and QLinearMatMul that is the zero point of the output."""


def unknown(context: Context, value: ir.Value | None) -> bool:
    """Whether an operand is there whose elements are not known."""
    return value is not None and tensor_of(value) is None and context.get_symbolic_value(value) is None


def new_dims(context: Context, rank: int) -> ir.Shape:
    """A shape of that rank that says nothing more."""
    return ir.Shape([context.new_symbolic_dim() for _ in range(rank)])


def correct_reduction(context: Context, node: ir.Node) -> None:
    """Computed axes may be any, or none at all."""
    source, output = node.inputs[0], node.outputs[0]
    if len(node.inputs) < 2 or not unknown(context, node.inputs[1]):
        return
    rank = None if source is None or source.shape is None else len(source.shape)
    keeps = attribute_int(node, "keepdims", 1) == 1
    output.shape = new_dims(context, rank) if keeps and rank is not None else None


def correct_split(context: Context, node: ir.Node) -> None:
    """Computed sizes need not be equal."""
    if len(node.inputs) < 2 or not unknown(context, node.inputs[1]):
        return
    for output in node.outputs:
        if output.shape is not None:
            _set(output, attribute_int(node, "axis", 0), context.new_symbolic_dim())


def correct_window(context: Context, node: ir.Node) -> None:
    """A window wider than what it moves over may still count once, as division truncates or rounds down.

    onnxruntime does not round LpPool up, whatever its ceil_mode says, and takes "SAME" otherwise than the
    standard for a ConvTranspose. Before opset 22 the standard counts a last window that only covers padding.
    """
    shape = node.outputs[0].shape
    rounded_up = node.op_type == "LpPool" and attribute_int(node, "ceil_mode", 0) != 0
    padded = attribute_string(node, "auto_pad", "").startswith("SAME")
    odd = rounded_up or (node.op_type == "ConvTranspose" and padded) or _has_window_of_padding(context, node)
    if shape is None or not (odd or any(isinstance(dim, int) and dim < 1 for dim in shape.dims[2:])):
        return
    spatial = [
        context.new_symbolic_dim() if isinstance(dim, int) and (odd or dim < 1) else dim
        for dim in shape.dims[2:]
    ]
    for output in node.outputs:
        if output.shape is not None:
            output.shape = ir.Shape([*shape.dims[:2], *spatial])


def _has_window_of_padding(context: Context, node: ir.Node) -> bool:
    """Whether rounding up leaves room for a window that starts behind the end."""
    size = None if node.inputs[0] is None else node.inputs[0].shape
    if context.opset >= OPSET_OF_NO_PADDING_ALONE or attribute_int(node, "ceil_mode", 0) == 0 or size is None:
        return False
    kernel = attribute_ints(node, "kernel_shape") or []
    strides = attribute_ints(node, "strides") or [1] * len(kernel)
    dilations = attribute_ints(node, "dilations") or [1] * len(kernel)
    pads = attribute_ints(node, "pads") or [0] * (2 * len(kernel))
    for axis, (width, stride, dilation) in enumerate(zip(kernel, strides, dilations, strict=True)):
        length = size[2 + axis]
        if not isinstance(length, int):
            continue
        begin, end = pads[axis], pads[axis + len(kernel)]
        steps = -(-(length + begin + end - (width - 1) * dilation - 1) // stride)
        if steps * stride >= length + begin:
            return True
    return False


def infer_quantized(context: Context, node: ir.Node) -> bool:
    """A result is of the type of its zero point, which is not known inside of functions, nor behind them."""
    zero_point = node.inputs[QUANTIZED_LIKE] if len(node.inputs) > QUANTIZED_LIKE else None
    rule = registry.get("", node.op_type, version=context.opset)
    if zero_point is None or zero_point.dtype is not None or rule is None:
        return False
    output = node.outputs[0]
    declared, output.type = output.type, None
    rule(context, node)
    output.type = declared
    if node.op_type == "QLinearConv":
        correct_window(context, node)
    if declared is None:
        output.shape = None
    return True


def correct_compress(context: Context, node: ir.Node) -> None:
    """Along an axis of something of unknown rank the result is not a vector."""
    source = node.inputs[0]
    if "axis" in node.attributes and (source is None or source.shape is None):
        node.outputs[0].shape = None


def correct_non_zero(context: Context, node: ir.Node) -> None:
    """Of a scalar there is one row in onnxruntime and none in the standard."""
    source, output = node.inputs[0], node.outputs[0]
    if source is not None and source.shape is not None and len(source.shape) == 0:
        output.shape = new_dims(context, 2)


def correct_unique(context: Context, node: ir.Node) -> None:
    """Along an axis the rank stays, and only that dimension is not known."""
    source, axis = node.inputs[0], node.attributes.get("axis")
    if axis is None or source is None or ir.convenience.get_const_tensor(source) is not None:
        return
    output = node.outputs[0]
    count = context.new_symbolic_dim() if output.shape is None else output.shape[0]
    output.shape = source.shape
    if source.shape is not None:
        _set(output, axis.as_int(), count)


def _set(value: ir.Value, axis: int, dim: int | ir.SymbolicDim) -> None:
    assert value.shape is not None
    dims = list(value.shape.dims)
    dims[axis] = dim
    value.shape = ir.Shape(dims)
