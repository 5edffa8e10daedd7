"""Layers whose weights or inputs have no codes: in float in whole programs, in regions left alone."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt._native import kernel_tiers
from graphopt.ir import infer_shapes
from graphopt.native import LoweringError, compile, reasons
from graphopt.testing import parse_model

from .conftest import Lower

HEAD = '<ir_version: 9, opset_import: ["" : 17]> g '
STEP = 0.0 if "avx512_vnni" in kernel_tiers() else 1e-5
"""onnxruntime adds up in parts of other sizes without AVX-512."""
Q = "float q = {0.05}, uint8 o = {120}"


def weights(name: str, *shape: int) -> str:
    """An initializer of random floats."""
    values = np.random.default_rng(len(shape)).uniform(-0.5, 0.5, shape).round(3).reshape(-1)
    return f"float[{','.join(map(str, shape))}] {name} = {{{','.join(map(str, values))}}}"


def model(x: str, y: str, constants: str, body: str) -> str:
    return f"{HEAD}(float[{x}] x) => (float[{y}] y) <{constants}> {{ {body} }}"


@pytest.mark.parametrize(
    "attributes",
    [
        "",
        "<pads = [1,2,0,1]>",
        "<strides = [2,1], dilations = [1,2]>",
        '<auto_pad = "SAME_UPPER", strides = [2,2]>',
    ],
)
def test_a_convolution_with_its_bias_and_bounds(attributes: str, lower: Lower) -> None:
    constants = f"{weights('w', 5, 3, 3, 3)}, {weights('b', 5)}"
    body = f"h = Conv{attributes}(x, w, b) y = Relu(h)"
    kinds = lower(model("2,3,8,9", "n,c,h,w", constants, body), step=1e-4)
    assert kinds == ["transpose", "conv_f32", "transpose"]


def test_rows_and_groups(lower: Lower) -> None:
    constants = f"{weights('w', 6, 2, 3)}, {weights('v', 6, 1, 2)}"
    body = "h = Conv<group = 2, pads = [1,1]>(x, w) y = Conv<group = 6>(h, v)"
    kinds = lower(model("2,4,9", "2,6,8", constants, body), step=1e-4)
    assert [kind for kind in kinds if kind not in ("reshape", "transpose")] == ["conv_f32", "conv_f32"]


@pytest.mark.parametrize("group", [1, 2])
@pytest.mark.parametrize("attributes", ["strides = [2,2]", "pads = [1,0,1,1], strides = [2,1]"])
def test_a_transposed_convolution(group: int, attributes: str, lower: Lower) -> None:
    constants = f"{weights('w', 4, 3, 2, 2)}, {weights('b', 3 * group)}"
    body = f"h = ConvTranspose<group = {group}, {attributes}>(x, w, b) y = Clip(h, low, high)"
    constants += ", float low = {-1.0}, float high = {1.5}"
    kinds = lower(model("1,4,5,6", "n,c,h,w", constants, body), step=1e-4)
    assert kinds == ["transpose", "conv_transpose_f32", "transpose"]


def test_products_of_matrices(lower: Lower) -> None:
    text = model("batch,6,7", "batch,6,5", weights("w", 7, 5), "y = MatMul(x, w)")
    assert lower(text, step=1e-4, batch=3) == ["gemm_f32"]
    text = model("2,6,7", "2,6,6", weights("w", 2), "t = Transpose<perm = [0,2,1]>(x) y = MatMul(x, t)")
    assert lower(text, step=1e-4) == ["transpose", "matmul_f32"]


def test_a_sum_behind_a_product_is_its_bias(lower: Lower) -> None:
    constants = f"{weights('w', 7, 5)}, {weights('b', 5)}"
    body = "h = MatMul(x, w) s = Add(b, h) y = Relu(s)"
    assert lower(model("6,7", "6,5", constants, body), step=1e-4) == ["gemm_f32"]


@pytest.mark.parametrize("transposed", ["", "transA = 1, ", "transB = 1, ", "transA = 1, transB = 1, "])
def test_every_form_of_gemm(transposed: str, lower: Lower) -> None:
    shape = (5, 7) if "transB" in transposed else (7, 5)
    x = "7,6" if "transA" in transposed else "6,7"
    body = f"y = Gemm<{transposed}alpha = 0.5, beta = 2.0>(x, w, b)"
    kinds = lower(model(x, "6,5", f"{weights('w', *shape)}, {weights('b', 5)}", body), step=1e-4)
    assert [kind for kind in kinds if kind != "transpose"] == ["gemm_f32"]


def test_floats_between_codes(lower: Lower) -> None:
    constants = f"{Q}, {weights('w', 4, 3, 3, 3)}"
    body = """c = QuantizeLinear(x, q, o) d = DequantizeLinear(c, q, o) h = Conv(d, w) r = Relu(h)
        e = QuantizeLinear(r, q, o) y = DequantizeLinear(e, q, o)"""
    kinds = lower(model("1,3,6,6", "1,4,4,4", constants, body), step=0.05)
    assert kinds == ["quantize", "dequantize", "conv_f32", "quantize", "dequantize"]


def test_a_product_on_codes_is_one_still(lower: Lower) -> None:
    constants = f"{Q}, {weights('w', 7, 5)}, int8 z = {{0}}, float s = {{0.01}}"
    body = """c = QuantizeLinear(x, q, o) d = DequantizeLinear(c, q, o)
        v = QuantizeLinear(w, s, z) u = DequantizeLinear(v, s, z) y = MatMul(d, u)"""
    assert lower(model("6,7", "6,5", constants, body), step=0.01) == ["quantize", "gemm"]


def test_weights_in_codes_are_floats_where_the_other_operand_is(lower: Lower) -> None:
    constants = "int8[1,2,1,3] v = {1,-20,127,-128,3,4}, int8 z = {0}, float s = {0.01}"
    body = "u = DequantizeLinear(v, s, z) y = Conv(x, u)"
    kinds = lower(model("1,2,5,6", "1,1,5,4", constants, body), step=1e-4)
    assert kinds == ["transpose", "conv_f32", "reshape"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("k = Transpose(x) y = Conv(x, k)", "its weights are computed, not constant"),
        ("y = ConvTranspose<output_shape = [9,9]>(x, w)", "padding that depends on the sizes"),
        ("s = ReduceMean<axes = [0,2,3], keepdims = 0>(x) y = Conv(x, w, s)", "its bias is computed"),
    ],
)
def test_what_is_refused(body: str, said: str) -> None:
    with pytest.raises(LoweringError, match=said):
        compile(parse_model(model("3,3,5,5", "n,c,h,w", weights("w", 3, 3, 3, 3), body)))


def test_regions_leave_floats_to_onnxruntime() -> None:
    text = model("6,7", "6,5", weights("w", 7, 5), "y = MatMul(x, w)")
    found = reasons(parse_model(text))
    assert {node.op_type: reason for node, reason in found.items()} == {
        "MatMul": "it reads floats: no DequantizeLinear of one scale stands before it"
    }


def test_programs_of_floats_are_saved_whole() -> None:
    program = compile(parse_model(model("2,3,8,9", "n,c,h,w", weights("w", 5, 3, 3, 3), "y = Conv(x, w)")))
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 9)).astype(np.float32)
    again = type(program).from_bytes(program.to_bytes(), "it")
    np.testing.assert_array_equal(again.run([x])[0], program.reference([x])[0])


@pytest.mark.parametrize(
    ("inputs", "outputs", "kernel", "attributes"),
    [
        (3, 8, 3, "strides = [2,2], pads = [1,1,1,1]"),
        (40, 24, 3, "pads = [1,1,1,1]"),
        (20, 6, 5, "pads = [2,2,2,2]"),
        (200, 16, 1, ""),
        (8, 8, 1, ""),
        (24, 24, 3, "group = 24, strides = [2,2]"),
    ],
)
def test_convolutions_round_as_in_onnxruntime(
    inputs: int, outputs: int, kernel: int, attributes: str, lower: Lower
) -> None:
    groups = 24 if "group" in attributes else 1
    shape = (outputs, inputs // groups, kernel, kernel)
    constants = f"{weights('w', *shape)}, {weights('b', outputs)}"
    body = f"y = Conv<{attributes}>(x, w, b)" if attributes else "y = Conv(x, w, b)"
    assert "conv_f32" in lower(model(f"1,{inputs},7,7", "n,c,h,w", constants, body), step=STEP)


@pytest.mark.parametrize("kernel", [2, 4])
def test_transposes_round_as_in_onnxruntime(kernel: int, lower: Lower) -> None:
    constants = f"{weights('w', 24, 6, kernel, kernel)}, {weights('b', 6)}"
    body = "y = ConvTranspose<strides = [2,2]>(x, w, b)"
    assert "conv_transpose_f32" in lower(model("1,24,5,6", "n,c,h,w", constants, body), step=STEP)


@pytest.mark.parametrize("depth", [7, 300, 700])
def test_products_round_as_in_onnxruntime(depth: int, lower: Lower) -> None:
    constants = f"{weights('w', depth, 9)}, {weights('b', 9)}"
    for body in ("y = MatMul(x, w)", "y = Gemm(x, w, b)", "h = MatMul(x, w) y = Add(h, b)"):
        assert lower(model(f"5,{depth}", "5,9", constants, body), step=STEP) == ["gemm_f32"]


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_logarithms_of_softmax(axis: int, lower: Lower) -> None:
    text = f"""<ir_version: 9, opset_import: ["" : 17]> g (float[2,n,7] x) => (float[2,n,7] y) {{
        w = Mul(x, x) v = Mul(w, w) y = LogSoftmax<axis = {axis}>(v) }}"""
    for count in (1, 5):
        assert lower(text, step=1e-4, n=count).count("reduce") == 2


def test_logarithms_of_softmax_over_channels(lower: Lower) -> None:
    weights = ", ".join(str(index % 7 - 3) for index in range(6 * 4))
    text = f"""<ir_version: 9, opset_import: ["" : 17]> g (float[2,4,3,5] x) => (float[2,6,3,5] y)
        <float[6,4,1,1] w = {{{weights}}}> {{ c = Conv(x, w) y = LogSoftmax<axis = 1>(c) }}"""
    lower(text, step=1e-4)


@pytest.mark.parametrize(
    ("opset", "axis", "said"), [(11, 1, "a LogSoftmax over several axes"), (17, -1, "it is in float")]
)
def test_logarithms_of_softmax_that_no_program_computes(opset: int, axis: int, said: str) -> None:
    graph = parse_model(f"""<ir_version: 7, opset_import: ["" : {opset}]>
        g (float[2,3,4] x) => (float[2,3,4] y) {{ y = LogSoftmax<axis = {axis}>(x) }}""")
    infer_shapes(graph)
    if opset >= 13:
        assert list(reasons(graph).values()) == [said]
        return
    with pytest.raises(LoweringError, match=said):
        compile(graph)
