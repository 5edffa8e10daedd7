"""Constant matrices in a row are multiplied with each other where that is cheaper."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphopt.testing import parse_model, run_pass

Weights = Callable[..., str]


@pytest.mark.parametrize(
    ("body", "ops"),
    [
        ("m = MatMul(x, a)  y = MatMul(m, b)", ["MatMul"]),
        ("m = Gemm(x, a)  y = Gemm(m, b)", ["Gemm"]),
        ("m = Gemm(x, a, c)  y = MatMul(m, b)", ["Gemm"]),
        ("m = MatMul(x, a)  y = Gemm(m, b, d)", ["Gemm"]),
        ("m = Gemm<transB=1>(x, at, c)  y = Gemm<alpha=0.5, beta=2.0>(m, b, d)", ["Gemm"]),
    ],
)
def test_products(weights: Weights, body: str, ops: list[str]) -> None:
    text = weights(a=(6, 5), at=(5, 6), b=(5, 4), c=(5,), d=(4,))
    run = run_pass(
        f"agraph (float[N,6] x) => (float[N,4] y) {text} {{ {body} }}",
        "join-matmuls",
    )
    assert run.ops == ops


def test_products_of_batches(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[N,3,6] x) => (float[N,3,4] y) {weights(a=(6, 5), b=(5, 4))} {{
            m = MatMul(x, a)  y = MatMul(m, b)
        }}""",
        "join-matmuls",
    )
    assert run.ops == ["MatMul"]


def test_products_from_the_left(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[N,6,3] x) => (float[N,4,3] y) {weights(a=(4, 5), b=(5, 6))} {{
            m = MatMul(b, x)  y = MatMul(a, m)
        }}""",
        "join-matmuls",
    )
    assert run.ops == ["MatMul"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            "m = MatMul(x, a)  y = MatMul(m, b)",
            "product-of-products: the product of both matrices is larger than they are",
        ),
        ("m = Gemm<transA=1>(t, a)  y = Gemm(m, b)", "product-of-products: it transposes its data"),
    ],
)
def test_others_stay(weights: Weights, body: str, reason: str) -> None:
    text = weights(a=(6, 2), b=(2, 6))
    run = run_pass(
        f"agraph (float[3,6] x, float[6,3] t) => (float[3,6] y) {text} {{ {body} }}",
        "join-matmuls",
    )
    assert run.refusals == {reason: 1}


def test_a_product_read_elsewhere_stays(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[3,6] x) => (float[3,4] y, float[3,5] m) {weights(a=(6, 5), b=(5, 4))} {{
            m = MatMul(x, a)  y = MatMul(m, b)
        }}""",
        "join-matmuls",
    )
    assert not run.changes


@pytest.mark.parametrize("shared", ["a", "b"])
@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ("m = MatMul(x, a)  y = MatMul(m, b)", "N,130"),
        ("m = MatMul(b, x)  y = MatMul(a, m)", "130,N"),
    ],
)
def test_a_big_matrix_read_elsewhere_stays(shared: str, body: str, shape: str) -> None:
    """Its product would stand beside it."""
    model = parse_model(
        f"""agraph (float[{shape}] x, float[K,130] o) => (float[{shape}] y, float[K,130] z)
        <int64[2] s = {{130, 130}}> {{
            a = ConstantOfShape(s)  b = ConstantOfShape(s)  {body}  z = MatMul(o, {shared})
        }}"""
    )
    run = run_pass(run_pass(model, "fold{max_growth=1000000},dce").model, "join-matmuls")
    assert not run.changes
    (reason,) = run.refusals
    assert reason.endswith("a weight of 67600 bytes is used by 2 nodes")


def test_a_big_matrix_of_its_own_is_joined() -> None:
    model = parse_model(
        """agraph (float[N,130] x) => (float[N,130] y) <int64[2] s = {130, 130}, float[1] half = {0.5}> {
            c = ConstantOfShape(s)  a = Add(c, half)  b = Sub(c, half)  m = MatMul(x, a)  y = MatMul(m, b)
        }"""
    )
    run = run_pass(run_pass(model, "fold{max_growth=1000000},dce").model, "join-matmuls")
    assert run.ops == ["MatMul"]
