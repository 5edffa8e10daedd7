"""fuse-scaled-matmul: transposes of the last axes and factors go into FusedMatMul."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass

CONSTANTS = """<float s = {0.25}, float[1,1] t = {4.0}, float[5] v = {1.0, 2.0, 3.0, 4.0, 5.0},
    float[1,1,1,1,1] w = {2.0}, float zero = {0.0}>"""
TURN = "<perm = [0, 1, 3, 2]>"


def model(body: str, a: str = "N,2,3,4", b: str = "N,2,4,5", dtype: str = "float") -> str:
    out = "N,2,3,5"
    return f"g ({dtype}[{a}] a, {dtype}[{b}] b) => ({dtype}[{out}] y) {CONSTANTS} {{ {body} }}"


@pytest.mark.parametrize(
    ("body", "a", "b", "attributes"),
    [
        (f"t1 = Transpose {TURN} (b) y = MatMul(a, t1)", "N,2,3,4", "N,2,5,4", {"transB": 1}),
        (f"t1 = Transpose {TURN} (a) y = MatMul(t1, b)", "N,2,4,3", "N,2,4,5", {"transA": 1}),
        ("m = MatMul(a, b) y = Mul(m, s)", "N,2,3,4", "N,2,4,5", {"alpha": 0.25}),
        ("m = MatMul(a, b) y = Mul(s, m)", "N,2,3,4", "N,2,4,5", {"alpha": 0.25}),
        ("m = MatMul(a, b) y = Mul(m, t)", "N,2,3,4", "N,2,4,5", {"alpha": 4.0}),
        ("m = MatMul(a, b) y = Div(m, s)", "N,2,3,4", "N,2,4,5", {"alpha": 4.0}),
        (
            f"t1 = Transpose {TURN} (a) t2 = Transpose {TURN} (b) m = MatMul(t1, t2) y = Div(m, t)",
            "N,2,4,3",
            "N,2,5,4",
            {"transA": 1, "transB": 1, "alpha": 0.25},
        ),
        ("m = MatMul(a, b) n = Mul(m, s) y = Mul(n, s)", "N,2,3,4", "N,2,4,5", {"alpha": 0.0625}),
        ("t1 = Transpose <perm = [1, 0]> (b) y = MatMul(a, t1)", "N,2,3,4", "5,4", {"transB": 1}),
    ],
)
def test_they_go_into_the_product(body: str, a: str, b: str, attributes: dict[str, float]) -> None:
    run = run_pass(model(body, a, b), "fuse-scaled-matmul")
    assert run.ops == ["FusedMatMul"]
    found = {name: each.value for name, each in run.node("FusedMatMul").attributes.items()}
    assert found == pytest.approx(attributes)


@pytest.mark.parametrize(
    ("body", "b", "reasons"),
    [
        ("t1 = Transpose <perm = [0, 2, 1, 3]> (b) y = MatMul(a, t1)", "N,4,2,5", set()),
        ("m = MatMul(a, b) y = Div(s, m)", "N,2,4,5", set()),
        (
            "m = MatMul(a, b) y = Mul(m, v)",
            "N,2,4,5",
            {"scaled-product: the factor of the product is not one number"},
        ),
        (
            "m = MatMul(a, b) y = Div(m, zero)",
            "N,2,4,5",
            {"scaled-product: the divisor is zero, or too near to it"},
        ),
        (
            "m = MatMul(a, b) n = Mul(m, s) y = Add(n, m)",
            "N,2,4,5",
            {"scaled-product: the result of the MatMul is also used elsewhere"},
        ),
    ],
)
def test_near_misses_stay(body: str, b: str, reasons: set[str]) -> None:
    run = run_pass(model(body, b=b), "fuse-scaled-matmul")
    assert (run.changes, set(run.refusals)) == (0, reasons)


def test_a_factor_of_more_dimensions_stays() -> None:
    ports = "(float[2,3] a, float[3,2] b) => (float[1,1,1,2,2] y)"
    text = f"g {ports} {CONSTANTS} {{ m = MatMul(a, b) y = Mul(m, w) }}"
    run = run_pass(text, "fuse-scaled-matmul")
    assert set(run.refusals) == {"scaled-product: the factor of the product is not one number"}


def test_vectors_and_other_types_stay() -> None:
    text = f"g (float[3] a, float[3,2] b) => (float[2] y) {CONSTANTS} {{ m = MatMul(a, b) y = Mul(m, s) }}"
    run = run_pass(text, "fuse-scaled-matmul")
    assert run.refusals == {
        "scaled-product: an operand of the product is a vector, or its rank is not known": 1
    }
    double = run_pass(
        model(f"t1 = Transpose {TURN} (b) y = MatMul(a, t1)", b="N,2,5,4", dtype="double"),
        "fuse-scaled-matmul",
    )
    assert set(double.refusals) == {"transposed-operand: onnxruntime has FusedMatMul for float32 alone"}
