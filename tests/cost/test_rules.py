"""Every operator of the standard has a rule or is declared uncounted; rules agree with brute-force counts."""

from __future__ import annotations

import itertools
import random
import re

import onnx.defs
import onnx_ir as ir
import pytest

from graphopt.cost import NodeCost, estimate
from graphopt.cost.arithmetic import DIVIDE, FFT, SIMPLE, TRANSCENDENTAL
from graphopt.cost.call import Kind
from graphopt.cost.rules import CONTROL_FLOW, UNCOUNTED, rule_for
from graphopt.ir import infer_shapes

NOT_COUNTED_DOMAINS = {"ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training"}


def node_cost(inputs: str, output: str, body: str, opset: int = 21, domain: str = "") -> NodeCost:
    """Cost of the last node of a model in ONNX text."""
    imports = f'"" : {opset}' + (f', "{domain}" : 1' if domain else "")
    text = f"<ir_version: 10, opset_import: [{imports}]> g ({inputs}) => ({output}) {{ {body} }}"
    model = ir.from_onnx_text(text)
    declared = model.graph.outputs[0].shape
    infer_shapes(model)
    if domain:
        model.graph.outputs[0].shape = declared
    found = estimate(model)
    assert found.complete, (found.unknown_ops, found.unknown_shapes)
    return found.nodes[-1]


@pytest.mark.parametrize("domain", sorted({schema.domain for schema in onnx.defs.get_all_schemas()}))
def test_every_standard_operator_has_a_rule_or_a_reason(domain: str) -> None:
    missing = {
        schema.name
        for schema in onnx.defs.get_all_schemas()
        if schema.domain == domain and rule_for(ir.Node(domain, schema.name, [])) is None
    }
    if domain in NOT_COUNTED_DOMAINS:
        return
    assert missing == set(UNCOUNTED) | CONTROL_FLOW


def brute_force_conv(x: list[int], w: list[int], out: list[int]) -> int:
    """Count MACs one by one: every output element, input channel of its group and kernel position."""
    return sum(1 for _ in itertools.product(*map(range, out), *map(range, w[1:])))


