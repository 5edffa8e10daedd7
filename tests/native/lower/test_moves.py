"""What only moves elements moves codes: before they are decoded, looked up or computed."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.native import compile
from graphopt.native.lower import lowered
from graphopt.native.lower.pointwise import apply
from graphopt.testing import parse_model

from .conftest import Lower

HEAD = '<ir_version: 10, opset_import: ["" : 20]> g '
CODES = "float s = {0.1}, uint8 z = {100}, float t = {0.05}, uint8 n = {0}"
MORE = """, int64[2] w = {21,2}, int64[1] b = {1}, int64[1] e = {3}, int64[1] a = {2}, int64[3] g = {2,0,2},
    int64[2] p = {1, 2}, int64[1,2,1,1] ge = {2,-3}, int64[2,2] gn = {0,2,0,-3}, int64[1,2,1] gb = {1,-1}"""


def in_float(body: str, y: str) -> str:
    """A model of codes that computes numbers."""
    return f"""{HEAD}(uint8[1,3,7,2] x) => (float[{y}] y) <{CODES}{MORE}> {{
        xd = DequantizeLinear(x, s, z) {body} }}"""


def behind_conv(body: str, y: str) -> str:
    """A model that computes of a Conv's codes, of 5 x 6 pixels with 4 channels, decoded as `xd`."""
    weights = "int8[4,3,1,1] k = {1,-2,3,-4,5,-6,7,-8,9,-10,11,-12}, float u = {0.05}"
    return f"""{HEAD}(uint8[1,3,5,6] x) => (float[{y}] y) <{CODES}{MORE}, {weights}> {{
        id = DequantizeLinear(x, s, z) kd = DequantizeLinear(k, u) conv = Conv(id, kd)
        cq = QuantizeLinear(conv, s, z) xd = DequantizeLinear(cq, s, z) {body} }}"""


@pytest.mark.parametrize("function", ["Identity", "Tanh"])
@pytest.mark.parametrize(
    ("move", "y", "kinds"),
    [
        ("y = Transpose<perm = [0,2,1,3]>(f)", "1,7,3,2", ["transpose"]),
        ("y = Reshape(f, w)", "21,2", ["reshape"]),
        ("r = Reshape(f, w) y = Transpose<perm = [1,0]>(r)", "2,21", ["reshape", "transpose"]),
        ("y = Slice(f, b, e, a)", "1,3,2,2", ["slice"]),
        ("y = Gather<axis = 2>(f, g)", "1,3,3,2", ["gather"]),
        ("y = GatherElements<axis = 1>(f, ge)", "1,2,1,1", ["gather_elements"]),
        ("y = GatherND(f, gn)", "2,7,2", ["gather_nd"]),
        ("y = GatherND<batch_dims = 1>(f, gb)", "1,2,7,2", ["gather_nd"]),
        ("l, r = Split<axis = 1>(f, p) y = Concat<axis = 1>(r, l)", "1,3,7,2", ["concat", "slice", "slice"]),
        ("q = Transpose<perm = [0,2,3,1]>(f) y = Softmax(q)", "1,7,2,3", ["softmax", "transpose"]),
    ],
)
def test_codes_are_moved_before_they_are_decoded(
    function: str, move: str, y: str, kinds: list[str], lower: Lower
) -> None:
    found = lower(in_float(f"f = {function}(xd) {move}", y), step=1e-6)
    moves = [kind for kind in found if kind not in ("decode", "dequantize")]
    assert sorted(moves) == kinds
    decoder = "dequantize" if function == "Identity" else "decode"
    if "softmax" not in kinds:
        assert found[-1] == decoder and found.count(decoder) == 1
    elif function == "Tanh":
        assert found == ["transpose", "decode", "softmax"]


@pytest.mark.parametrize("index", [0, 2, -1])
@pytest.mark.parametrize("function", ["Identity", "Tanh"])
def test_an_index_without_axes_takes_its_axis_away(function: str, index: int, lower: Lower) -> None:
    body = in_float(f"f = {function}(xd) y = Gather<axis = 1>(f, j)", "1,7,2")
    kinds = lower(body.replace(MORE, MORE + f", int64 j = {{{index}}}"), step=1e-6)
    assert "gather" in kinds


def test_the_numbers_are_the_same_to_the_bit() -> None:
    program = compile(parse_model(in_float("f = Gelu(xd) t1 = Reshape(f, w) y = Transpose(t1)", "2,21")))
    x = np.random.default_rng(0).integers(0, 256, (1, 3, 7, 2)).astype(np.uint8)
    decoded = (x.astype(np.float32) - 100) * np.float32(0.1)
    expected = apply("gelu", {}, decoded).reshape(21, 2).T
    assert program.run({"x": x})[0].tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("body", "y"),
    [
        ("c = Squeeze(xr, i) y = Identity(c)", "4,30"),
        ("r = Relu(xr) y = Squeeze(r, i)", "4,30"),
    ],
)
def test_axes_of_one_come_and_go_in_any_order_of_axes(body: str, y: str) -> None:
    text = behind_conv(f"xr = Reshape(xd, sh) {body}", y).replace(
        MORE, MORE + ", int64[3] sh = {1,4,30}, int64[1] i = {0}"
    )
    steps = lowered(parse_model(text)).steps.steps
    # Pixels are brought together by what brings the axes into order for the output, and nothing else.
    assert [step.kind for step in steps].count("transpose") == 2


