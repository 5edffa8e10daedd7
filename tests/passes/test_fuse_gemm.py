"""Scale, bias, BatchNormalization and Transpose fold into Gemm and MatMul; constant products are joined."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphopt.testing import run_pass

Weights = Callable[..., str]
NORM = {"scale": (4,), "shift": (4,), "mean": (4,), "positive_var": (4,)}


@pytest.mark.parametrize("op", ["Mul", "Div", "Add", "Sub"])
@pytest.mark.parametrize("shape", [(), (1,), (4,), (1, 4)])
@pytest.mark.parametrize(
    "attributes", ["", "<transB = 1>", "<alpha = 0.5, beta = 2.0>", "<transA = 1, transB = 1>"]
)
@pytest.mark.parametrize("bias", [None, (), (4,), (1, 4), (5, 1), (5, 4)])
def test_an_affine_after_a_gemm_folds(
    weights: Weights, op: str, shape: tuple[int, ...], attributes: str, bias: tuple[int, ...] | None
) -> None:
    w = (4, 3) if "transB" in attributes else (3, 4)
    x = "3,5" if "transA" in attributes else "5,3"
    run = run_pass(
        f"""agraph (float[{x}] x) => (float[n,m] y)
        {weights(w=w, b=(4,) if bias is None else bias, c=shape)} {{
            a = Gemm {attributes} (x, w{"" if bias is None else ", b"})
            y = {op}(a, c)
        }}""",
        "fuse-gemm",
    )
    assert run.ops == ["Gemm"]


@pytest.mark.parametrize("shape", [(5, 1), (5, 4), (1, 1, 1), (2, 5, 4)])
def test_other_broadcasts_stay(weights: Weights, shape: tuple[int, ...]) -> None:
    dims = ",".join("knm"[-len(shape) :])
    run = run_pass(
        f"""agraph (float[5,3] x) => (float[{dims}] y) {weights(w=(3, 4), c=shape)} {{
            a = Gemm(x, w)
            y = Mul(a, c)
        }}""",
        "fuse-gemm",
    )
    assert "not one per channel" in next(iter(run.refusals))


def test_a_matmul_of_two_dimensions_and_its_bias_become_a_gemm(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[n,3] x) => (float[n,4] y) {weights(w=(3, 4), b=(4,))} {{
            a = MatMul(x, w)
            y = Add(b, a)
        }}""",
        "fuse-gemm",
    )
    assert run.ops == ["Gemm"]


def test_a_matmul_of_three_dimensions_keeps_its_bias_apart(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[n,2,3] x) => (float[n,2,4] y) {weights(w=(3, 4), b=(4,))} {{
            a = MatMul(x, w)
            y = Add(a, b)
        }}""",
        "fuse-gemm",
    )
    reason = "a MatMul has no bias, and a Gemm takes two dimensions only"
    assert run.refusals == {f"fold-affine-into-gemm: {reason}": 1}


@pytest.mark.parametrize("shape", [(), (4,), (1, 1, 4)])
def test_a_scale_after_a_matmul_folds(weights: Weights, shape: tuple[int, ...]) -> None:
    run = run_pass(
        f"""agraph (float[n,2,3] x) => (float[n,2,4] y) {weights(w=(3, 4), c=shape)} {{
            a = MatMul(x, w)
            y = Mul(a, c)
        }}""",
        "fuse-gemm",
    )
    assert run.ops == ["MatMul"]


@pytest.mark.parametrize("op", ["Mul", "Div", "Add", "Sub"])
@pytest.mark.parametrize("shape", [(), (3,), (1, 3)])
@pytest.mark.parametrize("attributes", ["", "<transB = 1>", "<alpha = 0.5, beta = 2.0>"])
def test_an_affine_before_a_gemm_folds(
    weights: Weights, op: str, shape: tuple[int, ...], attributes: str
) -> None:
    w = (4, 3) if "transB" in attributes else (3, 4)
    run = run_pass(
        f"""agraph (float[5,3] x) => (float[n,m] y) {weights(w=w, b=(4,), c=shape)} {{
            a = {op}(x, c)
            y = Gemm {attributes} (a, w, b)
        }}""",
        "fuse-gemm",
    )
    assert run.ops == ["Gemm"]


def test_an_affine_before_a_transposed_operand(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[3,5] x) => (float[n,m] y) {weights(w=(3, 4), c=(3, 1))} {{
            a = Mul(x, c)
            y = Gemm <transA = 1> (a, w)
        }}""",
        "fuse-gemm",
    )
    assert run.ops == ["Gemm"]


