"""A Gemm adds a computed matrix."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphopt.testing import run_pass

Weights = Callable[..., str]


def _text(weights: Weights, body: str, result: str = "N,4") -> str:
    text = weights(w=(3, 4), v=(5, 4), wt=(4, 3), b=(4,), c=(1, 4), d=(1,))
    inputs = "float[N,3] x, float[N,5] h, float[N,4] y0, float[4] row"
    return f"agraph ({inputs}) => (float[{result}] y) {text} {{ {body} }}"


@pytest.mark.parametrize(
    "body",
    [
        "g = Gemm(x, w)  k = Gemm(h, v)  y = Add(g, k)",
        "g = Gemm(x, w, b)  k = Gemm(h, v)  y = Add(k, g)",
        "g = Gemm(x, w, b)  k = Gemm(h, v, c)  y = Add(g, k)",
        "g = Gemm(x, w, d)  k = Gemm(h, v, b)  y = Add(g, k)",
        "g = Gemm<alpha=0.5, beta=2.0>(x, w, b)  k = Gemm<beta=3.0>(h, v, c)  y = Add(g, k)",
        "g = Gemm<transB=1>(x, wt, b)  k = MatMul(h, v)  y = Add(g, k)",
        "g = MatMul(x, w)  k = MatMul(h, v)  y = Add(g, k)",
    ],
)
def test_two_products(weights: Weights, body: str) -> None:
    assert run_pass(_text(weights, body), "sum-into-gemm").ops == ["Gemm", "Gemm"]


@pytest.mark.parametrize("body", ["g = Gemm(x, w)  y = Add(g, y0)", "g = MatMul(x, w)  y = Add(y0, g)"])
def test_a_product_and_a_matrix(weights: Weights, body: str) -> None:
    assert run_pass(_text(weights, body), "sum-into-gemm").ops == ["Gemm"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("g = Gemm(x, w, b)  y = Add(g, y0)", "the Gemm has a bias already"),
        ("g = Gemm(x, w)  y = Add(g, row)", "what is added is no matrix of the same size"),
        ("g = Gemm(x, w)  y = Add(g, g)", "what is added is no matrix of the same size"),
    ],
)
def test_others_stay(weights: Weights, body: str, reason: str) -> None:
    run = run_pass(_text(weights, body), "sum-into-gemm")
    assert not run.changes and f"sum-of-product-and-matrix: {reason}" in run.refusals


def test_batches_stay(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[2,N,3] x, float[2,N,4] z) => (float[2,N,4] y) {weights(w=(3, 4))} {{
            g = MatMul(x, w)  y = Add(g, z)
        }}""",
        "sum-into-gemm",
    )
    assert not run.changes


def test_not_without_a_bias_where_a_gemm_needs_one() -> None:
    run = run_pass(
        """
        g (float[1,2] x) => (float[1,1] y) <float[2,1] a = {1, 2}, float[2,1] b = {3, 4}>
        { v = MatMul (x, a) w = MatMul (x, b) y = Add (v, w) }
        """,
        "sum-into-gemm",
        opset=10,
    )
    assert run.changes <= 1 and run.ops.count("Gemm") <= 1
