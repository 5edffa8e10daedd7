"""Operators beside products: pools, views, rows, those of QOperator form; and sizes that are known late."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest

from graphopt.errors import GraphoptError, LoadError
from graphopt.ir import infer_shapes
from graphopt.native import compile, reasons
from graphopt.testing import parse_model

from .conftest import Lower

HEAD = '<ir_version: 9, opset_import: ["" : 17, "com.microsoft" : 1]> g '
CODES = "float s = {0.1}, uint8 z = {100}, float t = {0.05}, uint8 n = {0}"
IN = "xq = QuantizeLinear(x, s, z) xd = DequantizeLinear(xq, s, z) "
Q = " yq = QuantizeLinear(c, s, z) y = DequantizeLinear(yq, s, z)"


def model(body: str, x: str, y: str, more: str = "") -> str:
    """A model of `x`, decoded as `xd`, that computes `c`, which is encoded and decoded to `y`."""
    return f"{HEAD}(float[{x}] x) => (float[{y}] y) <{CODES}{more}> {{ {IN} {body} {Q} }}"


@pytest.mark.parametrize(
    ("body", "y", "kinds"),
    [
        ("c = MaxPool<kernel_shape = [3,3], strides = [2,2], pads = [1,1,1,1]>(xd)", "1,3,3,4", ["max_pool"]),
        ("c = AveragePool<kernel_shape = [2,2], pads = [1,0,0,0]>(xd)", "1,3,6,6", ["average_pool"]),
        ("c = AveragePool<kernel_shape = [2,2], count_include_pad = 1>(xd)", "1,3,5,6", ["average_pool"]),
        ("c = GlobalAveragePool(xd)", "1,3,1,1", ["global_average_pool", "reshape"]),
        ("c = ReduceMean<axes = [2,3]>(xd)", "1,3,1,1", ["global_average_pool", "reshape"]),
        ("c = ReduceMean<axes = [2,3], keepdims = 0>(xd)", "1,3", ["global_average_pool", "reshape"]),
        ("c = ReduceMean<axes = [-1], keepdims = 0>(xd)", "1,3,6", ["reduce_mean"]),
        ("m = Concat<axis = 1>(xd, xd) c = Relu(m)", "1,6,6,7", ["concat", "lookup"]),
        ("c = Slice(xd, b, e, a)", "1,3,3,7", ["slice"]),
        ("l, r = Split<axis = 1>(xd, p) c = Concat<axis = 1>(r, l)", "1,3,6,7", ["concat", "slice"]),
        ("c = Pad(xd, q)", "1,3,8,10", ["pad"]),
        ("c = Transpose<perm = [0,2,3,1]>(xd)", "1,6,7,3", []),
        ("f = Flatten(xd) c = Identity(f)", "1,126", ["reshape"]),
        ("c = Reshape(xd, w)", "3,42", ["reshape"]),
        ("c = Unsqueeze(xd, b)", "1,3,1,6,7", ["reshape"]),
        ("c = Gather<axis = 2>(xd, g)", "1,3,2,7", ["gather"]),
        ("c = Softmax(xd)", "1,3,6,7", ["softmax"]),
        ("c = LayerNormalization(xd, gamma, beta)", "1,3,6,7", ["layer_norm"]),
        ("r = Sqrt(v) m = Mul(xd, r) c = Tanh(m)", "1,3,6,7", ["binary", "unary"]),
    ],
)  # fmt: skip
def test_an_operator_between_codes(body: str, y: str, kinds: list[str], lower: Lower) -> None:
    more = """, int64[1] b = {2}, int64[1] e = {5}, int64[1] a = {2}, int64[2] p = {1, 2},
        int64[2] g = {4, 0}, int64[8] q = {0,0,1,1,0,0,1,2}, int64[2] w = {3,-1}, float[3,1,1] v = {1,4,0.25},
        float[7] gamma = {1,2,3,-1,-2,0.5,1}, float[7] beta = {0,1,0,-1,0,0,2}"""
    found = lower(model(body, "1,3,6,7", y, more), share=0.99)
    # Between the first step and the last, and but for what brings axes into order.
    assert sorted(set(found) - {"quantize", "dequantize", "transpose"}) == kinds


@pytest.mark.parametrize(
    ("body", "y", "kinds"),
    [
        (
            "c = MaxPool<kernel_shape = [3], strides = [2], pads = [1,0]>(xd)",
            "2,3,4",
            ["max_pool", "reshape"],
        ),
        ("c = MaxPool<kernel_shape = [2], dilations = [3]>(xd)", "2,3,5", ["max_pool", "reshape"]),
        ("c = AveragePool<kernel_shape = [2], pads = [1,0]>(xd)", "2,3,8", ["average_pool", "reshape"]),
        ("c = GlobalAveragePool(xd)", "2,3,1", ["global_average_pool", "reshape"]),
    ],
)
def test_pools_of_rows_are_those_of_images_of_height_one(
    body: str, y: str, kinds: list[str], lower: Lower
) -> None:
    found = lower(model(body, "2,3,8", y))
    assert sorted(set(found) - {"quantize", "dequantize", "transpose"}) == kinds


NEAREST = 'mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"'


@pytest.mark.parametrize("mode", [NEAREST, 'mode = "linear"'])
def test_resize(mode: str, lower: Lower) -> None:
    more = ", float[4] k = {1,1,2,2}"
    kinds = lower(model(f"c = Resize<{mode}>(xd, , k)", "1,3,4,5", "1,3,8,10", more))
    assert kinds == ["quantize", "resize", "dequantize"]


@pytest.mark.parametrize("coordinates", ["half_pixel", "asymmetric"])
def test_fractions_are_cut_off_where_integers_themselves_are_resized(coordinates: str, lower: Lower) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : 17]> g (uint8[1,2,5,6] x) => (uint8[1,2,10,12] y)
        <float[4] k = {{1,1,2,2}}, int8[2,2,1,1] w = {{1,2,3,-1}}, float u = {{0.5}}, int8 o = {{0}},
        float s = {{0.1}}, uint8 z = {{100}}> {{
            c = QLinearConv(x, s, z, w, u, o, s, z)
            y = Resize<mode = "linear", coordinate_transformation_mode = "{coordinates}">(c, , k) }}"""
    lower(text, step=0)
    direct = text.replace("c = QLinearConv(x, s, z, w, u, o, s, z)", "").replace("(c, , k)", "(x, , k)")
    lower(direct, step=0)
    with pytest.raises(GraphoptError, match="a linear Resize of signed integers"):
        lower(direct.replace("(uint8[1,2,5,6] x) => (uint8[", "(int8[1,2,5,6] x) => (int8["))