def test_batch_normalization_folds_into_gemm_and_matmul(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[5,3] x) => (float[n,m] y) {weights(v=(3, 4), w=(4, 4), b=(4,), **NORM)} {{
            a = MatMul(x, v)
            n = BatchNormalization(a, scale, shift, mean, positive_var)
            r = Relu(n)
            g = Gemm(r, w, b)
            y = BatchNormalization(g, scale, shift, mean, positive_var)
        }}""",
        "fuse-gemm",
    )
    assert run.ops == ["Gemm", "Relu", "Gemm"]


def test_batch_normalization_before_a_gemm_folds(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[5,4] x) => (float[n,m] y) {weights(w=(4, 2), **NORM)} {{
            n = BatchNormalization(x, scale, shift, mean, positive_var)
            y = Gemm(n, w)
        }}""",
        "fuse-gemm",
    )
    assert run.ops == ["Gemm"]


@pytest.mark.parametrize("x", ["2,5,3", "n,5,3", "n,2,2,3"])
@pytest.mark.parametrize(
    "view", ["Reshape (a, rows)", "Flatten <axis = {axis}> (a)", "Flatten <axis = -1> (a)"]
)
def test_batch_normalization_behind_a_view_of_rows_folds(weights: Weights, x: str, view: str) -> None:
    text = weights(w=(3, 4), **NORM).replace("<", "<int64[2] rows = {-1, 4}, ", 1)
    run = run_pass(
        f"""agraph (float[{x}] x) => (float[k,4] y) {text} {{
            a = MatMul(x, w)
            r = {view.format(axis=x.count(","))}
            y = BatchNormalization(r, scale, shift, mean, positive_var)
        }}""",
        "fuse-gemm",
    )
    assert run.ops == ["MatMul", "Add", view.split()[0]]


def test_batch_normalization_behind_a_view_of_a_gemm_folds(weights: Weights) -> None:
    text = weights(w=(3, 4), b=(4,), **NORM).replace("<", "<int64[2] rows = {-1, 4}, ", 1)
    run = run_pass(
        f"""agraph (float[n,3] x) => (float[n,4] y) {text} {{
            a = Gemm(x, w, b)
            r = Reshape(a, rows)
            y = BatchNormalization(r, scale, shift, mean, positive_var)
        }}""",
        "fuse-gemm",
    )
    assert run.ops == ["Gemm", "Reshape"]


def test_batch_normalization_behind_a_view_of_other_columns_stays(weights: Weights) -> None:
    text = weights(w=(3, 8), **NORM).replace("<", "<int64[2] rows = {-1, 4}, ", 1)
    run = run_pass(
        f"""agraph (float[2,5,3] x) => (float[k,4] y) {text} {{
            a = MatMul(x, w)
            r = Reshape(a, rows)
            y = BatchNormalization(r, scale, shift, mean, positive_var)
        }}""",
        "fuse-gemm",
    )
    assert "not known to keep the columns" in next(iter(run.refusals))


def test_batch_normalization_of_three_dimensions_is_not_along_the_last_axis(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[5,4,3] x) => (float[n,m,k] y) {weights(w=(3, 4), **NORM)} {{
            a = MatMul(x, w)
            y = BatchNormalization(a, scale, shift, mean, positive_var)
        }}""",
        "fuse-gemm",
    )
    assert not run.changes


@pytest.mark.parametrize("perm", ["", "<perm = [1,0]>"])
@pytest.mark.parametrize("attributes", ["", "<transA = 1, transB = 1>"])
def test_transposes_fold_into_a_gemm(perm: str, attributes: str) -> None:
    run = run_pass(
        f"""agraph (float[4,4] x, float[4,4] z) => (float[n,m] y) {{
            a = Transpose {perm} (x)
            b = Transpose {perm} (z)
            y = Gemm {attributes} (a, b)
        }}""",
        "fuse-gemm",
    )
    assert run.ops == ["Gemm"]


def test_alpha_and_beta_fold_into_constants(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[5,3] x) => (float[n,m] y) {weights(w=(3, 4), b=(4,))} {{
            y = Gemm <alpha = 0.5, beta = 3.0> (x, w, b)
        }}""",
        "fuse-gemm",
    )
    assert not run.node("Gemm").attributes