@pytest.mark.parametrize("seed", range(6))
def test_conv_matches_brute_force(seed: int) -> None:
    draw = random.Random(seed)
    group = draw.choice([1, 2, 3])
    c, m, k = group * draw.randint(1, 2), group * draw.randint(1, 2), draw.randint(1, 3)
    stride, dilation, pad = draw.randint(1, 2), draw.randint(1, 2), draw.randint(0, 1)
    side = draw.randint(6, 8)
    out = (side + 2 * pad - dilation * (k - 1) - 1) // stride + 1
    attributes = f"group={group}, strides=[{stride},{stride}], dilations=[{dilation},{dilation}]"
    cost = node_cost(
        f"float[2,{c},{side},{side}] x, float[{m},{c // group},{k},{k}] w, float[{m}] b",
        f"float[2,{m},{out},{out}] y",
        f"y = Conv<{attributes}, pads=[{pad},{pad},{pad},{pad}]>(x, w, b)",
    )
    size = 2 * m * out * out
    assert cost.macs == brute_force_conv([2, c, side, side], [m, c // group, k, k], [2, m, out, out])
    assert cost.flops == 2 * cost.macs + size
    assert cost.bytes_read == 4 * (2 * c * side * side + m * c // group * k * k + m)
    assert cost.bytes_written == 4 * size


def test_conv_transpose_counts_each_input_element_once_per_kernel_position() -> None:
    cost = node_cost(
        "float[1,4,5,5] x, float[4,3,2,2] w",
        "float[1,6,10,10] y",
        "y = ConvTranspose<group=2, strides=[2,2]>(x, w)",
    )
    assert cost.macs == 1 * 4 * 5 * 5 * 3 * 2 * 2


@pytest.mark.parametrize(
    ("a", "b", "out", "macs"),
    [
        ("3,4", "4,5", "3,5", 3 * 4 * 5),
        ("7,3,4", "4,5", "7,3,5", 7 * 3 * 4 * 5),
        ("7,1,3,4", "2,4,5", "7,2,3,5", 7 * 2 * 3 * 4 * 5),
        ("4", "4,5", "5", 4 * 5),
        ("3,4", "4", "3", 3 * 4),
    ],
)
def test_matmul_broadcasts_like_numpy(a: str, b: str, out: str, macs: int) -> None:
    cost = node_cost(f"float[{a}] a, float[{b}] b", f"float[{out}] y", "y = MatMul(a, b)")
    assert (cost.macs, cost.flops) == (macs, 2 * macs)


def test_gemm_takes_the_inner_dimension_where_the_transpose_puts_it() -> None:
    cost = node_cost("float[4,3] a, float[4,5] b, float[5] c", "float[3,5] y", "y = Gemm<transA=1>(a, b, c)")
    assert (cost.macs, cost.flops) == (60, 135)


@pytest.mark.parametrize(
    ("equation", "inputs", "out", "macs", "flops"),
    [
        ("bij,bjk->bik", "float[2,3,4] a, float[2,4,5] b", "2,3,5", 120, 240),
        ("...ij,...jk->...ik", "float[2,3,4] a, float[2,4,5] b", "2,3,5", 120, 240),
        ("i,j->ij", "float[3] a, float[4] b", "3,4", 0, 12),
        ("ij->i", "float[3,4] a", "3", 0, 12),
        ("ij->ji", "float[3,4] a", "4,3", 0, 0),
    ],
)
def test_einsum(equation: str, inputs: str, out: str, macs: int, flops: int) -> None:
    operands = ", ".join(re.findall(r"\] (\w)", inputs))
    cost = node_cost(inputs, f"float[{out}] y", f'y = Einsum<equation="{equation}">({operands})')
    assert (cost.macs, cost.flops) == (macs, flops)


def test_lstm_counts_four_gates_of_every_step_and_direction() -> None:
    cost = node_cost(
        "float[7,2,3] x, float[2,20,3] w, float[2,20,5] r",
        "float[7,2,2,5] y",
        'y = LSTM<hidden_size=5, direction="bidirectional">(x, w, r)',
    )
    assert cost.macs == 7 * 2 * 2 * 4 * 5 * (3 + 5)
    assert cost.bytes_read == 4 * (7 * 2 * 3 + 2 * 20 * 3 + 7 * 2 * 20 * 5)


@pytest.mark.parametrize(
    ("channels", "outputs", "group", "kind"),
    [
        (32, 32, 1, Kind.CONV),
        (32, 32, 32, Kind.DEPTHWISE),
        (32, 32, 4, Kind.GROUPED),
        (32, 64, 2, Kind.CONV),
        (48, 48, 2, Kind.GROUPED),
    ],
)
def test_groups_that_kernels_cannot_take_at_once_have_a_rate_of_their_own(
    channels: int, outputs: int, group: int, kind: Kind
) -> None:
    weight = f"float[{outputs},{channels // group},3,3] w"
    given, made = f"float[1,{channels},8,8] x, {weight}", f"float[1,{outputs},6,6] y"
    cost = node_cost(given, made, f"y = Conv<group={group}>(x, w)")
    assert cost.kind is kind


def test_attention_counts_both_products_and_grouped_heads() -> None:
    cost = node_cost(
        "float[1,8,5,16] q, float[1,2,9,16] k, float[1,2,9,32] v",
        "float[1,8,5,32] y",
        "y = Attention(q, k, v)",
        opset=23,
    )
    assert cost.macs == 8 * 5 * 9 * (16 + 32)


def test_quantized_convolution_runs_at_the_int8_rate() -> None:
    cost = node_cost(
        "uint8[1,2,4,4] x, float s, uint8 z, int8[3,2,1,1] w, int8 wz",
        "uint8[1,3,4,4] y",
        "y = QLinearConv(x, s, z, w, s, wz, s, z)",
    )
    assert cost.kind is not None and cost.kind.value == "int8"
    assert cost.macs == 3 * 16 * 2
    assert cost.bytes_written == 48


@pytest.mark.parametrize(
    ("op", "inputs", "out", "attributes", "macs"),
    [
        ("FusedConv", "float[1,2,4,4] x, float[3,2,1,1] w", "float[1,3,4,4]", 'activation="Relu"', 96),
        ("FusedMatMul", "float[4,3] a, float[4,5] b", "float[3,5]", "transA=1", 60),
        ("MatMulNBits", "float[2,64] a, uint8[8,2,16] b, float[16] s", "float[2,8]", "K=64, N=8", 1024),
        (
            "MultiHeadAttention",
            "float[1,5,16] q, float[1,9,16] k, float[1,9,16] v",
            "float[1,5,16]",
            "num_heads=2",
            2 * 5 * 9 * 16,
        ),
        (
            "Attention",
            "float[1,5,16] x, float[16,48] w, float[48] b",
            "float[1,5,16]",
            "num_heads=2",
            5 * 16 * 48 + 2 * 5 * 5 * 16,
        ),
    ],
)
def test_operators_of_onnxruntime(op: str, inputs: str, out: str, attributes: str, macs: int) -> None:
    names = ", ".join(re.findall(r"\] (\w+)", inputs))
    cost = node_cost(
        inputs, f"{out} y", f"y = com.microsoft.{op}<{attributes}>({names})", domain="com.microsoft"
    )
    assert cost.macs == macs


@pytest.mark.parametrize(
    ("body", "flops"),
    [
        ("y = Relu(x)", 24),
        ("y = Div(x, x)", 4 * 24),
        ("y = Sigmoid(x)", 14 * 24),
        ("y = Max(x, x, x)", 2 * 24),
        ("y = Softmax(x)", 15 * 24),
    ],
)
def test_elementwise_weights(body: str, flops: int) -> None:
    assert node_cost("float[4,6] x", "float[4,6] y", body).flops == flops


def test_moves_count_bytes_and_views_nothing() -> None:
    transpose = node_cost("float[4,6] x", "float[6,4] y", "y = Transpose(x)")
    assert (transpose.flops, transpose.bytes_moved) == (0, 2 * 96)
    reshape = node_cost("float[4,6] x", "float[24] y", "s = Constant<value_ints=[24]>() y = Reshape(x, s)")
    assert (reshape.flops, reshape.bytes_moved) == (0, 0)
    gather = node_cost("float[1000,8] x, int64[3] i", "float[3,8] y", "y = Gather(x, i)")
    assert gather.bytes_read == 3 * 8 * 4 + 3 * 8


def test_low_bit_types_are_packed() -> None:
    cost = node_cost("int4[5] x, float s", "float[5] y", "y = DequantizeLinear(x, s)")
    assert cost.bytes_read == 3 + 4


@pytest.mark.parametrize(
    ("inputs", "output", "body", "opset", "flops"),
    [
        ("float[2,3] x, float[2,3] o", "float[2,3] y", "y = Sum(x, o, x)", 21, 2 * 6 * SIMPLE),
        ("float[2,3] x, float[2,3] o", "float[2,3] y", "y = Mean(x, o, x)", 21, 3 * 6 * SIMPLE),
        ("float[2,3] x", "float[2,3] y", "y = Dropout(x)", 21, 0),
        (
            "float[2,3] x",
            "float[2,3] y",
            "r = Constant<value = float {0.5}>() t = Constant<value = bool {1}>() y = Dropout(x, r, t)",
            21,
            3 * 6 * SIMPLE,
        ),
        (
            "float[1,4,2,2] x",
            "float[1,4,2,2] y",
            "y = LRN<size = 3>(x)",
            21,
            16 * (6 * SIMPLE + TRANSCENDENTAL + DIVIDE),
        ),
        (
            "float[1,2,8,8] x, float[3,4] r, int64[3] b",
            "float[3,2,2,2] y",
            "y = RoiAlign<output_height = 2, output_width = 2, sampling_ratio = 3>(x, r, b)",
            21,
            9 * 24 * 9 * SIMPLE,
        ),
        (
            "float[1,2,8,8] x, float[3,5] r",
            "float[3,2,2,2] y",
            "y = MaxRoiPool<pooled_shape = [2, 2]>(x, r)",
            21,
            3 * 128 * SIMPLE,
        ),
        (
            "float[1,2,4,4] x",
            "float[1,2,8,8] y",
            'r = Constant<value = float[4] {1, 1, 2, 2}>() y = Resize<mode = "linear">(x, , r)',
            21,
            2 * 4 * 128,
        ),
        (
            "float[1,2,4,4] x",
            "float[1,2,4,8] y",
            'r = Constant<value = float[4] {1, 1, 1, 2}>() y = Resize<mode = "cubic">(x, , r)',
            21,
            2 * 4 * 64,
        ),
        (
            "float[1,2,4,4] x",
            "float[1,2,8,8] y",
            "r = Constant<value = float[4] {1, 1, 2, 2}>() y = Resize(x, , r)",
            21,
            0,
        ),
        (
            "float[1,2,4,4] x, float[1,3,3,2] g",
            "float[1,2,3,3] y",
            'y = GridSample<mode = "linear">(x, g)',
            20,
            2 * 4 * 18 + 4 * 18 * SIMPLE,
        ),
        (
            "float[1,2,4,4] x, float[1,3,3,2] g",
            "float[1,2,3,3] y",
            'y = GridSample<mode = "nearest">(x, g)',
            20,
            4 * 18 * SIMPLE,
        ),
        ("float[3,4,4] x", "float[3] y", "y = Det(x)", 21, 3 * 128 // 3),
        (
            "float[3,16] x",
            "float[3,4] y, int64[3,4] i",
            "k = Constant<value = int64[1] {4}>() y, i = TopK(x, k)",
            21,
            48 * 2 * SIMPLE,
        ),
        ("float[1,8,1] x", "float[1,8,2] y", "y = DFT<axis = 1>(x)", 17, FFT * 8 * 3 // 2),
        ("float[1,8,2] x", "float[1,8,2] y", "y = DFT<axis = 1>(x)", 17, FFT * 8 * 3),
    ],
)
def test_operations_are_counted_as_documented(
    inputs: str, output: str, body: str, opset: int, flops: int
) -> None:
    assert node_cost(inputs, output, body, opset).flops == flops
