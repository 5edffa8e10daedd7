"""Which dimensions belong together, operator by operator: shrinking all to two keeps the model valid."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from graphopt.ir import static_shape
from graphopt.testing.reduce.case import Case
from graphopt.testing.reduce.reductions.shapes import dimensions_to_two

CASES: Mapping[str, tuple[str, dict[str, tuple[int, ...]]]] = {
    "Gemm": (
        "m (float[6,4] a, float[5,6] b, float[5] c) => (float[4,5] y) {"
        " y = Gemm <transA = 1, transB = 1> (a, b, c) }",
        {"a": (2, 2), "b": (2, 2), "c": (2,)},
    ),
    "MatMul with batches": (
        "m (float[3,4,6] a, float[3,6,5] b, float[5] c) => (float[3,4,5] y)"
        " { m = MatMul(a, b) y = Add(m, c) }",
        {"a": (2, 2, 2), "b": (2, 2, 2), "c": (2,)},
    ),
    "MatMul of a vector": (
        "m (float[6] a, float[6,5] b) => (float[5] y) { y = MatMul(a, b) }",
        {"a": (2,), "b": (2, 2)},
    ),
    "BatchNormalization": (
        "m (float[3,4,5] x, float[4] s, float[4] b, float[4] m, float[4] v) => (float[3,4,5] y)"
        " { y = BatchNormalization(x, s, b, m, v) }",
        {"x": (2, 2, 2), "s": (2,), "b": (2,), "m": (2,), "v": (2,)},
    ),
    "Conv and its bias": (
        "m (float[3,4,9,9] x, float[6,4,3,3] w, float[6] b) => (float[3,6,9,9] y)"
        " { y = Conv <pads = [1,1,1,1]> (x, w, b) }",
        {"x": (2, 2, 2, 2), "w": (2, 2, 2, 2), "b": (2,)},
    ),
    "ConvTranspose": (
        "m (float[3,4,9,9] x, float[4,6,3,3] w, float[6] b) => (float[p,q,r,s] y)"
        " { y = ConvTranspose(x, w, b) }",
        {"x": (2, 2, 2, 2), "w": (2, 2, 2, 2), "b": (2,)},
    ),
    "Concat": (
        "m (float[3,4] x, float[3,5] z) => (float[3,9] y) { y = Concat <axis = -1> (x, z) }",
        {"x": (2, 2), "z": (2, 2)},
    ),
    "Gather": (
        "m (float[7,4] x, int64[3,5] i, float[3,5,4] z) => (float[3,5,4] y)"
        " { g = Gather(x, i) y = Add(g, z) }",
        {"x": (2, 2), "i": (2, 2), "z": (2, 2, 2)},
    ),
    "Transpose": (
        "m (float[3,4,5] x, float[5,3,4] z) => (float[5,3,4] y)"
        " { t = Transpose <perm = [2,0,1]> (x) y = Add(t, z) }",
        {"x": (2, 2, 2), "z": (2, 2, 2)},
    ),
    "ReduceSum and Unsqueeze": (
        "m (float[3,4,5] x, float[3,5,1] z) => (float[3,5,1] y) <int64[1] a = {1}, int64[1] b = {2}>"
        " { r = ReduceSum <keepdims = 0> (x, a) u = Unsqueeze(r, b) y = Add(u, z) }",
        {"x": (2, 2, 2), "z": (2, 2, 1)},
    ),
    "Expand": (
        "m (float[1,5] x) => (float[4,5] y) <int64[2] s = {4, 5}> { y = Expand(x, s) }",
        {"x": (1, 2)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_all_to_two(edited: Callable[..., Case], name: str) -> None:
    text, expected = CASES[name]
    case = edited(dimensions_to_two, text)
    assert {value.name: static_shape(value) for value in case.model.graph.inputs} == expected


def test_one_class_at_a_time(edited: Callable[..., Case]) -> None:
    text, _ = CASES["Gemm"]
    feeds = [
        {
            "a": np.ones((6, 4), np.float32),
            "b": np.ones((5, 6), np.float32),
            "c": np.ones(5, np.float32),
        }
    ]
    shapes = []
    for number in range(3):
        case = edited(dimensions_to_two, text, {number}, feeds=[dict(feed) for feed in feeds])
        shapes.append([static_shape(value) for value in case.model.graph.inputs])
    assert shapes == [[(2, 4), (5, 2), (5,)], [(6, 2), (5, 6), (5,)], [(6, 4), (2, 6), (2,)]]
