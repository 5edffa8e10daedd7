"""merge-clips: one Clip with the right bounds, whatever the order and overlap of the intervals."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.ir import scalar
from graphopt.testing import run_pass

HEAD = """float m2 = {-2.0}, float m1 = {-1.0}, float zero = {0.0},
    float p1 = {1.0}, float p3 = {3.0}, float p6 = {6.0}"""


def chain(body: str) -> str:
    return f"g (float[N, 5] x) => (float[N, 5] y) <{HEAD}> {{ {body} }}"


@pytest.mark.parametrize(
    ("body", "low", "high"),
    [
        ("a = Clip(x, m1, p3) y = Clip(a, zero, p6)", 0, 3),
        ("a = Clip(x, m2, m1) y = Clip(a, p1, p3)", 1, 1),  # disjoint
        ("a = Clip(x, p1, p3) y = Clip(a, m2, m1)", -1, -1),
        ("a = Clip(x, p3, p1) y = Clip(a, zero, p6)", 1, 1),  # minimum above maximum: the maximum wins
        ("a = Relu(x) y = Clip(a, m1, p6)", 0, 6),
        ("a = Relu(x) y = Clip(a, p1)", 1, None),
        ("a = Clip(x, , p6) y = Relu(a)", 0, 6),
        ("a = Clip(x, p1) y = Relu(a)", 1, None),
        ("a = Clip(x, m1) y = Clip(a, , p6)", -1, 6),
        ("a = Clip(x) y = Relu(a)", 0, None),
        ("a = Clip(x, m1, p6) b = Relu(a) y = Clip(b, , p3)", 0, 3),
    ],
)
def test_bounds(body: str, low: float | None, high: float | None) -> None:
    run = run_pass(chain(body), "merge-clips,dce")
    assert run.ops == ["Clip"]
    bounds = [*run.node("Clip").inputs[1:], None, None][:2]
    assert [scalar(bound) for bound in bounds] == [low, high]


def test_nothing_is_left_of_a_negative_interval_under_relu() -> None:
    run = run_pass(chain("a = Clip(x, m2, m1) y = Relu(a)"), "merge-clips")  # 0 everywhere, never -0
    assert run.ops == ["Clip", "Relu"]
    assert run.refusals["clip-of-clip: the merged Clip would change the sign of zeros"] == 1
    integers = """g (int64[N] x) => (int64[N] y) <int64 l = {-2}, int64 h = {-1}> {
        a = Clip(x, l, h) y = Relu(a)
    }"""
    run = run_pass(integers, "merge-clips")
    assert [scalar(bound) for bound in run.node("Clip").inputs[1:]] == [0, 0]


def test_infinite_bounds() -> None:
    text = """g (float[N, 5] x) => (float[N, 5] y) {
        zero = Constant<value_float = 0.0>() one = Constant<value_float = 1.0>()
        inf = Div(one, zero) a = Relu(x) y = Clip(a, one, inf)
    }"""
    run = run_pass(text, "merge-clips")
    assert run.refusals["clip-of-clip: a bound is not a constant number"] == 1


@pytest.mark.parametrize(("dtype", "opset"), [("int64", 18), ("int8", 18), ("double", 18)])
def test_other_types(dtype: str, opset: int) -> None:
    text = f"""g ({dtype}[N] x) => ({dtype}[N] y) <{dtype} l = {{-3}}, {dtype} h = {{2}}> {{
        a = Clip(x, l) b = Clip(a, , h) y = Relu(b)
    }}"""
    assert run_pass(text, "merge-clips").ops == ["Clip"]


def test_half_precision() -> None:
    text = """g (float16[N] x) => (float16[N] y) {
        l = Constant<value = float16 {15360}>() a = Relu(x) y = Clip(a, l)
    }"""
    inputs = [{"x": np.array([np.nan, np.inf, -np.inf, -3, 0.5, 2], np.float16)}]
    assert run_pass(text, "merge-clips", inputs=inputs).ops == ["Clip"]


def test_bounds_in_attributes() -> None:
    text = """g (float[N] x) => (float[N] y) {
        a = Clip<min = -1.0, max = 6.0>(x) b = Clip<max = 3.0>(a) y = Relu(b)
    }"""
    run = run_pass(text, "merge-clips", opset=9)
    assert run.ops == ["Clip"]
    assert {name: attribute.as_float() for name, attribute in run.node("Clip").attributes.items()} == {
        "min": 0.0,
        "max": 3.0,
    }


def test_an_inner_clip_with_other_users_stays_beside() -> None:
    text = f"""g (float[N] x) => (float[N] y, float[N] z) <{HEAD}> {{
        a = Clip(x, m1, p3) y = Relu(a) z = Neg(a)
    }}"""
    assert sorted(run_pass(text, "merge-clips").ops) == ["Clip", "Clip", "Neg"]


def test_computed_bounds_are_refused() -> None:
    text = "g (float[N] x, float h) => (float[N] y) { a = Relu(x) y = Clip(a, , h) }"
    run = run_pass(text, "merge-clips")
    assert run.ops == ["Relu", "Clip"]
    assert run.refusals["clip-of-clip: a bound is not a constant number"] == 1