def test_a_squeezed_image_keeps_its_channels_last(lower: Lower) -> None:
    text = f"""{HEAD}(float[1,3,1,9] x) => (float[1,4,1] y) <{CODES}, int64[1] i = {{2}},
        int8[4,3,1,2] k = {{1,-2,3,-4,5,-6,7,-8,9,-10,11,-12,1,2,3,4,5,6,7,8,9,1,2,3}}, float u = {{0.05}}> {{
        q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) kd = DequantizeLinear(k, u)
        conv = Conv(d, kd)
        cq = QuantizeLinear(conv, s, z) cd = DequantizeLinear(cq, s, z)
        f = Squeeze(cd, i) r = Gelu(f) y = GlobalMaxPool(r) }}"""
    found = lower(text)
    assert [kind for kind in found if kind != "reshape"] == ["quantize", "conv", "max_pool", "decode"]


@pytest.mark.parametrize("pool", ["GlobalMaxPool(f)", "MaxPool<kernel_shape = [2,2], pads = [1,0,1,1]>(f)"])
@pytest.mark.parametrize(
    ("function", "kinds"),
    [
        ("f = Relu(xd)", ["conv", "decode", "max_pool"]),  # codes are in the order of what they stand for
        ("f = Gelu(xd)", ["conv", "decode", "max_pool"]),  # their ranks are a table of the Conv
        ("f = Neg(xd)", ["conv", "decode", "max_pool"]),
        ("f = Log(xd)", ["conv", "decode", "max_pool"]),  # of numbers, since some are none
    ],
)
def test_the_greatest_numbers_are_those_of_the_greatest_ranks(
    pool: str, function: str, kinds: list[str], lower: Lower
) -> None:
    y = "1,4,1,1" if pool.startswith("Global") else "1,4,6,6"
    text = behind_conv(f"{function} y = {pool}", y)
    steps = lowered(parse_model(text)).steps.steps
    found = [step.kind for step in steps if step.kind not in ("transpose", "reshape")]
    assert sorted(found) == kinds
    assert (found.index("decode") < found.index("max_pool")) == ("Log" in function)
    if "Log" not in function:
        lower(text)


def test_windows_that_may_be_empty_are_pooled_as_numbers(lower: Lower) -> None:
    text = behind_conv(
        "f = Gelu(xd) y = MaxPool<kernel_shape = [2,2], strides = [3,3], ceil_mode = 1>(f)", "1,4,2,2"
    )
    found = lower(text)
    assert found.index("decode") < found.index("max_pool")


def test_rows_are_written_as_codes_where_they_are_only_reshaped_before(lower: Lower) -> None:
    body = """l = LayerNormalization(xd, ga, be) r = Unsqueeze(l, b)
        q = QuantizeLinear(r, s, z) y = DequantizeLinear(q, s, z)"""
    text = in_float(body, "1,1,3,7,2").replace(MORE, MORE + ", float[2] ga = {1,-2}, float[2] be = {0.5,1}")
    assert lower(text) == ["layer_norm", "reshape", "dequantize"]
    others = text.replace("(float[1,1,3,7,2] y)", "(float[1,1,3,7,2] y, float[1,3,7,2] l)")
    assert lower(others) == ["layer_norm", "reshape", "quantize", "dequantize"]


def test_equal_codes_are_joined_before_they_are_decoded(lower: Lower) -> None:
    body = """r = Transpose<perm = [0,1,3,2]>(xd) j = Reshape(r, w) k = Reshape(xd, w)
        y = Concat<axis = 1>(j, k)"""
    assert lower(in_float(body, "21,4")) == ["transpose", "reshape", "reshape", "concat", "dequantize"]
    assert lower(in_float("f = Tanh(xd) y = Concat<axis = 3>(f, f)", "1,3,7,4")) == ["concat", "decode"]
    other = "f = Tanh(xd) h = Sigmoid(xd) y = Concat<axis = 3>(f, h)"
    assert lower(in_float(other, "1,3,7,4"), step=1e-3) == ["decode", "decode", "concat"]


def test_a_table_is_applied_by_the_product_before_a_view(lower: Lower) -> None:
    body = "r = Reshape(xd, v) f = Gelu(r) q = QuantizeLinear(f, t, n) y = DequantizeLinear(q, t, n)"
    text = behind_conv(body, "2,60").replace(MORE, MORE + ", int64[2] v = {2,60}")
    assert "lookup" not in lower(text)