@pytest.mark.parametrize(("opset", "inputs"), [(9, 3), (11, 2)])
def test_a_bias_of_zeros_goes_where_it_may(weights: Weights, opset: int, inputs: int) -> None:
    text = weights(w=(3, 4))
    run = run_pass(
        f"""agraph (float[5,3] x) => (float[n,m] y) {text[:-1]}, float[4] b = {{0, 0, 0, 0}}> {{
            y = Gemm(x, w, b)
        }}""",
        "fuse-gemm",
        opset=opset,
    )
    assert len(run.node("Gemm").inputs) == inputs


@pytest.mark.parametrize("rank", [2, 3])
def test_two_products_become_one_where_that_is_cheaper(weights: Weights, rank: int) -> None:
    dims = "5,3" if rank == 2 else "2,5,3"
    run = run_pass(
        f"""agraph (float[{dims}] x) => (float[{dims}] y) {weights(v=(3, 8), w=(8, 3))} {{
            a = MatMul(x, v)
            y = MatMul(a, w)
        }}""",
        "fuse-gemm",
    )
    assert run.ops == ["MatMul"]


@pytest.mark.parametrize("shape", [(8,), (1, 1, 8), ()])
@pytest.mark.parametrize("order", ["a, b", "b, a"])
def test_two_products_over_a_bias_become_one(weights: Weights, shape: tuple[int, ...], order: str) -> None:
    run = run_pass(
        f"""agraph (float[2,5,3] x) => (float[2,5,3] y) {weights(v=(3, 8), b=shape, w=(8, 3))} {{
            a = MatMul(x, v)
            c = Add({order})
            y = MatMul(c, w)
        }}""",
        "fuse-gemm",
    )
    assert run.ops == ["MatMul", "Add"]


@pytest.mark.parametrize(
    ("v", "w", "b"), [((16, 2), (2, 16), (2,)), ((16, 8), (8, 16), (5, 1)), ((16, 8), (8, 16), (3, 1, 1, 8))]
)
def test_other_products_over_a_bias_stay(
    weights: Weights, v: tuple[int, ...], w: tuple[int, ...], b: tuple[int, ...]
) -> None:
    dims = "3,2,5,16" if len(b) == 4 else "2,5,16"
    run = run_pass(
        f"""agraph (float[2,5,16] x) => (float[{dims}] y) {weights(v=v, b=b, w=w)} {{
            a = MatMul(x, v)
            c = Add(a, b)
            y = MatMul(c, w)
        }}""",
        "fuse-gemm",
    )
    assert run.ops == ["MatMul", "Add", "MatMul"]


def test_a_bottleneck_stays(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[5,8] x) => (float[5,8] y) {weights(v=(8, 2), w=(2, 8))} {{
            a = MatMul(x, v)
            y = MatMul(a, w)
        }}""",
        "fuse-gemm",
    )
    assert not run.changes


@pytest.mark.parametrize("first", ["MatMul(x, v)", "Gemm(x, v, a)"])
@pytest.mark.parametrize("second", ["MatMul(p, w)", "Gemm(p, w, b)"])
def test_biases_of_joined_products_are_kept(weights: Weights, first: str, second: str) -> None:
    run = run_pass(
        f"""agraph (float[5,3] x) => (float[n,m] y) {weights(v=(3, 8), w=(8, 3), a=(8,), b=(3,))} {{
            p = {first}
            y = {second}
        }}""",
        "fuse-gemm",
    )
    assert len(run.ops) == 1


def test_a_dynamic_bias_of_joined_products_is_not_dropped(weights: Weights) -> None:
    run = run_pass(
        f"""agraph (float[5,3] x, float[3] b) => (float[n,m] y) {weights(v=(3, 8), w=(8, 3))} {{
            p = MatMul(x, v)
            y = Gemm(p, w, b)
        }}""",
        "fuse-gemm",
    )
    assert run.refusals == {"join-products: the bias is not constant": 1}
