"""Values to constants, constants to simpler ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphopt.ir import constant
from graphopt.testing.reduce.case import Case, Take
from graphopt.testing.reduce.reductions.constants import (
    constants_to_inputs,
    constants_to_one_number,
    constants_to_ones,
    constants_to_round_numbers,
    constants_to_scalars,
    constants_to_zeros,
    inner_values_to_constants,
    values_to_constants,
)


def test_a_value_becomes_what_it_was(
    edited: Callable[..., Case], operators: Callable[[Case], list[str]]
) -> None:
    text = "m (float[2] x) => (float[2] y) { a = Neg(x) y = Abs(a) }"
    case = edited(values_to_constants, text, feeds=[{"x": np.array([1, -2], np.float32)}])
    assert operators(case) == ["Abs"]
    np.testing.assert_array_equal(constant(case.model.graph[0].inputs[0]), [-1, 2])


def test_a_value_that_shapes_alone_decide_needs_no_inputs(edited: Callable[..., Case]) -> None:
    text = "m (float[2,3] x, float[6] z) => (float[p,q] y) { s = Shape(x) y = Reshape(z, s) }"
    case = edited(values_to_constants, text)
    np.testing.assert_array_equal(constant(case.model.graph[0].inputs[1]), [2, 3])


def test_a_value_in_a_body(edited: Callable[..., Case]) -> None:
    text = """m (float[2] x, bool c) => (float[2] y) {
        y = If(c) <then_branch = t () => (float[2] u) { a = Neg(x) u = Abs(a) },
                   else_branch = e () => (float[2] v) { v = Identity(x) }>
    }"""
    body = edited(inner_values_to_constants, text, {1}).model.graph[0].attributes["then_branch"].as_graph()
    assert [node.op_type for node in body] == ["Abs"]
    body = edited(inner_values_to_constants, text, {0}).model.graph[0].attributes["then_branch"].as_graph()
    assert [node.op_type for node in body] == ["Constant"]


WEIGHTS = "m (float[2,2] x) => (float[2,2] y) <float[2,2] w = {1.6, 1.6, -3.2, 7.4}> { y = Add(x, w) }"


def test_a_large_constant_becomes_an_input(edited: Callable[..., Case]) -> None:
    numbers = ", ".join(str(number) for number in range(12))
    text = f"m (float[3,4] x) => (float[3,4] y) <float[3,4] w = {{{numbers}}}> {{ y = Add(x, w) }}"
    case = edited(constants_to_inputs, text, feeds=[{"x": np.ones((3, 4), np.float32)}])
    assert [value.name for value in case.model.graph.inputs] == ["x", "w"]
    np.testing.assert_array_equal(case.feeds[0]["w"], np.arange(12).reshape(3, 4))


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (constants_to_scalars, np.float32(1.6)),
        (constants_to_zeros, np.zeros((2, 2))),
        (constants_to_ones, np.ones((2, 2))),
        (constants_to_one_number, np.full((2, 2), np.float32(1.6))),
        (constants_to_round_numbers, [[2, 2], [-3, 7]]),
    ],
)
def test_simpler_elements(
    edited: Callable[..., Case], edit: Callable[[Case, Take], None], expected: Any
) -> None:
    (value,) = edited(edit, WEIGHTS).model.graph.initializers.values()
    array = constant(value)
    assert array is not None
    np.testing.assert_array_equal(array, expected)
    assert array.shape == np.shape(expected)


def test_constant_nodes_too(edited: Callable[..., Case]) -> None:
    text = "m (float[2] x) => (float[2] y) { c = Constant <value = float[2] {3.5, 4.5}> () y = Add(x, c) }"
    case = edited(constants_to_zeros, text)
    np.testing.assert_array_equal(constant(case.model.graph[0].outputs[0]), [0, 0])
