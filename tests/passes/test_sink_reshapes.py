"""sink-reshapes: pairs of views with elementwise nodes and pads between them."""

from __future__ import annotations

import pytest

from graphopt.passes.layout.sink_reshapes import MOST_NODES
from graphopt.testing import PassRun, run_pass

CONSTS = """<int64[1] two = {2}, int64[1] three = {3}, float c = {0.5}, float[1, 1] d = {2},
    float[4, 1] w = {1, 2, 3, 4}, float[5] v = {1, 2, 3, 4, 5}, int64[6] pads = {0, 0, 1, 0, 1, 2},
    int64[6] bad = {0, 1, 0, 0, 0, 0}, int64[3] flat = {-1, 4, 5}, int64[2] joined = {-1, 20},
    int64[4] image = {-1, 4, 1, 5},
    float[20] wide = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}>"""


def run(body: str, opset: int = 18) -> PassRun:
    text = f"g (float[N, 4, 1, 5] x) => (float[A, B, C, D] y) {CONSTS} {{ r = Neg(x) {body} }}"
    return run_pass(text, "sink-reshapes", opset=opset)


DROPPED = {
    "unary": "a = Squeeze(r, two) b = Relu(a) y = Unsqueeze(b, two)",
    "several": "a = Squeeze(r, two) b = Relu(a) e = Sigmoid(b) f = Clip(e, c) y = Unsqueeze(f, two)",
    "a scalar": "a = Squeeze(r, two) b = Mul(c, a) y = Unsqueeze(b, two)",
    "a computed scalar": """n = ReduceMax<keepdims = 0>(x) a = Squeeze(r, two) b = Mul(a, n)
        y = Unsqueeze(b, two)""",
    "one element": "a = Squeeze(r, two) b = Div(a, d) y = Unsqueeze(b, two)",
    "a constant per channel": "a = Squeeze(r, two) b = Mul(a, w) y = Unsqueeze(b, two)",
    "a constant of the last axis": "a = Squeeze(r, two) b = Sub(v, a) y = Unsqueeze(b, two)",
    "spelled as reshapes": "a = Reshape(r, flat) b = Add(a, w) y = Reshape(b, image)",
    "joined axes": "a = Reshape(r, joined) b = HardSwish(a) y = Reshape(b, image)",
    "two operands": "e = Exp(x) a = Squeeze(r, two) b = Squeeze(e, two) f = Add(a, b) y = Unsqueeze(f, two)",
    "one operand twice": "a = Squeeze(r, two) b = Mul(a, a) y = Unsqueeze(b, two)",
    "pad": "a = Squeeze(r, two) b = Pad(a, pads, c) y = Unsqueeze(b, two)",
    "pad of the edge": 'a = Squeeze(r, two) b = Pad<mode = "edge">(a, pads) y = Unsqueeze(b, two)',
}


@pytest.mark.parametrize("body", DROPPED.values(), ids=DROPPED.keys())
def test_drops(body: str) -> None:
    assert not {"Squeeze", "Unsqueeze", "Reshape"} & set(run(body).ops)


def test_a_shared_first_view_stays_for_its_other_readers() -> None:
    text = f"""g (float[N, 4, 1, 5] x) => (float[A, B, C, D] y, float[E, F, G] z) {CONSTS} {{
        a = Squeeze(x, two) b = Relu(a) y = Unsqueeze(b, two) z = Softmax(a)
    }}"""
    assert run_pass(text, "sink-reshapes").ops == ["Squeeze", "Relu", "Softmax"]


REFUSED = {
    "another shape": ("a = Squeeze(r, two) b = Relu(a) y = Unsqueeze(b, three)", ""),
    "a constant of joined axes": (
        "a = Reshape(r, joined) b = Add(a, wide) y = Reshape(b, image)",
        "views-around-elementwise: an operand of the Add spans axes that are joined or split",
    ),
    "another operand that broadcasts": (
        "s = ReduceSum<keepdims = 0>(r, two) t = ReduceMax(s, two) a = Squeeze(r, two) b = Add(a, t) "
        "y = Unsqueeze(b, two)",
        "views-around-elementwise: an operand of the Add broadcasts",
    ),
    "no elementwise node": ("a = Squeeze(r, two) b = Softmax(a) y = Unsqueeze(b, two)", ""),
    "a reduction": ("a = Squeeze(r, two) b = CumSum(a, i) y = Unsqueeze(b, two)", ""),
}


