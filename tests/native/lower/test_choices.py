"""Relations, Where and what torch exports attention with; reductions and Expand, on codes and on floats."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.ir import infer_shapes
from graphopt.native import compile, reasons
from graphopt.native.lower import lowered
from graphopt.testing import parse_model

from .conftest import Lower

CODES = "float s = {0.1}, uint8 z = {100}, float zero = {0}, float far = {-1000}, float odd = {0.123}"
IN = "xq = QuantizeLinear(x, s, z) xd = DequantizeLinear(xq, s, z) "
Q = " yq = QuantizeLinear(k, s, z) y = DequantizeLinear(yq, s, z)"


def model(body: str, x: str, y: str, more: str = "", constants: str = "") -> str:
    """A model of `x`, decoded as `xd`, that computes `k`, which is encoded and decoded to `y`."""
    constants = f", {constants}" if constants else ""
    return (
        f'<ir_version: 9, opset_import: ["" : 18]> g (float[{x}] x{more}) => (float[{y}] y) '
        f"<{CODES}{constants}> {{ {IN} {body} {Q} }}"
    )


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        ("c = Greater(xd, zero) k = Where(c, xd, zero)", ["compare", "where"]),
        ("c = Less(x, zero) n = Neg(x) k = Where(c, n, x)", ["compare", "where"]),
        ("c = LessOrEqual(xd, zero) k = Where(c, far, xd)", ["compare", "where"]),
        ("c = GreaterOrEqual(zero, x) d = Not(c) k = Where(d, x, odd)", ["compare", "where"]),
        ("a = Less(x, zero) b = Greater(xd, odd) c = Or(a, b) k = Where(c, x, zero)", ["compare", "where"]),
        ("a = Less(x, zero) b = Greater(xd, odd) c = And(a, b) k = Cast<to = 1>(c)", ["compare", "where"]),
        ("a = Less(x, zero) b = Greater(xd, odd) c = Xor(a, b) k = Where(c, x, zero)", ["compare", "where"]),
        ("c = Equal(xd, x) k = Where(c, xd, zero)", ["compare", "where"]),
        ("n = IsNaN(xd) k = Where(n, zero, xd)", []),
        ("n = IsNaN(xd) k = Where(n, xd, zero)", []),
        ("f = Softmax(xd) n = IsNaN(f) k = Where(n, zero, f)", ["softmax"]),
        ("m = Mul(x, x) n = IsNaN(m) k = Where(n, zero, m)", ["unary"]),
        ("m = Mul(x, x) n = IsNaN(m) k = Where(n, m, zero)", ["compare", "where"]),
    ],
)
def test_choices_agree_with_onnxruntime(body: str, kinds: list[str], lower: Lower) -> None:
    found = lower(model(body, "2,3,5", "2,3,5"))
    assert all(kind in found for kind in kinds)
    assert ("where" in found) == ("where" in kinds)


def test_codes_of_one_grid_are_chosen_as_codes(lower: Lower) -> None:
    body = "c = Greater(x, zero) t = Transpose<perm = [0, 2, 1]>(xd) k = Where(c, xd, t)"
    assert lower(model(body, "2,3,3", "2,3,3")).count("dequantize") == 1


def test_a_mask_of_the_caller_or_of_the_graph_is_broadcast(lower: Lower) -> None:
    given = model("k = Where(m, xd, far)", "2,4,3,5", "2,4,3,5", ", bool[1,1,3,5] m")
    fixed = model("k = Where(m, far, xd)", "2,4,1,3", "2,4,1,3", constants="bool[1,1,3] m = {0, 1, 0}")
    for text in (given, fixed):
        assert "where" in lower(text)


def test_what_is_no_number_behind_a_softmax_is_replaced() -> None:
    text = """<ir_version: 9, opset_import: ["" : 18]> g (float[4,6] x) => (float[4,6] y)
        <float s = {0.00390625}, uint8 z = {0}, float zero = {0}> {
        f = Softmax(x) n = IsNaN(f) w = Where(n, zero, f) q = QuantizeLinear(w, s, z)
        y = DequantizeLinear(q, s, z) }"""
    program = compile(parse_model(text))
    x = np.zeros((4, 6), np.float32)
    x[1], x[2, 3:] = -np.inf, -np.inf
    (found,) = program.run([x])
    np.testing.assert_array_equal(found, program.reference([x])[0])
    np.testing.assert_array_equal(found[1], 0)
    np.testing.assert_allclose(found[2, :3], 1 / 3, atol=1 / 256)
    assert [step.kind for step in lowered(parse_model(text)).steps.steps] == ["softmax", "dequantize"]


@pytest.mark.parametrize(
    ("body", "y"),
    [
        ("k = ReduceSum<keepdims = 0>(xd, last)", "2,3,5"),
        ("k = ReduceSum(xd, images)", "2,3,1,1"),
        ("k = ReduceMax(xd, images)", "2,3,1,1"),
        ("k = ReduceMin<keepdims = 0>(x, channels)", "2,5,4"),
        ("p = MaxPool<kernel_shape = [2,2], pads = [1,1,0,0]>(xd) k = ReduceL2(p, images)", "2,3,1,1"),
        ("p = MaxPool<kernel_shape = [2,2], pads = [1,1,0,0]>(xd) k = ReduceL1<keepdims=0>(p, ends)", "3,5"),
        ("k = ReduceSumSquare(x, last)", "2,3,5,1"),
        ("a = Abs(xd) k = ReduceLogSum(a, last)", "2,3,5,1"),
        ("k = ReduceSum<keepdims = 0>(xd)", ""),
        ("k = ReduceSum<noop_with_empty_axes = 0>(xd)", "1,1,1,1"),
    ],
)
def test_reductions_agree_with_onnxruntime(body: str, y: str, lower: Lower) -> None:
    axes = "int64[1] last = {-1}, int64[2] images = {2, 3}, int64[1] channels = {1}, int64[2] ends = {0, -1}"
    text = model(body, "2,3,5,4", y, constants=axes).replace("float[] y", "float y")
    assert "reduce" in lower(text)


@pytest.mark.parametrize(
    ("body", "x", "y"),
    [
        ("k = Expand(xd, shape)", "2,1,1,3", "2,1,4,3"),
        ("k = Expand(x, shape)", "1,3", "2,1,4,3"),
        ("k = Expand(xd, shape)", "rows,1,4,3", "rows,2,4,3"),
        ("r = Relu(xd) k = Expand(r, shape)", "4,1", "2,1,4,3"),
    ],
)
def test_expanded_codes_are_codes(body: str, x: str, y: str, lower: Lower) -> None:
    shape = "1,2,1,1" if x.startswith("rows") else "2,1,4,3"
    found = lower(model(body, x, y, constants=f"int64[4] shape = {{{shape}}}"), rows=3)
    assert "expand" in found


def test_constants_are_computed_whatever_operators_make_them(lower: Lower) -> None:
    fixed = "float[2,2] t = {0.5, -1, 2, 3}, int64[3,1] i = {1, 0, 1}, int64 n = {3}"
    found = lower(model("g = GatherND(t, i) w = ReduceSum(g) k = Add(xd, w)", "2,3", "2,3", constants=fixed))
    assert "reduce" not in found


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("k = ReduceSum<noop_with_empty_axes = 1>(xd)", "over no axes"),
        ("k = ReduceSum(xd, n)", "input 1 is computed"),
        ("p = Pow(n, n) k = Relu(xd)", "a power of integers"),
    ],
)
def test_what_it_cannot_be_made_of_has_a_reason(body: str, reason: str) -> None:
    graph = parse_model(model(body, "2,3", "2,3", ", int64[1] n").replace(Q, " y = Identity(k)"))
    infer_shapes(graph)
    (found,) = reasons(graph).values()
    assert reason in found


@pytest.mark.parametrize("k", [-(2**63), -2, 0, 1, 9, 2**63 - 1])
@pytest.mark.parametrize("upper", [0, 1])
def test_triangles_of_matrices(upper: int, k: int, lower: Lower) -> None:
    def text(type: str, sizes: str) -> str:
        return f"""<ir_version: 9, opset_import: ["" : 18]> g ({type}[{sizes}] x) => ({type}[{sizes}] y)
            <int64 k = {{{k}}}> {{ y = Trilu<upper = {upper}>(x, k) }}"""

    assert lower(text("float", "2,4,5"), step=0)[-1] == "where"
    assert "range" in lower(text("float", "b,n,m"), step=0, b=2, n=4, m=5)
    for sizes in ({"n": 7, "m": 3}, {"n": 2, "m": 9}, {"n": 1, "m": 1}):
        lower(text("int64", "n,m"), step=0, **sizes)


def test_the_mask_of_what_comes_later_is_made_of_sizes(lower: Lower) -> None:
    body = """l = Shape<start = 1>(x) h = Concat<axis = 0>(l, l)
        e = ConstantOfShape<value = float[1] {1.0}>(h) t = Trilu<upper = 0>(e) k = MatMul(xd, t)"""
    for length in (1, 6):
        lower(model(body, "2,n", "2,n"), n=length)


def test_one_side_of_codes_is_zero(lower: Lower) -> None:
    assert "where" in lower(model("k = Trilu(xd)", "2,4,5", "2,4,5"))
