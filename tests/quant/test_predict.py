"""What runs on codes in onnxruntime, and the reasons why the rest does not: rule by rule."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir
import pytest

from graphopt.execute.optimized import optimized
from graphopt.quant.predict import FLOAT, GONE, INT8, WEIGHT_ONLY, Placement, predict
from graphopt.report.audit import runs_in
from graphopt.targets import Target

RULES = Target.load("ort-cpu").quantization
assert RULES is not None

CONV = """<ir_version: 8, opset_import: ["" : 13]>
main (float[1,2,4,4] x) => (float[1,3,4,4] y)
<float s = {0.1}, uint8 z = {0}, float t = {0.05}, uint8 u = {0}, int8[3,2,1,1] w = {1, 2, 3, 4, 5, 6},
 float[3] ws = {0.02, 0.02, 0.02}, int8[3] wz = {0, 0, 0}, int32[3] b = {1, 2, 3},
 float[3] bs = {0.002, 0.002, 0.002}, int32[3] bz = {0, 0, 0}>
{
    xq = QuantizeLinear (x, s, z)
    xd = DequantizeLinear (xq, s, z)
    wd = DequantizeLinear <axis = 0> (w, ws, wz)
    bd = DequantizeLinear <axis = 0> (b, bs, bz)
    [conv] c = Conv (xd, wd, bd)
    cq = QuantizeLinear (c, t, u)
    y = DequantizeLinear (cq, t, u)
}"""


def judged(text: str, *changes: tuple[str, str]) -> dict[str, Placement]:
    """Placements by node; onnxruntime runs each of those nodes as predicted."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    model = ir.from_onnx_text(text)
    assert RULES is not None
    placements = predict(model, RULES)
    run = optimized(model)
    for placement in placements:
        kinds = {runs_in(each) for each in run.of(placement.node) if "antizeLinear" not in each.operator}
        assert placement.runs_in == GONE or kinds in ({placement.runs_in}, set()), placement.reason
    return {placement.node.name or "": placement for placement in placements}


def test_a_conv_between_dq_and_q_runs_on_codes() -> None:
    conv = judged(CONV)["conv"]
    assert (conv.runs_in, conv.kernel, conv.heavy, conv.cause) == (INT8, "QLinearConv", True, "")
    assert conv.reason == "Conv 'conv' runs in int8: DequantizeLinear before it, QuantizeLinear behind it"


NO_Q: Sequence[tuple[str, str]] = [
    ("cq = QuantizeLinear (c, t, u)\n    y = DequantizeLinear (cq, t, u)", "y = Tanh (c)")
]
TWO = ("y = DequantizeLinear (cq, t, u)", "y = DequantizeLinear (cq, t, u)\n    [tanh] v = Tanh (c)")
SIGNED = [
    ("uint8 z", "int8 z"),
    ("uint8 u", "int8 u"),
    ("xd = ", "e = DequantizeLinear (xq, s, z)\n    v = Tanh (e)\n    xd = "),
    ("(float[1,3,4,4] y)", "(float[1,3,4,4] y, float[1,2,4,4] v)"),
]


