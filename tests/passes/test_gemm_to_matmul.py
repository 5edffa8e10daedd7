"""A Gemm between Reshapes becomes the MatMul of a batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphopt.testing import run_pass

Weights = Callable[..., str]


def _text(weights: Weights, gemm: str, back: str = "{2, -1, 5}", x: str = "2,L,4", y: str = "2,L,5") -> str:
    constants = weights(w=(4, 5), v=(5, 4), b=(5,), c=(1, 5), d=(6, 1), e=(6, 5))
    return f"""agraph (float[{x}] x) => (float[{y}] y) {constants[:-1]},
        int64[2] flat = {{-1, 4}}, int64[3] back = {back}
    > {{ r = Reshape(x, flat)  g = {gemm}  y = Reshape(g, back) }}"""


@pytest.mark.parametrize(
    ("gemm", "ops"),
    [
        ("Gemm(r, w)", ["MatMul"]),
        ("Gemm(r, w, b)", ["MatMul", "Add"]),
        ("Gemm(r, w, c)", ["MatMul", "Add"]),
        ("Gemm<transB=1>(r, v, b)", ["MatMul", "Add"]),
        ("Gemm<transB=1, alpha=1.0, beta=1.0>(r, v)", ["MatMul"]),
    ],
)
@pytest.mark.parametrize("shape", [("{2, -1, 5}", "2,L,4", "2,L,5"), ("{2, 3, 5}", "2,3,4", "2,3,5")])
def test_flattened(weights: Weights, gemm: str, ops: list[str], shape: tuple[str, str, str]) -> None:
    assert run_pass(_text(weights, gemm, *shape), "gemm-to-matmul").ops == ops


@pytest.mark.parametrize(
    ("gemm", "shape", "reason"),
    [
        ("Gemm<alpha=0.5>(r, w)", ("{2, -1, 5}", "2,L,4", "2,L,5"), "the Gemm transposes or scales"),
        ("Gemm<beta=0.5>(r, w, b)", ("{2, -1, 5}", "2,L,4", "2,L,5"), "the Gemm transposes or scales"),
        (
            "Gemm(r, w)",
            ("{3, -1, 5}", "2,3,4", "3,2,5"),
            "the result has other dimensions than what was flattened",
        ),
        ("Gemm(r, w, d)", ("{2, -1, 5}", "2,3,4", "2,3,5"), "the bias differs from row to row"),
        ("Gemm(r, w, e)", ("{2, -1, 5}", "2,3,4", "2,3,5"), "the bias differs from row to row"),
        ("Gemm(r, w)", ("{2, -1, 5}", "2,3,2,2", "2,3,5"), "what is flattened are no rows of known length"),
    ],
)
def test_others_stay(weights: Weights, gemm: str, shape: tuple[str, str, str], reason: str) -> None:
    run = run_pass(_text(weights, gemm, *shape), "gemm-to-matmul")
    assert run.refusals == {f"flattened-gemm: {reason}": 1}
