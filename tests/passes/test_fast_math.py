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
