"""merge-reshapes: chains of views become one, with 0, -1 and unknown sizes right."""

from __future__ import annotations

import numpy as np
import pytest

from graphopt.ir import ints
from graphopt.testing import run_pass


def run(shape: str, body: str, opset: int = 18, rank: int = 2) -> list[str]:
    names = ", ".join("ABCDEFG"[:rank])
    text = f"g (float[{shape}] x) => (float[{names}] y) {{ {body} }}"
    return run_pass(text, "merge-reshapes,dce", opset=opset).ops


def ints_of(name: str, *values: int) -> str:
    return f"{name} = Constant<value_ints = [{', '.join(map(str, values))}]>() "


RESHAPES = "a = Reshape(x, s) b = Reshape(a, t) y = Neg(b)"
UNSQUEEZES = "a = Unsqueeze(x, s) b = Unsqueeze(a, t) y = Neg(b)"


@pytest.mark.parametrize(
    ("shape", "body", "rank", "ops"),
    [
        ("2, 12", ints_of("s", 2, 3, 4) + ints_of("t", 6, -1) + RESHAPES, 2, 2),
        ("2, 3, 4", "a = Flatten(x) b = Flatten(a) y = Neg(b)", 2, 2),
        ("N, 12", ints_of("s", 0, 3, 4) + ints_of("t", 0, 0, 2, 2) + RESHAPES, 4, 2),
        ("N, 3, 4", ints_of("s", 1) + "a = Unsqueeze(x, s) y = Flatten<axis = 2>(a)", 2, 1),
        ("N, 3, 4", ints_of("s", 1) + "a = Unsqueeze(x, s) b = Squeeze(a, s) y = Neg(b)", 3, 1),
        ("N, M, 4", ints_of("s", 1) + ints_of("t", 0, 4) + UNSQUEEZES, 6, 2),
        ("N, M, 4", ints_of("s", 1, -1) + ints_of("t", 0) + UNSQUEEZES, 6, 2),
        ("1, N, 1, M", ints_of("s", 0) + ints_of("t", 1) + "a = Squeeze(x, s) y = Squeeze(a, t)", 2, 1),
        ("2, 6", ints_of("s", 3, 4) + ints_of("t", 2, 6) + RESHAPES, 2, 1),
    ],
)
def test_merges(shape: str, body: str, rank: int, ops: int) -> None:
    assert len(run(shape, body, rank=rank)) == ops


def test_axes_in_attributes() -> None:
    body = "a = Unsqueeze<axes = [0]>(x) b = Unsqueeze<axes = [1, 4]>(a) y = Identity(b)"
    assert run("N, M", body, opset=11, rank=5) == ["Unsqueeze", "Identity"]
    body = "a = Squeeze<axes = [0]>(x) b = Squeeze<axes = [1]>(a) y = Identity(b)"
    assert run("1, N, 1, M", body, opset=11) == ["Squeeze", "Identity"]


def test_zeros_copy_the_size_of_the_right_input() -> None:
    text = """g (float[2, 6] x) => (float[A, B, C] y) <int64[2] s = {3, 4}, int64[3] t = {0, 2, -1}> {
        a = Reshape(x, s) y = Reshape(a, t)
    }"""
    found = run_pass(text, "merge-reshapes")
    assert ints(found.node("Reshape").inputs[1]) == [3, 2, 2]


def test_a_computed_target_may_copy_sizes() -> None:
    text = """g (float[2, 6] x, int64[2] t) => (float[A, B] y) <int64[2] s = {3, 4}> {
        a = Reshape(x, s) y = Reshape(a, t)
    }"""
    inputs = [{"x": np.ones((2, 6), np.float32), "t": np.array([0, 4])}]
    found = run_pass(text, "merge-reshapes", inputs=inputs)
    assert found.changes == 0 and len(found.refusals) == 1
    literal = text.replace("y = Reshape(", "y = Reshape<allowzero = 1>(")
    assert run_pass(literal, "merge-reshapes", inputs=()).ops == ["Reshape"]


def test_two_unknown_sizes_are_refused() -> None:
    text = """g (float[N, M, 4] x) => (float[A, B, C] y) <int64[1] s = {0}, int64[3] t = {0, 0, -1}> {
        a = Unsqueeze(x, s) y = Reshape(a, t)
    }"""
    found = run_pass(text, "merge-reshapes")
    assert found.ops == ["Unsqueeze", "Reshape"] and len(found.refusals) == 1


def test_a_view_with_other_users_stays_beside() -> None:
    text = """g (float[2, 12] x) => (float[A] y, float[B, C] z) <int64[2] s = {4, 6}, int64[1] t = {-1}> {
        a = Reshape(x, s) y = Reshape(a, t) z = Neg(a)
    }"""
    assert sorted(run_pass(text, "merge-reshapes").ops) == ["Neg", "Reshape", "Reshape"]


@pytest.mark.parametrize(
    ("body", "keepdims"),
    [
        ("a = ReduceSum<keepdims = 0>(x, k) y = Unsqueeze(a, k)", 1),
        ("a = ReduceLogSumExp(x, k) y = Squeeze(a, k)", 0),
        ("a = ReduceMax<keepdims = 0>(x) s = Constant<value_ints = [1, 1, 1]>() y = Reshape(a, s)", 1),
    ],
)
def test_a_view_of_a_reduction_is_a_matter_of_keepdims(body: str, keepdims: int) -> None:
    shape = "A, B, C" if keepdims else "A, B"
    text = f"g (float[N, 3, M] x) => (float[{shape}] y) <int64[1] k = {{1}}> {{ {body} }}"
    found = run_pass(text, "merge-reshapes,dce")
    assert len(found.ops) == 1
    assert next(iter(found.model.graph)).attributes["keepdims"].as_int() == keepdims


def test_a_reduction_with_other_users_is_not_computed_twice() -> None:
    text = """g (float[N, 3] x) => (float[A] a, float[B, C] y) <int64[1] k = {1}> {
        a = ReduceSum<keepdims = 0>(x, k) y = Unsqueeze(a, k)
    }"""
    assert run_pass(text, "merge-reshapes").changes == 0


@pytest.mark.parametrize("first", ["one", "none"])
def test_a_squeeze_of_no_axes_squeezes_all(first: str) -> None:
    run_pass(
        f"""g (float[A,1,B,C] x) => (float[D] y) <int64[1] one = {{1}}, int64[0] none = {{}}>
        {{ t = Squeeze(x, {first}) y = Squeeze(t, none) }}""",
        "merge-reshapes,eliminate-identities",
        inputs=[{"x": np.ones((1, 1, 1, 3), np.float32)}],
        full_check=False,
    )


@pytest.mark.parametrize(
    ("node", "dims", "axes", "rank"),
    [
        ("Unsqueeze<axes = [-2, -4]>", "2,1", [0, 2], 4),
        ("Unsqueeze<axes = [-1]>", "2,1", [2], 3),
        ("Squeeze<axes = [-1]>", "2,1", [1], 1),
    ],
)
def test_axes_are_counted_from_the_front_where_the_opset_knows_no_other(
    node: str, dims: str, axes: list[int], rank: int
) -> None:
    names = ", ".join("ABCD"[:rank])
    text = f"""<ir_version: 8, opset_import: ["" : 9]>
        g (float[{dims}] x) => (float[{names}] y) {{ a = {node}(x) y = Neg(a) }}"""
    found = run_pass(text, "merge-reshapes")
    assert found.hits == {"axes-from-the-front": 1}
    assert list(found.model.graph.node(0).attributes["axes"].as_ints()) == axes
