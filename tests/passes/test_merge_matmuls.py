"""Products of one value with several matrices become one product and a Split."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphopt.testing import run_pass

Weights = Callable[..., str]


def _text(weights: Weights, body: str) -> str:
    text = weights(q=(4, 6), k=(4, 6), v=(4, 2), bq=(6,), bk=(6,), bv=(2,))
    return f"""agraph (float[B,L,4] x) => (float[B,L,6] yq, float[B,L,6] yk, float[B,L,2] yv) {text} {{
        {body}  yq = Relu(a)  yk = Relu(b)  yv = Relu(c)
    }}"""


@pytest.mark.parametrize(
    ("body", "ops"),
    [
        ("a = MatMul(x, q)  b = MatMul(x, k)  c = MatMul(x, v)", ["MatMul", "Split"]),
        (
            "m = MatMul(x, q)  n = MatMul(x, k)  o = MatMul(x, v)  "
            "a = Add(m, bq)  b = Add(bk, n)  c = Add(o, bv)",
            ["MatMul", "Add", "Split"],
        ),
        (
            "m = MatMul(x, q)  a = Add(m, bq)  b = MatMul(x, k)  c = MatMul(x, v)",
            ["MatMul", "Split", "Add"],
        ),
    ],
)
@pytest.mark.parametrize("opset", [11, 18])
def test_projections(weights: Weights, body: str, ops: list[str], opset: int) -> None:
    run = run_pass(_text(weights, body), "merge-matmuls", opset=opset)
    assert run.ops == [*ops, "Relu", "Relu", "Relu"]


def test_large_matrices_stay(weights: Weights) -> None:
    body = "a = MatMul(x, q)  b = MatMul(x, k)  c = MatMul(x, v)"
    run = run_pass(_text(weights, body), "merge-matmuls{largest=20}")
    assert run.refusals == {"a matrix of 24 elements: the Split would cost more than is saved": 1}


def test_shared_matrices_stay(weights: Weights) -> None:
    body = "a = MatMul(x, q)  b = MatMul(x, q)  c = MatMul(x, v)"
    run = run_pass(_text(weights, body), "merge-matmuls")
    assert run.refusals == {"a matrix is used elsewhere, or a product is an output of the graph": 1}


def test_products_of_several_values_stay(weights: Weights) -> None:
    body = "z = Neg(x)  w = Abs(x)  a = MatMul(x, q)  b = MatMul(z, k)  c = MatMul(w, v)"
    assert not run_pass(_text(weights, body), "merge-matmuls").changes


def test_products_of_a_product_that_was_merged() -> None:
    run_pass(
        """
        g (float[1,1] x) => (float[1,1] a, float[1,1] b)
        <float[1,1] p = {1}, float[1,1] q = {2}, float[1,1] r = {3}, float[1,1] s = {4}> {
            t = MatMul (x, p)
            u = MatMul (x, q)
            v = MatMul (u, r)
            w = MatMul (u, s)
            a = Add (t, u)
            b = Add (v, w)
        }
        """,
        "merge-matmuls",
    )
