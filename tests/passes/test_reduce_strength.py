"""Powers, quotients and negations in cheaper operators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphopt.testing import run_pass

POSITIVE = [{"x": np.linspace(0.1, 9.0, 24, dtype=np.float32).reshape(2, 4, 3)}]


@pytest.mark.parametrize(
    ("exponent", "ops"),
    [
        ("2.0", ["Mul"]),
        ("4.0", ["Mul", "Mul"]),
        ("0.5", ["Sqrt"]),
        ("1.5", ["Sqrt", "Mul"]),
        ("-0.5", ["Sqrt", "Reciprocal"]),
        ("-1.0", ["Reciprocal"]),
        ("-2.0", ["Mul", "Reciprocal"]),
    ],
)
@pytest.mark.parametrize("shape", ["", "[1]", "[1,1,1]", "[3]"])
def test_powers(exponent: str, ops: list[str], shape: str) -> None:
    elements = ", ".join([exponent] * (3 if shape == "[3]" else 1))
    run = run_pass(
        f"agraph (float[2,4,3] x) => (float[2,4,3] y) <float{shape} e = {{{elements}}}> {{ y = Pow(x, e) }}",
        "reduce-strength",
        inputs=POSITIVE,
    )
    assert run.ops == ops


def test_a_power_by_integers_and_in_float16() -> None:
    run = run_pass(
        "agraph (float16[2,3] x) => (float16[2,3] y) <int64 e = {2}> { y = Pow(x, e) }", "reduce-strength"
    )
    assert run.ops == ["Mul"]


@pytest.mark.parametrize("exponent", ["3.0", "2.0001", "0.0", "nan"])
def test_other_powers_stay(exponent: str) -> None:
    run = run_pass(
        f"agraph (float[3] x) => (float[3] y) <float e = {{{exponent}}}> {{ y = Pow(x, e) }}",
        "reduce-strength",
    )
    assert not run.changes
    if exponent != "nan":
        assert run.refusals == {"power: no cheaper form of this power": 1}


def test_powers_of_integers_stay() -> None:
    run = run_pass("agraph (int64[3] x) => (int64[3] y) <int64 e = {2}> { y = Pow(x, e) }", "reduce-strength")
    assert not run.changes


def test_an_exponent_that_broadcasts_stays() -> None:
    run = run_pass(
        "agraph (float[3] x) => (float[2,3] y) <float[2,1] e = {2.0, 2.0}> { y = Pow(x, e) }",
        "reduce-strength",
    )
    assert run.refusals == {"power: the constant may broadcast the other operand": 1}


@pytest.mark.parametrize(
    ("body", "ops"),
    [
        ("y = Div(x, c)", ["Mul"]),
        ("y = Div(one, x)", ["Reciprocal"]),
        ("a = Div(one, z)  y = Mul(x, a)", ["Div"]),
        ("a = Reciprocal(z)  y = Mul(a, x)", ["Div"]),
        ("a = Reciprocal(z)  y = Div(x, a)", ["Mul"]),
        ("a = Div(x, z)  y = Reciprocal(a)", ["Div"]),
        ("a = Reciprocal(x)  y = Reciprocal(a)  unused = Add(x, z)", ["Identity"]),
        ("a = Mul(x, x)  y = Sqrt(a)", ["Abs"]),
        ("a = Pow(x, two)  y = Sqrt(a)", ["Abs"]),
        ("a = Abs(x)  b = Abs(x)  y = Mul(a, b)", ["Mul"]),
        ("a = Neg(z)  y = Add(x, a)", ["Sub"]),
        ("a = Neg(z)  y = Add(a, x)", ["Sub"]),
        ("a = Neg(z)  y = Sub(x, a)", ["Add"]),
        ("a = Neg(x)  b = Neg(z)  y = Mul(a, b)", ["Mul"]),
        ("a = Neg(x)  b = Neg(z)  y = Div(a, b)", ["Div"]),
        ("a = Sub(x, z)  y = Neg(a)", ["Sub"]),
    ],
)
def test_quotients_and_negations(body: str, ops: list[str]) -> None:
    rng = np.random.default_rng(0)
    feed = {name: rng.uniform(0.5, 2.0, (2, 3)).astype(np.float32) for name in "xz"}
    run = run_pass(
        f"""agraph (float[2,3] x, float[2,3] z) => (float[2,3] out) <
            float[3] c = {{3.0, -2.0, 7.0}}, float one = {{1.0}}, float two = {{2.0}}
        > {{ {body} out = Identity(y) }}""",
        "reduce-strength,eliminate-identities,dce",
        inputs=[feed],
    )
    assert run.ops == ops


def test_a_reciprocal_that_is_broadcast_saves_divisions() -> None:
    run = run_pass(
        """agraph (float[2,3] x, float[2,1] z) => (float[2,3] y) {
            a = Reciprocal(z)  y = Mul(x, a)
        }""",
        "reduce-strength",
    )
    assert run.refusals == {
        "multiplied-reciprocal: the reciprocal is broadcast, so that it saves divisions": 1
    }


@pytest.mark.parametrize("divisor", ["0.0", "1e-45", "inf"])
def test_divisors_without_an_inverse_stay(divisor: str) -> None:
    run = run_pass(
        f"agraph (float[3] x) => (float[3] y) <float c = {{{divisor}}}> {{ y = Div(x, c) }}",
        "reduce-strength",
        inputs=(),
    )
    assert not run.changes and len(run.refusals) == 1


def test_division_of_integers_stays() -> None:
    run = run_pass("agraph (int64[3] x) => (int64[3] y) <int64 c = {3}> { y = Div(x, c) }", "reduce-strength")
    assert not run.changes


def test_a_shared_reciprocal_stays() -> None:
    run = run_pass(
        """agraph (float[3] x, float[3] z) => (float[3] y, float[3] a) {
            a = Reciprocal(z)  y = Mul(x, a)
        }""",
        "reduce-strength",
    )
    assert not run.changes


@pytest.mark.parametrize(("size", "changes"), [(16384, 1), (16385, 0)])
def test_a_big_divisor_that_others_use_is_not_copied(
    weights: Callable[..., str], size: int, changes: int
) -> None:
    text = f"""g (float[{size}] x) => (float[{size}] y, float[{size}] z) {weights(c=(size,))} {{
        y = Div(x, c)  z = Add(x, c) }}"""
    assert run_pass(text, "reduce-strength").changes == changes