@pytest.mark.parametrize(("body", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_leaves_alone(body: str, reason: str) -> None:
    found = run(body.replace("CumSum(a, i)", "CumSum(a, two)"))
    assert found.changes == 0
    assert set(found.refusals) == ({reason} if reason else set())


def test_pads_of_joined_axes_stay() -> None:
    text = f"""g (float[N, 4, 1, 5] x) => (float[A, B, C, D] y) {CONSTS} {{
        a = Reshape(x, spread) b = Pad(a, bad) y = Reshape(b, back)
    }}""".replace(
        "<int64[1] two", "<int64[3] spread = {-1, 20, 1}, int64[4] back = {-1, 21, 1, 1}, int64[1] two"
    )
    found = run_pass(text, "sink-reshapes")
    assert found.changes == 0


def test_what_is_used_in_between_stays() -> None:
    text = f"""g (float[N, 4, 1, 5] x) => (float[A, B, C, D] y, float[E, F, G] b) {CONSTS} {{
        a = Squeeze(x, two) b = Relu(a) y = Unsqueeze(b, two)
    }}"""
    assert run_pass(text, "sink-reshapes").changes == 0


def test_a_sum_of_constants_does_not_lose_its_axis() -> None:
    run = run_pass(
        """g (float[3] x) => (float[a] y) <int64 one = {1}, int64[1] zero = {0}> {
            two = Add(one, one)
            end = Unsqueeze(two, zero)
            y = Slice(x, zero, end)
        }""",
        "sink-reshapes",
    )
    assert run.changes == 0


def test_pads_in_an_attribute() -> None:
    body = """a = Squeeze<axes = [2]>(r) b = Pad<pads = [0, 0, 1, 0, 1, 2], value = 2.0>(a)
    y = Unsqueeze<axes = [2]>(b)"""
    found = run(body, opset=10)
    assert found.ops == ["Neg", "Pad"]
    assert list(found.node("Pad").attributes["pads"].as_ints()) == [0, 0, 0, 1, 0, 1, 0, 2]


@pytest.mark.parametrize(
    ("pad", "reason"),
    [
        ("Pad(a, joined_pads)", "views-around-elementwise: a Pad of axes that are joined or split"),
        ("Pad(a, given)", "views-around-elementwise: the pads are not constant"),
        ("Pad(a, no_pads, c, two)", "views-around-elementwise: the pads are not constant"),
    ],
)
def test_other_pads_stay(pad: str, reason: str) -> None:
    text = f"""g (float[3, 4, 1, 5] x, int64[4] given) => (float[A, B, C, D] y) {CONSTS} {{
        r = Neg(x) a = Reshape(r, rows) b = {pad} y = Reshape(b, image)
    }}""".replace(
        "<int64[1] two",
        "<int64[2] rows = {3, 20}, int64[4] joined_pads = {0, 5, 0, 0}, int64[2] no_pads = {0, 0},"
        " int64[1] two",
    )
    found = run_pass(text.replace("int64[1] two = {2}", "int64[1] two = {1}"), "sink-reshapes", inputs=())
    assert found.changes == 0
    assert set(found.refusals) == {reason}


def test_nothing_is_padded_where_axes_are_joined() -> None:
    text = f"""g (float[3, 4, 1, 5] x) => (float[A, B, C, D] y) {CONSTS} {{
        r = Neg(x) a = Reshape(r, rows) b = Pad(a, row_pads) y = Reshape(b, image)
    }}""".replace("<int64[1] two", "<int64[2] rows = {3, 20}, int64[4] row_pads = {1, 0, 2, 0}, int64[1] two")
    assert run_pass(text, "sink-reshapes").ops == ["Neg", "Pad"]


@pytest.mark.parametrize(
    ("one", "stays"), [("float[1, 1, 1] e = {2}", False), ("float[1, 1, 1, 1] e = {2}", True)]
)
def test_a_single_element_adds_no_axes(one: str, stays: bool) -> None:
    text = f"""g (float[4, 5] x) => (y) <{one}, int64[1] two = {{0}}> {{
        r = Neg(x) a = Unsqueeze(r, two) b = Mul(a, e) y = Squeeze(b, two)
    }}"""
    found = run_pass(text, "sink-reshapes")
    assert ("Unsqueeze" in found.ops) == stays


@pytest.mark.parametrize("length", [MOST_NODES, MOST_NODES + 1])
def test_long_chains_of_nodes_between_views(length: int) -> None:
    chain = " ".join(f"b{index + 1} = Relu(b{index})" for index in range(length))
    found = run(f"b0 = Squeeze(r, two) {chain} y = Unsqueeze(b{length}, two)")
    assert ("Squeeze" not in found.ops) == (length <= MOST_NODES)
