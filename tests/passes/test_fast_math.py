"""fast-math: equal numbers, though the sign of a zero or an infinity may differ."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass


@pytest.mark.parametrize("body", ["y = Add(x, c)", "y = Add(c, x)", "y = Sub(x, c)", "y = Clip(x)"])
def test_applies(body: str) -> None:
    text = f"g (float[N] x) => (float[N] z) <float c = {{0.0}}> {{ {body} z = Neg(y) }}"
    assert run_pass(text, "fast-math").ops == ["Neg"]


@pytest.mark.parametrize("body", ["y = Sub(c, x)", "y = Clip(x, c)", "y = Clip(x, , c)", "y = Mul(x, c)"])
def test_leaves_alone(body: str) -> None:
    text = f"g (float[N] x) => (float[N] z) <float c = {{0.0}}> {{ {body} z = Neg(y) }}"
    assert run_pass(text, "fast-math").changes == 0


def test_an_old_clip_holds_its_bounds_in_attributes() -> None:
    text = "g (float[N] x) => (float[N] z) { a = Clip<max = 2.0>(x) b = Clip(a) z = Neg(b) }"
    assert run_pass(text, "fast-math", opset=9).ops == ["Clip", "Neg"]


def test_a_zero_that_broadcasts_stays() -> None:
    text = "g (float[N, 1] x) => (float[N, 3] z) <float[3] c = {0.0, 0.0, 0.0}> { y = Add(x, c) z = Neg(y) }"
    run = run_pass(text, "fast-math")
    assert run.ops == ["Add", "Neg"] and sum(run.refusals.values()) == 1


@pytest.mark.parametrize(
    ("body", "ops"),
    [
        ("y = ReduceSum(x, k)", ["Neg"]),
        ("y = ReduceMean(x, k)", ["Neg"]),
        ("a = ReduceMean<keepdims = 0>(x, k) y = Unsqueeze(a, k)", ["Squeeze", "Unsqueeze", "Neg"]),
        ("y = GlobalAveragePool(x)", ["Neg"]),
        ("y = GlobalMaxPool(x)", ["Neg"]),
        ("y = AveragePool<kernel_shape = [1], strides = [1], pads = [0, 0]>(x)", ["Neg"]),
        ("y = MaxPool<kernel_shape = [1]>(x)", ["Neg"]),
    ],
)
def test_sums_means_and_pools_of_single_elements(body: str, ops: list[str]) -> None:
    text = f"g (float[N, 3, 1] x) => (float[N, 3, 1] z) <int64[1] k = {{2}}> {{ {body} z = Neg(y) }}"
    assert run_pass(text, "fast-math").ops == ops


@pytest.mark.parametrize("condition", ["bool[4] {1, 1, 1, 1}", "bool {0}"])
def test_where_with_a_constant_condition(condition: str) -> None:
    sides = "x, w" if "1" in condition.split("{")[1] else "w, x"
    text = f"""g (float[N, 4] x, float[N, 4] w) => (float[N, 4] z) {{
        c = Constant<value = {condition}>() y = Where(c, {sides}) z = Neg(y)
    }}"""
    assert run_pass(text, "fast-math,dce").ops == ["Neg"]


def test_where_that_broadcasts_the_side_taken_stays() -> None:
    text = """g (float[1, 4] x, float[N, 4] l) => (float[N, 4] z) {
        c = Constant<value = bool {1}>() y = Where(c, x, l) z = Neg(y)
    }"""
    run = run_pass(text, "fast-math")
    assert "Where" in run.ops
    assert run.refusals["where-of-one-side: the side taken is broadcast"] == 1