def test_products_with_a_constant_matrix(lower: Lower) -> None:
    weights = "int8[4,3] w = {1,-2,3,40,50,-60,7,8,9,10,-11,12}, float[3] ws = {0.01,0.02,0.03}"
    body = "wd = DequantizeLinear<axis = 1>(w, ws) c = MatMul(xd, wd)"
    assert lower(model(body, "2,5,4", "2,5,3", f", {weights}")) == ["quantize", "gemm", "dequantize"]
    body = """wt = DequantizeLinear<axis = 1>(w, ws) wd = Transpose<perm = [1,0]>(wt)
        c = Gemm<transB = 1>(xd, wd, b)"""
    assert lower(model(body, "5,4", "5,3", f", {weights}, float[3] b = {{1,2,-3}}")) == [
        "quantize",
        "gemm",
        "dequantize",
    ]


def test_a_bias_behind_a_product_is_added_by_it(lower: Lower) -> None:
    more = ", int8[4,3] w = {1,-2,3,40,50,-60,7,8,9,10,-11,12}, float[3] b = {1,-2,0.5}"
    body = "wd = DequantizeLinear(w, t) m = MatMul(xd, wd) c = Add(b, m)"
    assert lower(model(body, "2,5,4", "2,5,3", more)) == ["quantize", "gemm", "dequantize"]
    text = model(f"{body} y = Relu(c)", "2,5,4", "2,5,3", more).replace(Q, "")
    assert lower(text, step=1e-5) == ["quantize", "gemm", "unary"]


def test_quantized_operators(lower: Lower) -> None:
    text = f"""{HEAD}(uint8[1,2,4,4] x) => (uint8[1,3,1,1] y) <{CODES},
        int8[3,2,1,1] w = {{1,-90,30,40,50,-60}},
        float[3] ws = {{0.01,0.02,0.03}}, int8[3] wz = {{0,0,0}}, int32[3] b = {{10,-200,300}}> {{
        c = QLinearConv(x, s, z, w, ws, wz, s, z, b)
        g = com.microsoft.QLinearSigmoid(c, s, z, t, n)
        m = com.microsoft.QLinearMul(c, s, z, g, t, n, s, z)
        a = com.microsoft.QLinearAdd(m, s, z, c, s, z, s, z)
        y = com.microsoft.QLinearGlobalAveragePool(a, s, z, s, z)
    }}"""
    # Sigmoid, product and sum are one function of the codes of the convolution.
    assert lower(text, step=1) == ["transpose", "conv", "global_average_pool", "reshape"]


def test_sizes_that_are_known_when_it_runs(lower: Lower) -> None:
    more = (
        ", int8[3,3,3,3] w = {"
        + ",".join(str(number * 37 % 255 - 127) for number in range(81))
        + "}, int8 v = {0}"
    )
    body = "wd = DequantizeLinear(w, t, v) k = Conv<pads = [1,1,1,1]>(xd, wd) kq = QuantizeLinear(k, s, z) "
    body += "kd = DequantizeLinear(kq, s, z) p = GlobalAveragePool(kd) pq = QuantizeLinear(p, s, z) "
    body += "pd = DequantizeLinear(pq, s, z) r = Sigmoid(pd) rq = QuantizeLinear(r, t, n) "
    body += "rd = DequantizeLinear(rq, t, n) c = Mul(kd, rd)"
    kinds = lower(
        model(body, "batch,3,height,width", "batch,3,height,width", more), batch=2, height=5, width=9
    )
    assert kinds == ["quantize", "conv", "global_average_pool", "lookup", "mul", "dequantize"]


