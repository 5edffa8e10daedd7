"""Integers, casts, and sizes that are computed of sizes, as in what exporters write for shapes that vary."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.errors import GraphoptError
from graphopt.ir import infer_shapes
from graphopt.native import compile, reasons
from graphopt.native.compiled import compile_regions
from graphopt.testing import parse_model

from .conftest import Lower

CODES = (
    "float s = {0.1}, uint8 z = {100}, int64 zero = {0}, int64 one = {1}, int64[1] o = {0}, int64[1] i = {1}"
)
IN = "xq = QuantizeLinear(x, s, z) xd = DequantizeLinear(xq, s, z) "


def model(body: str, ports: str, more: str = "", opset: int = 18) -> str:
    more = f", {more}" if more else ""
    return f'<ir_version: 9, opset_import: ["" : {opset}]> g {ports} <{CODES}{more}> {{ {body} }}'


@pytest.mark.parametrize("kind", ["int32", "int64"])
@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ("y = Clip(n, a, b)", ["binary", "binary"]),
        ("y = Clip(n, , b)", ["binary"]),
        ("c = Mul(n, n) d = Add(c, m) y = Sub(d, b)", ["binary", "binary", "binary"]),
        ("c = Min(n, m, b) y = Max(c, a)", ["binary", "binary", "binary"]),
        ("c = Div(n, b) y = Add(c, m)", ["binary", "binary"]),
        ("y = Neg(n)", ["binary"]),
        ("y = Abs(n)", ["binary", "binary"]),
        ("t = Transpose(m) u = Transpose(t) y = Add(u, n)", ["binary"]),
    ],
)
def test_integers_are_computed_as_onnxruntime_does(
    body: str, kinds: list[str], kind: str, lower: Lower
) -> None:
    ports = f"({kind}[3,4] n, {kind}[3,4] m) => ({kind}[3,4] y)"
    found = lower(model(body, ports, f"{kind} a = {{-1}}, {kind} b = {{257}}"), step=0.0)
    assert [each for each in found if each != "reshape"] == kinds


@pytest.mark.parametrize("kind", ["int32", "int64"])
@pytest.mark.parametrize(
    ("op", "y"), [("ReduceSum", "3,1"), ("ReduceMax", "3,1"), ("ReduceMin<keepdims = 0>", "3")]
)
def test_integers_are_reduced(op: str, y: str, kind: str, lower: Lower) -> None:
    text = model(f"c = Clip(n, a, b) y = {op}(c, i)", f"({kind}[3,40] n) => ({kind}[{y}] y)")
    text = text.replace("<float", f"<{kind} a = {{-90}}, {kind} b = {{90}}, float")
    assert lower(text, step=0.0)[-1] == "reduce"


@pytest.mark.parametrize("kind", ["int32", "int64", "float"])
@pytest.mark.parametrize("how", ["", "<exclusive = 1>", "<reverse = 1>", "<exclusive = 1, reverse = 1>"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_running_sums(axis: int, how: str, kind: str, lower: Lower) -> None:
    text = model(f"y = CumSum{how}(n, a)", f"({kind}[3,4,5] n) => ({kind}[3,4,5] y)", f"int64 a = {{{axis}}}")
    assert lower(text, step=1e-5) == ["cumulate"]


@pytest.mark.parametrize(
    ("read", "to"),
    [
        ("int64", 9),
        ("int64", 1),
        ("int64", 6),
        ("int32", 7),
        ("int32", 1),
        ("bool", 7),
        ("float", 7),
        ("float", 9),
    ],
)
def test_casts(read: str, to: int, lower: Lower) -> None:
    made = {9: "bool", 1: "float", 6: "int32", 7: "int64"}[to]
    kinds = lower(model(f"y = Cast<to = {to}>(n)", f"({read}[50,4] n) => ({made}[50,4] y)"), step=0.0)
    assert kinds[-1] == ("where" if read == "bool" else "cast")


def test_codes_of_a_table_are_chosen_by_clipped_bytes(lower: Lower) -> None:
    """As a classifier of files begins."""
    table = ",".join(str(number * 7 % 100) for number in range(12))
    body = "c = Clip(n, a, b) t = DequantizeLinear(q, s, z) g = Gather(t, c) y = Relu(g)"
    more = f"int32 a = {{-1}}, int32 b = {{5}}, uint8[6,2] q = {{{table}}}"
    assert "gather" in lower(model(body, "(int32[n,4] n) => (float[n,4,2] y)", more), n=3)


@pytest.mark.parametrize(
    ("body", "y", "kinds"),
    [
        # A table of positions, as long as the input.
        (
            "h = Shape<start = 1, end = 2>(x) p = Slice(t, o, h, i, i) y = Add(x, p)",
            "n,l,4",
            {"slice", "shape"},
        ),
        ("h = Shape(x) l = Gather(h, i) p = Slice(t, o, l, i) y = Add(xd, p)", "n,l,4", {"slice", "shape"}),
        ("h = Shape(x) l = Slice(h, i, j) d = Sub(l, i) y = Slice(t, d, l, i)", "1,1,4", {"slice", "binary"}),
        # Numbers of places.
        (
            "h = Shape(x) l = Gather(h, one) r = Range(zero, l, one) y = Cast<to = 1>(r)",
            "l",
            {"range", "cast"},
        ),
        (
            "h = Shape<start = 1, end = 2>(x) l = Squeeze(h) r = Range(zero, l, one) n = Shape<end = 2>(x) "
            "e = Expand(r, n) y = Cast<to = 1>(e)",
            "n,l",
            {"range", "expand"},
        ),
        # Shapes put together.
        (
            "h = Shape<end = 2>(x) e = Concat<axis = 0>(h, w) r = Reshape(xd, e) y = Relu(r)",
            "n,l,2,2",
            {"reshape"},
        ),
        (
            "h = Shape<end = 2>(x) e = Concat<axis = 0>(h, w) y = Reshape<allowzero = 1>(x, e)",
            "n,l,2,2",
            {"reshape"},
        ),
        (
            "h = Shape<end = 2>(x) c = ConstantOfShape(h) u = Unsqueeze(c, k) y = Add(x, u)",
            "n,l,4",
            {"expand"},
        ),
        ("u = Unsqueeze(x, o) y = Relu(u)", "1,n,l,4", {"reshape"}),
        ("r = ReduceSum<keepdims = 0>(x, k) q = Add(r, ones) y = Relu(q)", "1,n,l", {"reduce", "reshape"}),
    ],
)
def test_sizes_of_sizes(body: str, y: str, kinds: set[str], lower: Lower) -> None:
    table = f"float[1,7,4] t = {{{','.join(str(number / 8) for number in range(28))}}}"
    more = f"{table}, int64[1] j = {{2}}, int64[2] w = {{2,2}}, int64[1] k = {{2}}, float[1,1,1] ones = {{1}}"
    text = model(IN + body, f"(float[n,l,4] x) => (float[{y}] y)", more)
    for length in (5, 1, 7):
        assert kinds <= set(lower(text, n=3, l=length))


def test_axes_without_elements_are_reshaped_to_such() -> None:
    text = model("y = Add(x, m)", "(float[n,l,4] x, float[2,n,l,4] m) => (float[2,n,l,4] y)")
    program = compile(parse_model(text))
    for rows, length in ((0, 3), (3, 0), (3, 2)):
        x, m = np.ones((rows, length, 4), np.float32), np.ones((2, rows, length, 4), np.float32)
        np.testing.assert_array_equal(program.run([x, m])[0], x + m)


def test_what_is_not_computed_yet_is_reshaped_and_cut_wherever_it_is_read(lower: Lower) -> None:
    body = """wd = DequantizeLinear(w, u) m = MatMul(xd, wd) h = Shape<end = 2>(x) e = Concat<axis = 0>(h, j)
        r = Reshape(m, e) c = Slice(r, o, i, o) f = Reshape(c, k) y = Add(f, f)"""
    weights = "int8[4,4] w = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16}, float u = {0.1}"
    more = f"{weights}, int64[2] j = {{2,2}}, int64[1] k = {{-1}}"
    text = model(IN + body, "(float[n,l,4] x) => (float[m] y)", more)
    assert lower(text, n=3, l=2).count("reshape") == 2


def test_the_shape_of_what_is_not_computed_yet_is_that_of_an_input(lower: Lower) -> None:
    body = IN + "m = MatMul(xd, wd) h = Shape(m) e = Slice(h, o, i) y = ConstantOfShape(e)"
    weights = "int8[4,2] w = {1,2,3,4,5,6,7,8}, float u = {0.1}"
    text = model(
        body.replace("m =", "wd = DequantizeLinear(w, u) m ="), "(float[n,l,4] x) => (float[n] y)", weights
    )
    assert "expand" in lower(text, n=3, l=2)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("y = Slice(x, o, n, o)", "input 2 is computed, not constant, and of more than sizes"),
        ("y = Expand(one, n)", "input 1 is computed, not constant, and of more than sizes"),
        ("y = ConstantOfShape(n)", "input 0 is computed, not constant, and of more than sizes"),
        (
            "l = Squeeze(n) y = Range(zero, l, one)",
            "input 1 is computed, not constant, and of more than sizes",
        ),
        ("h = Cast<to = 1>(n) f = ReduceSum<keepdims = 0>(h) y = Range(f, f, f)", "input 0 is computed"),
        ("y = Add(n, m)", "a function of s64 and s32"),
        ("y = Concat<axis = 0>(n, m)", "a Concat of several types"),
        ("y = Pow(n, n)", "a power of integers"),
        ("y = Sqrt(n)", "a function of integers: sqrt"),
    ],
)
def test_sizes_of_elements_have_a_reason(body: str, reason: str) -> None:
    graph = parse_model(model(body, "(float[l,4] x, int64[1] n, int32[1] m) => (y)"))
    infer_shapes(graph)
    assert any(reason in found for found in reasons(graph).values())
    with pytest.raises(GraphoptError):
        compile(graph)


def test_a_region_that_computes_sizes_of_what_it_is_given_is_none() -> None:
    """A runtime beside the program computes them: the program would learn them only as it runs."""
    body = """f = Relu(n) c = Cast<to = 7>(f) e = Reshape(c, i) t = DequantizeLinear(q, s, z)
        p = Slice(t, o, e, o)
        pq = QuantizeLinear(p, s, z) pd = DequantizeLinear(pq, s, z) w = DequantizeLinear(v, s)
        y = MatMul(pd, w)"""
    more = "uint8[9,2] q = {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18}, int8[2,2] v = {1,2,3,4}"
    graph = parse_model(model(body, "(float[1] n) => (float[m,2] y)", more))
    infer_shapes(graph)
    outcome = compile_regions(graph)
    assert all("Slice" not in [node.op_type for node in each.region.nodes] for each in outcome.compiled)


def test_constants_of_sizes_that_are_known_are_constants() -> None:
    body = "h = Shape(x) l = Squeeze(h) r = Range(zero, l, one) f = Cast<to = 1>(r) y = Add(x, f)"
    program = compile(parse_model(model(body, "(float[5] x) => (float[5] y)")))
    np.testing.assert_array_equal(program.run([np.zeros(5, np.float32)])[0], np.arange(5))


@pytest.mark.parametrize(
    ("body", "x", "y", "given", "made"),
    [
        ("y = Unsqueeze(x, i)", "b,l", "b,1,l", (0, 8), (0, 1, 8)),
        ("y = Unsqueeze(x, i)", "b,l", "b,1,l", (2, 0), (2, 1, 0)),
        ("y = Squeeze(x, i)", "t,1,b,h", "t,b,h", (0, 1, 3, 4), (0, 3, 4)),
        ("y = Flatten(x)", "b,c,d", "b,m", (0, 3, 4), (0, 12)),
        ("y = Flatten(x)", "b,c,d", "b,m", (2, 3, 0), (2, 0)),
    ],
)
def test_axes_without_elements_leave_others_as_they_are(
    body: str, x: str, y: str, given: tuple[int, ...], made: tuple[int, ...]
) -> None:
    program = compile(parse_model(model(body, f"(float[{x}] x) => (float[{y}] y)", "int64[1] i = {1}")))
    inputs = {"x": np.zeros(given, np.float32)}
    assert program.run(inputs)[0].shape == program.reference(inputs)[0].shape == made
