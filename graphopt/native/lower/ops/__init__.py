"""How each operator of ONNX is lowered: `RULES`, by domain and name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from graphopt.native.lower.forms import Form
from graphopt.native.lower.ops import (
    affine,
    attention,
    choices,
    elementwise,
    pools,
    products,
    quantized,
    recurrent,
    rows,
    sizes,
    views,
)
from graphopt.native.lower.pointwise import UNARY
from graphopt.native.lower.scope import Scope

Lower = Callable[[Scope], "Form | list[Form]"]

_STANDARD: Mapping[str, Lower] = {
    **dict.fromkeys(UNARY, elementwise.unary),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Min", "Max", "Pow", "Sum"), elementwise.binary),
    "Cast": choices.cast,
    "Clip": elementwise.clip,
    **dict.fromkeys(choices.RELATIONS, choices.relation),
    "IsNaN": choices.is_nan,
    "Where": choices.where,
    "Trilu": choices.trilu,
    "Not": choices.not_,
    "And": choices.and_,
    "Or": choices.or_,
    "BatchNormalization": affine.batch_normalization,
    "InstanceNormalization": affine.instance_normalization,
    "GroupNormalization": affine.group_normalization,
    "PRelu": elementwise.prelu,
    "Selu": elementwise.selu,
    "Conv": products.conv,
    "ConvTranspose": products.conv_transpose,
    "MatMul": products.matmul,
    "Gemm": products.gemm,
    "LSTM": recurrent.lstm,
    "GRU": recurrent.gru,
    "MaxPool": pools.max_pool,
    "AveragePool": pools.average_pool,
    "GlobalAveragePool": pools.global_average_pool,
    "GlobalMaxPool": pools.global_max_pool,
    "CumSum": pools.cumulate,
    "ReduceMean": pools.reduce_mean,
    **dict.fromkeys(pools.REDUCTIONS, pools.reduce),
    "Resize": pools.resize,
    "Upsample": pools.resize,
    "Attention": attention.attention,
    "LRN": rows.local_response_normalization,
    "Softmax": rows.softmax,
    "LogSoftmax": rows.log_softmax,
    **dict.fromkeys(("LayerNormalization", *rows.UNCENTRED), rows.layer_normalization),
    "Transpose": views.transpose,
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze"), views.reshape),
    "DepthToSpace": views.depth_to_space,
    "SpaceToDepth": views.space_to_depth,
    "Expand": views.expand,
    "Shape": sizes.shape,
    "Range": sizes.range_,
    "ConstantOfShape": sizes.constant_of_shape,
    "Slice": views.slice_,
    "Split": views.split,
    "Concat": views.concat,
    "Pad": views.pad,
    "Gather": views.gather,
    "GatherElements": views.gather_elements,
    "GatherND": views.gather_nd,
    "Identity": views.same,
    "Dropout": views.same,
    "QuantizeLinear": quantized.quantize_linear,
    "DequantizeLinear": quantized.dequantize_linear,
    "QLinearConv": quantized.q_linear_conv,
    "QLinearMatMul": quantized.q_linear_matmul,
}

RULES: Mapping[tuple[str, str], Lower] = {
    **{("", name): rule for name, rule in _STANDARD.items()},
    **{("com.microsoft", name): rule for name, rule in quantized.MICROSOFT.items()},
    ("com.microsoft", "Gelu"): elementwise.unary,
    ("com.microsoft", "MatMulNBits"): products.matmul_nbits,
}
"""Operator -> how it is lowered."""
