"""Shrinking dimensions that belong together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphopt.ir import constant, static_shape
from graphopt.testing.reduce.case import Case
from graphopt.testing.reduce.reductions.shapes import (
    all_of_a_size,
    dimensions_to_half,
    dimensions_to_one,
    dimensions_to_two,
)


def shapes(case: Case) -> dict[str | None, tuple[int, ...] | None]:
    graph = case.model.graph
    return {value.name: static_shape(value) for value in (*graph.inputs, *graph.initializers.values())}


def test_weights_shrink_with_the_inputs_that_they_meet(edited: Callable[..., Case]) -> None:
    text = (
        """m (float[4,6] x) => (float[4,5] y) <float[6,5] w, float[5] b> { a = MatMul(x, w) y = Add(a, b) }"""
    )
    text = text.replace("float[6,5] w", f"float[6,5] w = {{{', '.join(map(str, range(30)))}}}")
    text = text.replace("float[5] b", "float[5] b = {1, 2, 3, 4, 5}")
    case = edited(dimensions_to_two, text, {1}, feeds=[{"x": np.ones((4, 6), np.float32)}])
    assert shapes(case) == {"x": (4, 2), "w": (2, 5), "b": (5,)} or shapes(case)["x"] == (4, 6)
    everything = edited(dimensions_to_one, text, feeds=[{"x": np.ones((4, 6), np.float32)}])
    assert shapes(everything) == {"x": (1, 1), "w": (1, 1), "b": (1,)}
    assert everything.feeds[0]["x"].shape == (1, 1)


def test_a_depthwise_convolution_keeps_as_many_groups_as_channels(edited: Callable[..., Case]) -> None:
    ones = ", ".join(["1"] * 36)
    text = f"""m (float[1,4,8,8] x) => (float[1,4,8,8] y) <float[4,1,3,3] w = {{{ones}}}> {{
        a = Conv <group = 4, pads = [1, 1, 1, 1]> (x, w)
        y = Relu(a)
    }}"""
    case = edited(dimensions_to_half, text)
    assert shapes(case)["x"] == (1, 2, 4, 4)
    assert case.model.graph[0].attributes["group"].as_int() == 2


def test_shapes_that_a_constant_says_follow(edited: Callable[..., Case]) -> None:
    text = """m (float[4,6] x) => (float[p,q,r] y) <int64[3] s = {1, 4, 6}> {
        y = Reshape(x, s)
    }"""
    case = edited(dimensions_to_two, text)
    assert shapes(case)["x"] == (2, 2)
    np.testing.assert_array_equal(constant(case.model.graph.initializers["s"]), [1, 2, 2])


def test_all_dimensions_of_a_size(edited: Callable[..., Case]) -> None:
    text = (
        "m (float[6,4] x, float[4,6] z) => (float[6,6] y) { a = Transpose(x) b = Add(a, z) y = MatMul(x, b) }"
    )
    case = edited(all_of_a_size, text, {1})  # 6 -> 2
    assert shapes(case) == {"x": (2, 4), "z": (4, 2)}
