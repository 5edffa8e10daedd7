"""Rules of shape inference that onnx-shape-inference lacks or gets wrong, and what it may remember of values.

Its rules assume that a model is harmless: a Slice end lies inside, different names broadcast as one, a Loop
runs at least once. Where that is no certainty, the dimension gets a name of its own here.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
from onnx_shape_inference import ShapeInferenceContext, registry

from graphopt.ir.inference.bounds import infer_long_concat, is_boundless
from graphopt.ir.inference.broadcasting import correct_broadcast, infer_float_arithmetic
from graphopt.ir.inference.context import Context
from graphopt.ir.inference.contrib import CONTRIB, correct_contrib
from graphopt.ir.inference.control_flow import correct_loop, infer_if
from graphopt.ir.inference.elements import (
    COMPARE,
    LOGIC,
    infer_cast,
    infer_cast_like,
    infer_comparison,
    infer_constant,
    infer_logic,
    infer_range,
    infer_where,
)
from graphopt.ir.inference.types import infer_types
from graphopt.ir.inference.unknown import (
    correct_compress,
    correct_non_zero,
    correct_reduction,
    correct_split,
    correct_unique,
    correct_window,
    infer_quantized,
)
from graphopt.ir.inference.views import (
    correct_features,
    correct_filling,
    correct_slice,
    correct_squeeze,
    correct_unsqueeze,
    infer_expand,
    infer_reshape,
    infer_slice_by_attributes,
    remember_transposed,
)
from graphopt.ir.ops import KNOWN_DOMAINS, REDUCTIONS

__all__ = ["Context", "infer", "infer_types"]

_RULES: dict[str, Callable[[Context, ir.Node], bool]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow"), infer_float_arithmetic),
    "Concat": infer_long_concat,
    "Constant": infer_constant,
    **dict.fromkeys(COMPARE, infer_comparison),
    **dict.fromkeys(LOGIC, infer_logic),
    "Where": infer_where,
    "If": infer_if,
    "Reshape": infer_reshape,
    "Expand": infer_expand,
    "Range": infer_range,
    "Cast": infer_cast,
    "CastLike": infer_cast_like,
    "Slice": infer_slice_by_attributes,
    **dict.fromkeys(("QLinearConv", "QLinearMatMul"), infer_quantized),
}

_CORRECTIONS: dict[str, Callable[[Context, ir.Node], None]] = {
    **dict.fromkeys(
        (
            "Add",
            "Sub",
            "Mul",
            "Div",
            "Mod",
            "Min",
            "Max",
            "Sum",
            "Mean",
            "BitwiseAnd",
            "BitwiseOr",
            "BitwiseXor",
        ),
        correct_broadcast,
    ),
    "Pow": correct_broadcast,
    "BitShift": correct_broadcast,
    "Slice": correct_slice,
    "Squeeze": correct_squeeze,
    "Unsqueeze": correct_unsqueeze,
    "Loop": correct_loop,
    "ConstantOfShape": correct_filling,
    **dict.fromkeys(REDUCTIONS, correct_reduction),
    **dict.fromkeys(
        ("AveragePool", "Conv", "ConvInteger", "ConvTranspose", "LpPool", "MaxPool", "QLinearConv"),
        correct_window,
    ),
    "Split": correct_split,
    "Transpose": remember_transposed,
    "Compress": correct_compress,
    "NonZero": correct_non_zero,
    "Unique": correct_unique,
    "ArrayFeatureExtractor": correct_features,
}

_SAME_SHAPES: dict[tuple[str, str], str] = {
    (CONTRIB, "FusedConv"): "Conv",
    (CONTRIB, "FusedGemm"): "Gemm",
    (CONTRIB, "QuantizeLinear"): "QuantizeLinear",
    (CONTRIB, "DequantizeLinear"): "DequantizeLinear",
}
"""Operators of onnxruntime that give the shapes of one of the standard with their first inputs."""


def infer(context: ShapeInferenceContext, node: ir.Node) -> bool:
    """Infer types, shapes and known elements of the outputs of a node; False if no rule knows it."""
    assert isinstance(context, Context)
    if node.domain == "" and is_boundless(node):
        return False
    own = _RULES.get(node.op_type) if node.domain == "" else None
    if own is not None and own(context, node):
        return True
    rule = registry.get(node.domain, node.op_type, version=context.get_opset_version(node.domain))
    if rule is None and (node.domain, node.op_type) in _SAME_SHAPES:
        rule = registry.get("", _SAME_SHAPES[node.domain, node.op_type], context.get_opset_version(""))
    if rule is None:
        return False
    rule(context, node)
    if node.domain == CONTRIB:
        correct_contrib(node)
        return True
    after = _CORRECTIONS.get(node.op_type) if node.domain in KNOWN_DOMAINS else None
    if after is not None:
        after(context, node)
    return True
