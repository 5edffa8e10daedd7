"""What each operator costs: one table from operator to a rule, a small function of node and shapes.

The weights and their sources stand with the families, in `arithmetic` and `products`. An operator with no row
here is unknown: the estimate lists it, with the reason where UNCOUNTED gives one, and never takes it as zero.
"""

from __future__ import annotations

import onnx_ir as ir

from graphopt.cost import arithmetic, products
from graphopt.cost.call import Call, Kind, Rule, Work
from graphopt.ir import op_facts

MICROSOFT = "com.microsoft"
CONTROL_FLOW = frozenset({"If", "Loop", "Scan"})
"""Operators whose cost is that of their bodies; the estimate walks them."""


def move(call: Call) -> Work:
    """Reads every input and writes every output."""
    return Work(Kind.MOVE)


def take(call: Call) -> Work:
    """Reads of its data only what it writes; indices and the like in full."""
    written = sum(call.out_bytes(index) for index in range(len(call.outputs)))
    return Work(Kind.MOVE, bytes_read=written + sum(call.in_bytes(i) for i in range(1, len(call.inputs))))


def fill(call: Call) -> Work:
    """Writes its output; what it reads is a shape."""
    return Work(Kind.MOVE, bytes_read=0)


def free(call: Call) -> Work:
    """A view, a shape or a handle: no tensor data moves."""
    return Work(Kind.FREE, bytes_read=0, bytes_written=0)


def _row(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


_STANDARD: dict[str, Rule] = {
    **{op: arithmetic.per_output(flops) for op, flops in arithmetic.PER_OUTPUT.items()},
    **{op: arithmetic.per_input(*flops) for op, flops in arithmetic.PER_INPUT.items()},
    **_row(arithmetic.variadic, "Sum Min Max Mean"),
    **_row(arithmetic.pool(arithmetic.SIMPLE, 0), "MaxPool"),
    **_row(arithmetic.pool(arithmetic.SIMPLE, arithmetic.DIVIDE), "AveragePool"),
    **_row(arithmetic.pool(2 * arithmetic.SIMPLE, arithmetic.DIVIDE), "LpPool"),
    **_row(arithmetic.sort, "TopK Unique"),
    **_row(arithmetic.resize, "Resize Upsample"),
    "AffineGrid": arithmetic.affine_grid,
    "DFT": arithmetic.dft,
    "Det": arithmetic.det,
    "Dropout": arithmetic.dropout,
    "GridSample": arithmetic.grid_sample,
    "LRN": arithmetic.lrn,
    "MaxRoiPool": arithmetic.max_roi_pool,
    "MelWeightMatrix": arithmetic.mel_weights,
    "Multinomial": arithmetic.multinomial,
    "RoiAlign": arithmetic.roi_align,
    "RotaryEmbedding": arithmetic.rotary,
    "STFT": arithmetic.stft,
    **_row(products.matmul(), "MatMul MatMulInteger"),
    "QLinearMatMul": products.matmul(3),
    "Gemm": products.gemm(),
    "Einsum": products.einsum,
    "Conv": products.conv(),
    "ConvInteger": products.conv(bias=None),
    "QLinearConv": products.conv(3, 8),
    "ConvTranspose": products.conv_transpose,
    "DeformConv": products.deform_conv,
    "CausalConvWithState": products.causal_conv,
    **{cell: products.recurrent(cell) for cell in products.GATES},
    "Attention": products.attention,
    "LinearAttention": products.linear_attention,
    **_row(move, "Cast CastLike Transpose Concat Pad DepthToSpace SpaceToDepth ReverseSequence OneHot Trilu"),
    **_row(move, "Compress MaxUnpool Scatter ScatterElements ScatterND TensorScatter"),
    **_row(move, "ConcatFromSequence SplitToSequence"),
    **_row(take, "Gather GatherElements GatherND Slice Split Expand Tile CenterCropPad"),
    **_row(fill, "ConstantOfShape EyeLike"),
    **_row(free, "Constant Shape Size BitCast Optional OptionalGetElement OptionalHasElement"),
    **_row(free, "SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength"),
}

_MICROSOFT: dict[str, Rule] = {
    **{op: arithmetic.per_output(flops) for op, flops in arithmetic.PER_OUTPUT_MICROSOFT.items()},
    **{op: arithmetic.per_input(*flops) for op, flops in arithmetic.PER_INPUT_MICROSOFT.items()},
    **_row(arithmetic.pool(arithmetic.SIMPLE, 0), "NhwcMaxPool"),
    **_row(arithmetic.pool(arithmetic.SIMPLE, 2 * arithmetic.DIVIDE), "QLinearAveragePool"),
    **{
        op: _STANDARD[op]
        for op in ("GridSample", "MaxPool", "Pad", "Range", "RotaryEmbedding", "Trilu", "Unique")
    },
    **_row(products.fused_matmul, "FusedMatMul FusedMatMulActivation TransposeMatMul"),
    **_row(products.matmul_nbits, "MatMulNBits MatMulBnb4"),
    **_row(products.matmul(), "DynamicQuantizeMatMul MatMulIntegerToFloat MatMulInteger16"),
    "FusedGemm": products.gemm(),
    "QGemm": products.gemm(bias=6),
    **_row(products.conv(activation=arithmetic.SIMPLE), "FusedConv NhwcFusedConv"),
    "NhwcConv": products.conv(),
    "QLinearConv": products.conv(3, 8),
    "ConvTransposeWithDynamicPads": products.conv_transpose,
    "DynamicQuantizeLSTM": products.recurrent("LSTM"),
    "Attention": products.attention_with_projection(past=4),
    "QAttention": products.attention_with_projection(past=8),
    "MultiHeadAttention": products.multi_head_attention,
    "GroupQueryAttention": products.group_query_attention,
    "EmbedLayerNormalization": products.embed_layer_norm,
    "QLinearConcat": move,
    **_row(take, "GatherBlockQuantized ExpandDims"),
}

_RULES: dict[str, dict[str, Rule]] = {"": _STANDARD, "ai.onnx": _STANDARD, MICROSOFT: _MICROSOFT}

_DATA_DEPENDENT = "its work depends on the data"
UNCOUNTED: dict[str, str] = {
    "ImageDecoder": _DATA_DEPENDENT,
    "NonMaxSuppression": _DATA_DEPENDENT,
    "RegexFullMatch": _DATA_DEPENDENT,
    "SequenceMap": "the length of a sequence is not in the graph",
    "StringConcat": _DATA_DEPENDENT,
    "StringNormalizer": _DATA_DEPENDENT,
    "StringSplit": _DATA_DEPENDENT,
    "TfIdfVectorizer": _DATA_DEPENDENT,
}
"""Operators of the standard that have no rule on purpose, and why."""


def rule_for(node: ir.Node) -> Rule | None:
    """The cost rule of a node's operator, or None where there is none."""
    rule = _RULES.get(node.domain, {}).get(node.op_type)
    if rule is None and op_facts(node.domain, node.op_type).view:
        return free
    return rule