@pytest.mark.parametrize(
    ("node", "y", "kinds"),
    [
        ("Shape(kd)", 4, ["quantize", "max_pool", "shape", "dequantize"]),
        ("Shape<start = 1, end = -1>(kd)", 2, ["quantize", "max_pool", "shape", "dequantize"]),
        ("Shape<start = 1, end = 2>(kd)", 1, ["quantize", "max_pool", "dequantize"]),
    ],
)
def test_a_shape_is_that_of_the_codes(node: str, y: int, kinds: list[str], lower: Lower) -> None:
    text = f"""{HEAD}(float[n,3,h,w] x) => (int64[{y}] o, float[n,3,hh,ww] kd) <{CODES}> {{ {IN}
        k = MaxPool<kernel_shape = [2,2]>(xd) kq = QuantizeLinear(k, s, z) kd = DequantizeLinear(kq, s, z)
        o = {node} }}"""
    assert sorted(lower(text, n=2, h=5, w=9)) == sorted(kinds)


@pytest.mark.parametrize("taken", ["uint8", "int8"])
def test_bytes_become_codes_by_a_table(taken: str, lower: Lower) -> None:
    text = f"""{HEAD}({taken}[2,5,9,3] x) => (float[2,3,5,9] y) <{CODES}, float m = {{117.0}}> {{
        f = Cast<to = 1>(x) d = Sub(f, m) e = Mul(d, t) o = Transpose<perm = [0,3,1,2]>(e)
        q = QuantizeLinear(o, s, z) y = DequantizeLinear(q, s, z) }}"""
    assert lower(text)[0] == "lookup"


@pytest.mark.parametrize(("to", "name"), [(8, "string"), (10, "float16"), (11, "double")])
def test_casts_to_types_that_programs_have_not_have_a_reason(to: int, name: str) -> None:
    text = f"{HEAD}(uint8[4] x) => (y) {{ y = Cast<to = {to}>(x) }}"
    graph = parse_model(text)
    (reason,) = reasons(graph).values()
    assert reason == f"a Cast to {name}"


def test_the_shape_of_what_is_not_computed_yet_is_refused() -> None:
    text = f"""{HEAD}(float[n,3,h,w] x) => (int64[4] y) <{CODES}> {{ {IN}
        k = AveragePool<kernel_shape = [2,2]>(xd) y = Shape(k) }}"""
    graph = parse_model(text)
    infer_shapes(graph)
    (reason,) = reasons(graph).values()
    assert "before it is known in what form" in reason


def test_each_node_that_no_program_can_run_has_a_reason() -> None:
    body = "l = RNN<hidden_size = 1>(xd, w, w) k = Add(xd, x) o = NonZero(x)"
    text = f"{HEAD}(float[1,3,6] x) => (int64[3,n] o) <{CODES}, float[1,3,1] w> {{ {IN} {body} }}"
    graph = parse_model(text)
    infer_shapes(graph)
    found = {node.op_type: reason for node, reason in reasons(graph).items()}
    assert found == {"RNN": "programs have no RNN", "NonZero": "programs have no NonZero"}


def test_what_is_random_or_no_tensor_is_refused() -> None:
    text = f"""{HEAD}(float[4] x, seq(float[4]) l) => (float[4] y, seq(float[4]) k) <bool on = {{1}}> {{
        y = Dropout(x, , on) k = Identity(l) }}"""
    found = {node.op_type: reason for node, reason in reasons(parse_model(text)).items()}
    assert found == {
        "Dropout": "a Dropout that drops at random",
        "Identity": "an input is not known to the program",
    }


def test_scales_for_each_channel_of_an_activation_are_refused() -> None:
    text = f"""{HEAD}(float[1,2,3] x) => (float[1,2,3] y) <float[2] s = {{1,2}}, uint8[2] z = {{0,0}}> {{
        q = QuantizeLinear<axis = 1>(x, s, z) y = DequantizeLinear<axis = 1>(q, s, z) }}"""
    graph = parse_model(text)
    infer_shapes(graph)
    assert set(reasons(graph).values()) == {"an activation with a scale for each channel or block"}


def test_what_is_no_model_is_an_error() -> None:
    model = ir.to_proto(parse_model(f"{HEAD}(float[4] x) => (float[4] y) {{ h = Relu(x) y = Neg(h) }}"))
    for bytes_ in (b"", b"no model"):
        with pytest.raises(LoadError):
            compile(bytes_)
    unsorted, dangling = onnx.ModelProto(), onnx.ModelProto()
    unsorted.CopyFrom(model)
    unsorted.graph.node.reverse()
    del unsorted.graph.value_info[:]
    dangling.CopyFrom(model)
    dangling.graph.node[0].input[0] = "nowhere"
    for broken in (unsorted, dangling):
        with pytest.raises(LoadError, match="not defined before it"):
            compile(broken)
