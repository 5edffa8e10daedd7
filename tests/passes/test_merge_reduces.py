"""merge-reduces: one reduction for two of a kind."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass

SIZES = """int64[1] k0 = {0}, int64[1] k1 = {1}, int64[1] m1 = {-1}, int64[2] both = {1, -1},
    int64[3] s = {1, 1, -1}"""


def model(body: str) -> str:
    return f"g (float[N, 3, 4] x) => (float[A, B, C] z) <{SIZES}> {{ {body} z = Reshape(y, s) }}"


@pytest.mark.parametrize("kind", ["ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum"])
@pytest.mark.parametrize(
    "body",
    [
        "a = {0}(x, k1) y = {0}(a, m1)",
        "a = {0}<keepdims = 0>(x, k1) y = {0}<keepdims = 0>(a, k1)",
        "a = {0}<keepdims = 0>(x, k0) y = {0}<keepdims = 0>(a, m1)",
        "a = {0}(x, k1) y = {0}(a, both)",
    ],
)
def test_applies(kind: str, body: str) -> None:
    assert run_pass(model(body.format(kind)), "merge-reduces").ops == [kind, "Reshape"]


def test_axes_in_attributes() -> None:
    text = """g (float[N, 3, 4] x) => (float[A] y) {
        a = ReduceMean<axes = [1], keepdims = 0>(x) y = ReduceMean<axes = [1], keepdims = 0>(a)
    }"""
    run = run_pass(text, "merge-reduces", opset=11)
    assert run.ops == ["ReduceMean"]
    assert list(run.node("ReduceMean").attributes["axes"].as_ints()) == [1, 2]


@pytest.mark.parametrize(
    "body",
    [
        "a = ReduceMax(x, k1) y = ReduceSum(a, m1)",
        "a = ReduceMax(x, k1) y = ReduceMax<keepdims = 0>(a, m1)",
        "a = ReduceMax(x) y = ReduceMax(a, m1)",
        "a = ReduceL2(x, k1) y = ReduceL2(a, m1)",
    ],
)
def test_leaves_alone(body: str) -> None:
    assert run_pass(model(body), "merge-reduces").changes == 0