@pytest.mark.parametrize(
    ("changes", "cause", "reason"),
    [
        (
            [("(float[1,3,4,4] y)", "(float[1,3,4,4] y, float[1,3,4,4] c)")],
            "its output is a graph output",
            "Conv 'conv' runs in float: its output is a graph output, so no Q can follow it",
        ),
        (
            NO_Q,
            "no Q follows it, but Tanh",
            "Conv 'conv' runs in float: its output goes to the Tanh that writes 'y', not to a QuantizeLinear",
        ),
        (
            [TWO, ("(float[1,3,4,4] y)", "(float[1,3,4,4] y, float[1,3,4,4] v)")],
            "its output goes elsewhere besides to a QuantizeLinear",
            "Conv 'conv' runs in float: its output goes to a QuantizeLinear and to Tanh 'tanh', and a "
            "QuantizeLinear alone must read it",
        ),
        (
            [("xd = DequantizeLinear (xq, s, z)", "xd = Tanh (x)")],
            "its input is not quantized",
            "Conv 'conv' runs in float: its input 'xd' comes from the Tanh that writes 'xd', not from a "
            "DequantizeLinear",
        ),
        (
            SIGNED,
            "its activations are int8 and several nodes read them; uint8 ones would do",
            "Conv 'conv' runs in float: its input 'xd' has codes of int8, and Conv takes uint8 there; they "
            "are read 2 times, and only those read once become uint8",
        ),
        (
            [("bs = {0.002, 0.002, 0.002}", "bs = {0.002, 0.004, 0.002}")],
            "its bias has another scale than its input times its weights",
            "Conv 'conv' runs in float: its bias 'bd' does not have the scale of its input times that of its "
            "weights",
        ),
        (
            [
                ("cq = QuantizeLinear (c,", "[relu] r = Relu (c)\n    cq = QuantizeLinear (r,"),
                ("u = {0}", "u = {9}"),
            ],
            "the Relu behind it is not absorbed: the Q's range goes beyond it",
            "Conv 'conv' runs in float: the QuantizeLinear behind Relu 'relu' has codes from -0.45 to 12.3, "
            "some of which stand for numbers below 0",
        ),
        (
            [("bd = DequantizeLinear <axis = 0> (b, bs, bz)", "bd = Identity (bs)"), *NO_Q],
            "its bias is not quantized",
            "Conv 'conv' runs in float: its bias 'bd' is in float, with no DequantizeLinear",
        ),
        (
            [
                ("bd = DequantizeLinear <axis = 0> (b, bs, bz)", "bd = Tanh (v)"),
                ("(float[1,2,4,4] x)", "(float[1,2,4,4] x, float[3] v)"),
            ],
            "its bias is computed",
            "Conv 'conv' runs in float: its bias 'bd' comes from the Tanh that writes 'bd', neither "
            "constant nor dequantized",
        ),
        (
            [("uint8 u", "uint16 u"), ("13", "21"), ("uint8 z", "uint16 z")],
            "its input has codes of uint16",
            "Conv 'conv' runs in float: its input 'xd' has codes of uint16, and Conv takes uint8 there",
        ),
    ],
)
def test_a_conv_left_in_float_says_why(changes: Sequence[tuple[str, str]], cause: str, reason: str) -> None:
    conv = judged(CONV, *changes)["conv"]
    assert (conv.runs_in, conv.cause, conv.reason) == (FLOAT, cause, reason)


@pytest.mark.parametrize(
    "changes",
    [
        [("cq = QuantizeLinear (c,", "r = Relu (c)\n    cq = QuantizeLinear (r,")],
        [("cq = QuantizeLinear (c,", "i = Identity (c)\n    cq = QuantizeLinear (i,")],
        [("cq = QuantizeLinear (c,", "m = MaxPool <kernel_shape = [1, 1]> (c)\n    cq = QuantizeLinear (m,")],
        [("bd = DequantizeLinear <axis = 0> (b, bs, bz)", "bd = Identity (bs)")],
        [("uint8 z", "int8 z"), ("uint8 u", "int8 u")],
        [("int8[3,2,1,1] w", "uint8[3,2,1,1] w"), ("int8[3] wz", "uint8[3] wz")],
    ],
)  # fmt: skip
def test_what_a_conv_may_have_around_it(changes: Sequence[tuple[str, str]]) -> None:
    assert judged(CONV, *changes)["conv"].runs_in == INT8


PAIR = """<ir_version: 8, opset_import: ["" : 13]>
main (float[2,4] x, float[2,4] v) => (float[N,M] y)
<float s = {0.1}, uint8 z = {3}, float t = {0.1}, uint8 u = {3}, float h = {0.5}>
{
    xq = QuantizeLinear (x, s, z)
    xd = DequantizeLinear (xq, s, z)
    vq = QuantizeLinear (v, s, z)
    vd = DequantizeLinear (vq, s, z)
    [it] c = OP
    cq = QuantizeLinear (c, t, u)
    y = DequantizeLinear (cq, t, u)
}"""


