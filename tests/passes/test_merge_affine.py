"""Chains of Mul, Div, Add, Sub and Neg by constants become at most one Mul and one Add."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphopt.testing import run_pass

Weights = Callable[..., str]


@pytest.mark.parametrize(
    ("body", "ops"),
    [
        ("a = Mul(x, p)  y = Mul(q, a)", ["Mul"]),
        ("a = Mul(x, p)  y = Div(a, q)", ["Mul"]),
        ("a = Div(x, p)  y = Div(a, q)", ["Mul"]),
        ("a = Add(x, p)  y = Sub(a, q)", ["Add"]),
        ("a = Sub(p, x)  y = Sub(a, q)", ["Sub"]),
        ("a = Neg(x)  y = Add(a, q)", ["Sub"]),
        ("a = Sub(p, x)  y = Neg(a)", ["Add"]),
        ("a = Sub(p, x)  y = Sub(q, a)", ["Add"]),
        ("a = Mul(x, p)  y = Neg(a)", ["Mul"]),
        ("a = Add(x, p)  b = Mul(a, q)  c = Sub(b, r)  y = Div(c, p)", ["Mul", "Add"]),
        ("a = Mul(x, p)  b = Add(a, q)  y = Mul(b, r)", ["Mul", "Add"]),
        ("a = Mul(x, p)  b = Add(a, q)  c = Neg(b)  d = Add(c, r)  y = Mul(d, r)", ["Mul", "Add"]),
        ("a = Add(x, p)  y = Mul(a, q)", ["Add", "Mul"]),
        ("a = Mul(x, p)  y = Add(a, q)", ["Mul", "Add"]),
        ("a = Mul(x, p)  b = Relu(a)  y = Mul(b, q)", ["Mul", "Relu", "Mul"]),
        ("a = Mul(x, p)  y = Div(q, a)", ["Mul", "Div"]),
    ],
)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (4, 1)])
def test_chains(weights: Weights, body: str, ops: list[str], shape: tuple[int, ...]) -> None:
    text = weights(p=shape, q=(), r=shape)
    run = run_pass(f"agraph (float[2,4,3] x) => (float[2,4,3] y) {text} {{ {body} }}", "merge-affine")
    assert run.ops == ops


def test_what_cancels_out_vanishes() -> None:
    run = run_pass(
        """agraph (float[3] x) => (float[3] y) <float c = {4.0}> {
            a = Mul(x, c)  b = Div(a, c)  d = Add(b, c)  e = Sub(d, c)  y = Relu(e)
        }""",
        "merge-affine,dce",
    )
    assert run.ops == ["Relu"]


def test_what_cancels_out_but_broadcasts_stays() -> None:
    run = run_pass(
        """agraph (float[3] x) => (float[2,3] y) <float[2,1] c = {4.0, 2.0}> {
            a = Add(x, c)  y = Sub(a, c)
        }""",
        "merge-affine",
    )
    assert run.refusals == {"merge-chain: the merged constants would broadcast to another shape": 1}


def test_two_vectors_do_not_become_a_matrix(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[4,3] x) => (float[4,3] y) {weights(p=(4, 1), q=(3,))} {{
            a = Mul(x, p)  y = Mul(a, q)
        }}""",
        "merge-affine",
    )
    assert run.refusals == {"merge-chain: the merged constant would be larger": 1}


@pytest.mark.parametrize("reader", ["z = Relu(a)", "z = Identity(a)"])
def test_a_value_read_in_between_stays(weights: Weights, reader: str) -> None:
    run = run_pass(
        f"""agraph (float[3] x) => (float[3] y, float[3] z) {weights(p=(), q=())} {{
            a = Mul(x, p)  y = Mul(a, q)  {reader}
        }}""",
        "merge-affine",
    )
    assert not run.changes


def test_integers_stay() -> None:
    run = run_pass(
        "agraph (int64[3] x) => (int64[3] y) <int64 p = {2}, int64 q = {3}> { a = Mul(x, p)  y = Div(a, q) }",
        "merge-affine",
    )
    assert not run.changes


@pytest.mark.parametrize(("p", "q"), [("1e30", "1e30"), ("1e-30", "1e-30")])
def test_constants_that_leave_the_range_stay(p: str, q: str) -> None:
    run = run_pass(
        f"""agraph (float[3] x) => (float[3] y) <float p = {{{p}}}, float q = {{{q}}}> {{
            a = Mul(x, p)  y = Mul(a, q)
        }}""",
        "merge-affine",
    )
    assert not run.changes
    assert "float32" in next(iter(run.refusals))


@pytest.mark.parametrize("number", ["inf", "-inf", "nan", "0.0"])
def test_constants_that_are_no_numbers_stay(number: str) -> None:
    run = run_pass(
        f"""agraph (float[3] x) => (float[3] y) <float p = {{{number}}}, float q = {{2.0}}> {{
            a = Div(x, p)  y = Mul(a, q)
        }}""",
        "merge-affine",
        inputs=(),
    )
    assert not run.changes


def test_masks_of_minus_infinity_stay() -> None:
    run = run_pass(
        """agraph (float[2] x) => (float[2] y) <float[2] p = {0.0, -inf}, float[2] q = {0.0, -inf}> {
            a = Add(x, p)  y = Add(a, q)
        }""",
        "merge-affine",
    )
    assert not run.changes


def test_long_chains_take_linear_time(weights: Weights) -> None:
    steps = " ".join(f"v{i + 1} = {'Mul' if i % 2 else 'Add'}(v{i}, {'pq'[i % 2]})" for i in range(400))
    run = run_pass(
        f"agraph (float[3] v0) => (float[3] v400) <float p = {{0.01}}, float q = {{-1.0}}> {{ {steps} }}",
        "merge-affine,dce",
    )
    assert len(run.ops) <= 2
