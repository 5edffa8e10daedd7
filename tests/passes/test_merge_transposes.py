"""merge-transposes: chains of permutations, inverse pairs around elementwise nodes, moves of size-1 axes."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass


def test_two_become_one() -> None:
    text = """g (float[2, 3, 4] x) => (float[A, B, C] y) {
        a = Transpose<perm = [1, 2, 0]>(x) y = Transpose<perm = [0, 2, 1]>(a)
    }"""
    run = run_pass(text, "merge-transposes")
    assert run.ops == ["Transpose"]
    assert list(run.node("Transpose").attributes["perm"].as_ints()) == [1, 0, 2]


def test_inverse_ones_vanish() -> None:
    text = """g (float[N, 3, 4] x) => (float[A, B, C] y) {
        a = Transpose(x) b = Transpose(a)
        c = Transpose<perm = [0, 2, 1]>(b) d = Transpose<perm = [0, 2, 1]>(c) y = Neg(d)
    }"""
    assert run_pass(text, "merge-transposes").ops == ["Neg"]


def test_inverse_ones_around_elementwise_nodes_vanish() -> None:
    text = """g (float[N, 3, H, W] x) => (float[N, 3, H, W] y) <float c = {0.5}> {
        a = Transpose<perm = [0, 2, 3, 1]>(x) b = Sigmoid(a) d = Mul(b, c) e = Clip(d, c)
        y = Transpose<perm = [0, 3, 1, 2]>(e)
    }"""
    assert run_pass(text, "merge-transposes").ops == ["Sigmoid", "Mul", "Clip"]


@pytest.mark.parametrize(
    ("middle", "outputs"),
    [
        ("b = Softmax<axis = 1>(a)", ""),  # along an axis
        ("b = Mul(a, w)", ""),  # a constant per channel
        ("b = Neg(a)", ", float[A, B, C] b"),  # wanted as it is
    ],
)
def test_leaves_alone(middle: str, outputs: str) -> None:
    text = f"""g (float[2, 3, 4] x) => (float[D, E, F] y{outputs}) <float[4] w = {{1, 2, 3, 4}}> {{
        a = Transpose<perm = [1, 0, 2]>(x) {middle} y = Transpose<perm = [1, 0, 2]>(b)
    }}"""
    assert run_pass(text, "merge-transposes").changes == 0


def test_axes_of_size_one_are_moved_by_a_reshape() -> None:
    text = "g (float[N, 1, 7, 1] x) => (float[A, B, C, D] y) { y = Transpose<perm = [0, 3, 1, 2]>(x) }"
    run = run_pass(text, "merge-transposes")
    assert run.ops == ["Reshape"]


def test_unknown_sizes_that_a_reshape_cannot_name_are_refused() -> None:
    text = "g (float[1, N, M] x) => (float[A, B, C] y) { y = Transpose<perm = [1, 0, 2]>(x) }"
    run = run_pass(text, "merge-transposes")
    assert run.ops == ["Transpose"]
    assert sum(run.refusals.values()) == 1


def attention(back: str) -> str:
    return f"""g (float[N, 12, L, 32] x) => (float[A, B, C, D] y)
        <int64[1] m1 = {{-1}}, int64[1] d = {{32}}> {{
        n = Shape<start = 0, end = 1>(x) h = Constant<value_ints = [12]>() l = Shape<start = 2, end = 3>(x)
        s = Concat<axis = 0>(m1, l, d) a = Reshape(x, s) b = Transpose<perm = [0, 2, 1]>(a)
        t = Concat<axis = 0>({back}) y = Reshape(b, t)
    }}"""


def test_axes_joined_transposed_and_taken_apart_again() -> None:
    run = run_pass(attention("n, h, d, l"), "merge-transposes,dce")
    assert run.ops == ["Transpose"]
    assert list(run.node("Transpose").attributes["perm"].as_ints()) == [0, 1, 3, 2]


def test_axes_taken_apart_in_another_way_stay() -> None:
    assert run_pass(attention("h, n, d, l"), "merge-transposes").changes == 0


def test_elements_of_4_bits_are_not_reshaped() -> None:
    run = run_pass(
        "g (uint4[1,2] x) => (uint4[2,1] y) { y = Transpose <perm = [1, 0]> (x) }",
        "merge-transposes",
        opset=23,
    )
    (reason,) = run.refusals
    assert reason.endswith("onnxruntime has no Reshape of UINT4 at opset 23")