@pytest.mark.parametrize(
    ("op", "kernel"),
    [
        ("Add (xd, vd)", "com.microsoft.QLinearAdd"),
        ("Mul (xd, xd)", "com.microsoft.QLinearMul"),
        ("Concat <axis = 1> (xd, vd)", "com.microsoft.QLinearConcat"),
        ("Sigmoid (xd)", "com.microsoft.QLinearSigmoid"),
        ("LeakyRelu (xd)", "com.microsoft.QLinearLeakyRelu"),
        ("Softmax (xd)", "com.microsoft.QLinearSoftmax"),
        ("Transpose <perm = [1, 0]> (xd)", "Transpose"),
        ("Flatten (xd)", "Flatten"),
    ],
)
def test_what_runs_on_codes(op: str, kernel: str) -> None:
    found = judged(PAIR, ("OP", op))["it"]
    assert (found.runs_in, found.kernel) == (INT8, kernel)


@pytest.mark.parametrize("op", ["Sub (xd, vd)", "Div (xd, vd)", "Tanh (xd)", "HardSigmoid (xd)"])
def test_what_has_no_integer_form_is_not_listed(op: str) -> None:
    assert "it" not in judged(PAIR, ("OP", op))


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        ("Add (xd, h)", "its constant 'h' is in float, with no DequantizeLinear"),
        ("Add (xd, v)", "its input 'v' comes from a graph input, not from a DequantizeLinear"),
    ],
)
def test_every_term_must_be_quantized(op: str, reason: str) -> None:
    found = judged(PAIR, ("OP", op))["it"]
    assert (found.runs_in, found.reason) == (FLOAT, f"Add 'it' runs in float: {reason}")


def test_what_moves_elements_needs_one_scale() -> None:
    found = judged(PAIR, ("OP", "Flatten (xd)"), ("t = {0.1}", "t = {0.2}"))["it"]
    assert (found.runs_in, found.cause) == (FLOAT, "Flatten needs one scale on both sides")
    assert found.reason.endswith(
        "its input has uint8 of scale 0.1 and zero point 3, its output uint8 of scale 0.2 and zero point 3"
    )


PRODUCT = """<ir_version: 8, opset_import: ["" : 13]>
main (float[2,4] x) => (float[2,3] y)
<float s = {0.1}, uint8 z = {3}, int8[4,3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, float ws = {0.02},
 int8 wz = {0}, float[3] b = {1, 2, 3}, float t = {0.3}>
{
    xq = QuantizeLinear (x, s, z)
    xd = DequantizeLinear (xq, s, z)
    wd = DequantizeLinear (w, ws, wz)
    [product] y = MatMul (xd, wd)
}"""


def test_a_product_needs_no_q() -> None:
    found = judged(PRODUCT)["product"]
    assert (found.runs_in, found.kernel) == (INT8, "com.microsoft.MatMulIntegerToFloat")


@pytest.mark.parametrize(
    ("behind", "runs"),
    [
        ("y = Add (p, b)", FLOAT),  # a Gemm, whose bias stays in float
        ("a = Add (p, b)\n    q = QuantizeLinear (a, t, z)\n    y = DequantizeLinear (q, t, z)", INT8),
        ("r = Relu (p)\n    y = Tanh (r)", FLOAT),  # taken for one that a Q makes redundant
        ("r = Tanh (p)\n    y = Tanh (r)", INT8),
    ],
)
def test_what_stands_behind_a_product(behind: str, runs: str) -> None:
    changes = (("y = MatMul (xd, wd)", f"p = MatMul (xd, wd)\n    {behind}"),)
    assert judged(PRODUCT, *changes)["product"].runs_in == runs


