"""Softmax and LogSoftmax in every spelling, and what only looks like them."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass

SHIFTED = "m = ReduceMax <axes = [2]> (x) d = Sub(x, m)"
SOFTMAX = {
    "exp over sum": "e = Exp(x) s = ReduceSum(e, last) y = Div(e, s)",
    "max subtracted": """
        m = ReduceMax <axes = [-1]> (x) d = Sub(x, m) e = Exp(d) s = ReduceSum(e, last) y = Div(e, s)""",
    "times the reciprocal": """
        m = ReduceMax <axes = [2]> (x) d = Sub(x, m) e = Exp(d) s = ReduceSum(e, last) r = Reciprocal(s)
        y = Mul(r, e)""",
    "one over the sum": """
        e = Exp(x) s = ReduceSum(e, last) r = Div(one, s) y = Mul(e, r)""",
    "negated twice": """
        m = ReduceMax <axes = [2]> (x) d = Sub(m, x) n = Neg(d) e = Exp(n) s = ReduceSum(e, last)
        y = Div(e, s)""",
    "power of e": """
        m = ReduceMax <axes = [2]> (x) d = Sub(x, m) e = Pow(euler, d) s = ReduceSum(e, last)
        y = Div(e, s)""",
    "without kept dimensions": """
        m = ReduceMax <axes = [2], keepdims = 0> (x) mu = Unsqueeze(m, last) d = Sub(x, mu) e = Exp(d)
        s = ReduceSum <keepdims = 0> (e, last) su = Reshape(s, shape) y = Div(e, su)""",
    "less its log-sum-exp": "l = ReduceLogSumExp <axes = [2]> (x) d = Sub(x, l) y = Exp(d)",
    "exp of LogSoftmax": "l = LogSoftmax <axis = 2> (x) y = Exp(l)",
    "maximum guarded": """
        m = ReduceMax <axes = [2]> (x) g = Max(m, lowest) d = Sub(x, g) e = Exp(d)
        s = ReduceSum(e, last) y = Div(e, s)""",
    "an infinite maximum guarded": """
        m = ReduceMax <axes = [2]> (x) i = IsInf(m) g = Where(i, zero, m) d = Sub(x, g) e = Exp(d)
        s = ReduceSum(e, last) y = Div(e, s)""",
    "turned around": """
        t = Transpose <perm = [0, 2, 1]> (x) u = Softmax <axis = 1> (t)
        y = Transpose <perm = [0, 2, 1]> (u)""",
    "times equal numbers": "t = Mul(x, ones) e = Exp(t) s = ReduceSum(e, last) y = Div(e, s)",
    "mean for the sum": """
        e = Exp(x) s = ReduceMean <axes = [2]> (e) q = Div(e, s) y = Mul(q, sixth)""",
}
CONSTANTS = """<int64[1] last = {2}, int64[3] shape = {0, -1, 1}, float one = {1}, float zero = {0},
    float euler = {2.7182817459106445}, float lowest = {-inf}, float sixth = {0.1666666716337204},
    float half = {0.5}, float tiny = {0.001}, int64[1] middle = {1}, int64[2] both = {1, 2},
    float[6] ones = {1, 1, 1, 1, 1, 1}>"""


def model(body: str, *, shape: str = "float[B,4,6]") -> str:
    return f"g ({shape} x) => ({shape} y) {CONSTANTS} {{ {body} }}"


@pytest.mark.parametrize("body", SOFTMAX.values(), ids=SOFTMAX.keys())
def test_every_spelling_of_softmax_is_found(body: str) -> None:
    run = run_pass(model(body), "fuse-softmax,dce", opset=17)
    assert run.ops == ["Softmax"]
    assert run.hits["Softmax"] == 1


@pytest.mark.parametrize(
    "body",
    [
        "s = Softmax <axis = 2> (x) y = Log(s)",
        "l = ReduceLogSumExp <axes = [2]> (x) y = Sub(x, l)",
        "e = Exp(x) s = ReduceSum(e, last) l = Log(s) y = Sub(x, l)",
        f"{SHIFTED} e = Exp(d) s = ReduceSum(e, last) l = Log(s) y = Sub(d, l)",
        f"{SHIFTED} e = Exp(d) s = ReduceSum(e, last) q = Div(e, s) y = Log(q)",
        "e = Exp(x) s = ReduceSum(e, last) l = Log(s) n = Neg(l) y = Add(n, x)",
        "e = Exp(x) s = ReduceSum(e, last) r = Reciprocal(s) q = Mul(r, e) y = Log(q)",
        f"{SHIFTED} l = ReduceLogSumExp <axes = [-1]> (d) y = Sub(d, l)",
        "e = Exp(x) l = ReduceLogSum <axes = [2]> (e) y = Sub(x, l)",
    ],
)
def test_every_spelling_of_log_softmax_is_found(body: str) -> None:
    assert run_pass(model(body), "fuse-softmax,dce", opset=17).ops == ["LogSoftmax"]


@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_along_any_axis_is_found(axis: int) -> None:
    body = f"""m = ReduceMax <axes = [{axis}]> (x) d = Sub(x, m) e = Exp(d)
        s = ReduceMean <axes = [{axis}]> (e) l = Log(s) n = Exp(l) q = Div(e, n) y = Mul(q, quarter)"""
    text = f"g (float[4,4,6] x) => (float[4,4,6] y) <float quarter = {{0.25}}> {{ {body} }}"
    run = run_pass(text, "fuse-softmax,dce", opset=17)
    assert run.ops == ["Softmax"]
    assert run.node("Softmax").attributes["axis"].as_int() == axis


def test_a_temperature_goes_in_front() -> None:
    body = f"{SHIFTED} t = Div(d, half) e = Exp(t) s = ReduceSum(e, last) y = Div(e, s)"
    assert run_pass(model(body), "fuse-softmax,dce", opset=17).ops == ["Mul", "Softmax"]


def test_half_precision_with_casts_is_found() -> None:
    body = """f = Cast <to = 1> (x) m = ReduceMax <axes = [2]> (f) d = Sub(f, m) e = Exp(d)
        s = ReduceSum(e, last) q = Div(e, s) y = Cast <to = 10> (q)"""
    assert run_pass(model(body, shape="float16[B,4,6]"), "fuse-softmax,dce", opset=17).ops == ["Softmax"]


def test_before_opset_13_another_axis_than_the_last_waits_for_a_newer_one() -> None:
    body = "e = Exp(x) s = ReduceSum <axes = [1]> (e) y = Div(e, s)"
    text = f"g (float[B,4,6] x) => (float[B,4,6] y) {{ {body} }}"
    run = run_pass(text, "fuse-softmax,dce", opset=12)
    assert run.refusals == {"fuse-softmax: needs opset 13, and the model is at 12": 1}
    last = text.replace("[1]", "[2]")
    assert run_pass(last, "fuse-softmax,dce", opset=12).ops == ["Softmax"]


def test_shared_powers_stay_where_they_are_needed() -> None:
    body = f"""{SHIFTED} e = Exp(d) s = ReduceSum(e, last) y = Div(e, s)
        z = Relu(e)"""
    text = model(body).replace("y)", "y, float[B,4,6] z)")
    run = run_pass(text, "fuse-softmax,dce", opset=17)
    assert sorted(run.ops) == ["Exp", "ReduceMax", "Relu", "Softmax", "Sub"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            f"""{SHIFTED} e = Exp(d) s = ReduceSum(e, last) p = Add(s, tiny)
            y = Div(e, p)""",
            "nearly Softmax: it gives",
        ),
        (
            f"""{SHIFTED} e = Exp(d) s = ReduceSum(e, last) p = Mul(s, almost)
            y = Div(e, p)""",
            "nearly Softmax: it gives",
        ),
        (
            """m = ReduceMax <axes = [2]> (x) i = IsInf(m) g = Where(i, zero, m) d = Sub(x, g) e = Exp(d)
            s = ReduceSum(e, last) p = Max(s, tiny) y = Div(e, p)""",
            "nearly Softmax: it gives 0 for a row of -inf",
        ),
        (
            """m = ReduceMax <axes = [1, 2]> (x) d = Sub(x, m) e = Exp(d) s = ReduceSum(e, both)
            y = Div(e, s)""",
            "nearly Softmax: it runs over axes 1, 2 at once",
        ),
        (
            "l = ReduceLogSumExp <axes = [1, 2]> (x) y = Sub(x, l)",
            "nearly LogSoftmax: it runs over axes 1, 2 at once",
        ),
    ],
    ids=["sum enlarged", "sum scaled", "row of -inf", "two axes", "two axes of logarithms"],
)
def test_what_nearly_is_a_softmax_stays_with_a_reason(body: str, reason: str) -> None:
    text = model(body).replace("float half", "float almost = {1.0005}, float half")
    run = run_pass(text, "fuse-softmax", opset=17)
    assert not run.changes
    assert [each for each in run.refusals if each.startswith(f"fuse-softmax: {reason}")], run.refusals


def test_a_guard_behind_softmax_stays() -> None:
    body = """e = Exp(x) s = ReduceSum(e, last) q = Div(e, s) n = IsNaN(q) y = Where(n, zero, q)"""
    assert run_pass(model(body), "fuse-softmax,dce", opset=17).ops == ["Softmax", "IsNaN", "Where"]


def test_a_maximum_along_another_axis_is_no_part_of_it() -> None:
    body = f"{SHIFTED} e = Exp(d) s = ReduceSum(e, middle) y = Div(e, s)"
    run = run_pass(model(body), "fuse-softmax,dce", opset=17)
    assert run.ops == ["ReduceMax", "Sub", "Softmax"]
    assert run.node("Softmax").attributes["axis"].as_int() == 1


def test_an_inner_axis_of_images_stays_spelled_where_that_is_faster() -> None:
    body = "m = ReduceMax <axes = [1]> (x) d = Sub(x, m) e = Exp(d) s = ReduceSum(e, middle) y = Div(e, s)"
    run = run_pass(model(body, shape="float[B,4,H,W]"), "fuse-softmax", opset=17)
    (reason,) = run.refusals
    assert reason.startswith("fuse-softmax: Softmax kept as 5 nodes: the operator takes ")
    turned = """
        t = Transpose <perm = [0, 2, 3, 1]> (x) s = Softmax <axis = 3> (t)
        y = Transpose <perm = [0, 3, 1, 2]> (s)"""
    assert run_pass(model(turned, shape="float[B,4,H,W]"), "fuse-softmax", opset=17).ops == ["Softmax"]


def test_what_a_softmax_is_made_of_may_be_one_itself() -> None:
    """The logarithm stays, as others use it, and is written by the same run."""
    run = run_pass(
        """g (float[2,4] x) => (float[2,4] y, float[2,4] z) <int64[1] last = {1}, float two = {2}> {
            e = Exp(x) s = ReduceSum(e, last) p = Div(e, s) y = Log(p)
            h = Sub(y, two) i = Add(h, two) z = Exp(i)
        }""",
        "fuse-softmax",
    )
    assert sorted(run.ops) == ["LogSoftmax", "Softmax"]
