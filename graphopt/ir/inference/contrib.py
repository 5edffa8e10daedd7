"""Types of results of onnxruntime's own operators that onnx-shape-inference gets wrong.

Each follows from the operator's schema and from what onnxruntime itself infers. Nothing here knows shapes,
but where those that were inferred are false too.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from graphopt.ir.graphs import attribute_int, attribute_ints, attribute_string

CONTRIB = "com.microsoft"
"""Domain of onnxruntime's own operators."""
_EMBEDDING_SCALE = 8
"""Input of QEmbedLayerNormalization, of the type of its result: the scale of the word embedding."""
_CONCAT_LIKE = 1
"""Input of QLinearConcat that is the zero point of the output."""
_GEMM_LIKE = 8
"""Input of QGemm that is the zero point of the output."""
_ATTENDED_LIKE = (5, 6, 11, 12, 14, 15, 16)
"""Inputs of DynamicSparseAttention, all optional, that are of the type of its result."""
_CACHED_LIKE = (3, 4)
"""Those that are of the type of the keys and values that it hands on."""


def correct_contrib(node: ir.Node) -> None:
    """Correct the types, and false shapes, of a node of onnxruntime's own."""
    correction = _CORRECTIONS.get(node.op_type)
    if correction is not None and node.outputs:
        correction(node)


def _correct_quantized_gemm(node: ir.Node) -> None:
    """Codes of the type of the output's zero point; without one the numbers themselves."""
    zero_point = _input(node, _GEMM_LIKE)
    _retype(node.outputs[0], ir.DataType.FLOAT if zero_point is None else zero_point.dtype)


def _correct_quantized_concat(node: ir.Node) -> None:
    """Parts may be codes of another type than the whole."""
    zero_point = _input(node, _CONCAT_LIKE)
    _retype(node.outputs[0], None if zero_point is None else zero_point.dtype)


def _correct_quantized_global_pool(node: ir.Node) -> None:
    """All that is left of each image is its channels."""
    axes = _image_axes(node)
    if axes is None:
        node.outputs[0].shape = None
        return
    shape, spatial = axes
    node.outputs[0].shape = ir.Shape([1 if axis in spatial else dim for axis, dim in enumerate(shape)])


def _correct_quantized_pool(node: ir.Node) -> None:
    """Windows are fewer than pixels; how many is said where nothing is left to rounding."""
    axes = _image_axes(node)
    if axes is None:
        node.outputs[0].shape = None
        return
    dims: list[int | ir.SymbolicDim | None] = list(axes[0])
    spatial = len(axes[1])
    kernel = attribute_ints(node, "kernel_shape") or [1] * spatial
    strides = attribute_ints(node, "strides") or [1] * spatial
    pads = attribute_ints(node, "pads") or [0] * 2 * spatial
    is_plain = attribute_string(node, "auto_pad", "NOTSET") in ("NOTSET", "VALID")
    for place, axis in enumerate(axes[1]):
        size = dims[axis]
        dims[axis] = None
        if isinstance(size, int) and is_plain:
            rest = size + pads[place] + pads[place + spatial] - kernel[place]
            if not attribute_int(node, "ceil_mode", 0) or rest % strides[place] == 0:
                dims[axis] = rest // strides[place] + 1
    node.outputs[0].shape = ir.Shape(dims)


def _image_axes(node: ir.Node) -> tuple[ir.Shape, range] | None:
    """The shape of the images that a node reads, and its spatial axes; None where its rank is not known."""
    data = _input(node, 0)
    if data is None or data.shape is None or len(data.shape) < 3:
        return None
    first = 1 if attribute_int(node, "channels_last", 0) else 2
    return data.shape, range(first, first + len(data.shape) - 2)


def _correct_quantized_embedding(node: ir.Node) -> None:
    """Codes go in, numbers come out."""
    scale = _input(node, _EMBEDDING_SCALE)
    _retype(node.outputs[0], None if scale is None else scale.dtype)


def _correct_gemm_of_float8(node: ir.Node) -> None:
    """An attribute names the type; what is transposed was not seen."""
    _retype(node.outputs[0], ir.DataType(attribute_int(node, "dtype", ir.DataType.FLOAT.value)))
    if attribute_int(node, "transA", 0) or attribute_int(node, "transB", 0):
        node.outputs[0].shape = None


def _correct_sparse_attention(node: ir.Node) -> None:
    """The query may be of another type than the result, and than keys and values that are kept."""
    for indices, outputs in ((_ATTENDED_LIKE, node.outputs[:1]), (_CACHED_LIKE, node.outputs[1:3])):
        given = [value for index in indices if (value := _input(node, index)) is not None]
        for output in outputs if given else ():
            _retype(output, given[0].dtype)


_CORRECTIONS: dict[str, Callable[[ir.Node], None]] = {
    "DynamicSparseAttention": _correct_sparse_attention,
    "GemmFloat8": _correct_gemm_of_float8,
    "QEmbedLayerNormalization": _correct_quantized_embedding,
    "QGemm": _correct_quantized_gemm,
    "QLinearAveragePool": _correct_quantized_pool,
    "QLinearConcat": _correct_quantized_concat,
    "QLinearGlobalAveragePool": _correct_quantized_global_pool,
}


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def _retype(value: ir.Value, dtype: ir.DataType | None) -> None:
    """Give a value a type; inside of functions, where those of inputs are unknown, it has none."""
    value.type = None if dtype is None else ir.TensorType(dtype)
    if dtype is None:
        value.shape = None