def test_what_is_not_quantized_at_all_says_so() -> None:
    found = judged(
        PRODUCT, ("MatMul (xd, wd)", "MatMul (x, v)"), ("(float[2,4] x)", "(float[2,4] x, float[4,3] v)")
    )
    assert found["product"].cause == "nothing of it is quantized"


def test_weights_alone_in_codes() -> None:
    found = judged(PRODUCT, ("MatMul (xd, wd)", "MatMul (x, wd)"))["product"]
    assert (found.runs_in, found.kernel) == (WEIGHT_ONLY, "com.microsoft.MatMulNBits")


def test_weights_alone_whose_scale_another_shares_stay_in_float() -> None:
    found = judged(
        PRODUCT,
        ("MatMul (xd, wd)", "MatMul (xd, wd)\n    [other] v = MatMul (x, wd)"),
        ("(float[2,3] y)", "(float[2,3] y, float[2,3] v)"),
        ("ws = {0.02}", "ws = {0.1}"),
    )
    assert found["other"].runs_in == FLOAT


def test_operators_of_codes_and_dynamic_ones() -> None:
    found = judged("""<ir_version: 8, opset_import: ["" : 13]>
    main (float[2,4] x) => (int32[2,3] y)
    <int8[4,3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}>
    {
        q, s, z = DynamicQuantizeLinear (x)
        [product] y = MatMulInteger (q, w, z)
    }""")["product"]
    assert (found.runs_in, found.kernel) == (INT8, "MatMulInteger")


def test_bodies_are_judged_by_themselves() -> None:
    found = judged("""<ir_version: 8, opset_import: ["" : 13]>
    main (bool c, float[2,4] x) => (float[2,4] y)
    <float s = {0.1}, uint8 z = {3}>
    {
        xq = QuantizeLinear (x, s, z)
        xd = DequantizeLinear (xq, s, z)
        y = If (c) <
            then_branch = yes () => (float[2,4] a) {
                [outside] o = Sigmoid (xd)
                oq = QuantizeLinear (o, s, z)
                a = DequantizeLinear (oq, s, z)
            },
            else_branch = no () => (float[2,4] b) {
                e = DequantizeLinear (xq, s, z)
                [inside] i = Sigmoid (e)
                iq = QuantizeLinear (i, s, z)
                b = DequantizeLinear (iq, s, z)
            }>
    }""")
    assert found["inside"].runs_in == INT8
    assert found["outside"].runs_in == FLOAT and "outside this body" in found["outside"].reason


def test_a_prediction_changes_nothing() -> None:
    model = ir.from_onnx_text(CONV)
    before = ir.to_proto(model).SerializeToString()
    assert RULES is not None
    predict(model, RULES)
    assert ir.to_proto(model).SerializeToString() == before


def test_constants_are_computed_ahead() -> None:
    found = judged(
        PRODUCT,
        ("MatMul (xd, wd)", "MatMul (xd, wd)\n    [early] v = Reshape (b, i)"),
        ("float t", "int64[2] i = {3, 1}, float t"),
        ("(float[2,3] y)", "(float[2,3] y, float[3,1] v)"),
    )
    assert found["early"].runs_in == GONE


FUNCTION = """<ir_version: 8, opset_import: ["" : 13, "own" : 1]>
main (float[2,4] x) => (float[2,4] y, float[2,4] v)
<float s = {0.1}, uint8 z = {3}>
{
    xq = QuantizeLinear (x, s, z)
    xd = DequantizeLinear (xq, s, z)
    a = own.gate (xd)
    q = QuantizeLinear (a, s, z)
    y = DequantizeLinear (q, s, z)
    v = own.gate (x)
}
<domain: "own", opset_import: ["" : 13]>
gate (i) => (o)
{
    [inside] o = Sigmoid (i)
}"""


def test_a_function_is_judged_at_each_of_its_calls() -> None:
    assert RULES is not None
    found = predict(ir.from_onnx_text(FUNCTION), RULES)
    assert sorted(each.runs_in for each in found) == [FLOAT, INT8]
    assert {each.node.name for each in found} == {"inside"}
