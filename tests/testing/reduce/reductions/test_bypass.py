"""Bypassing nodes."""

from __future__ import annotations

from collections.abc import Callable

from graphopt.testing.reduce.case import Case
from graphopt.testing.reduce.reductions.bypass import bypass_any_shape, bypass_nodes


def test_users_take_an_input_of_the_same_type_and_shape(
    edited: Callable[..., Case], operators: Callable[[Case], list[str]]
) -> None:
    text = "m (float[2] x) => (float[2] y) { a = Relu(x) b = Neg(a) y = Abs(b) }"
    assert operators(edited(bypass_nodes, text, {1})) == ["Relu", "Abs"]


def test_an_output_moves_to_the_node_before(
    edited: Callable[..., Case], operators: Callable[[Case], list[str]]
) -> None:
    case = edited(bypass_nodes, "m (float[2] x) => (float[2] y) { a = Relu(x) y = Abs(a) }", {0})
    assert operators(case) == ["Relu"]
    assert [output.name for output in case.model.graph.outputs] == ["a"]


def test_nodes_in_bodies(edited: Callable[..., Case]) -> None:
    text = """m (float[2] x, bool c) => (float[2] y) {
        y = If(c) <then_branch = t () => (float[2] u) { a = Neg(x) u = Abs(a) },
                   else_branch = e () => (float[2] v) { v = Identity(x) }>
    }"""
    case = edited(bypass_nodes, text, {1})
    assert [node.op_type for node in case.model.graph[0].attributes["then_branch"].as_graph()] == ["Abs"]


def test_another_shape(edited: Callable[..., Case], operators: Callable[[Case], list[str]]) -> None:
    text = "m (float[2,3] x) => (float[p,q] y) { a = Transpose(x) y = Abs(a) }"
    assert operators(edited(bypass_any_shape, text)) == ["Abs"]


def test_outputs_of_a_body_keep_their_places(edited: Callable[..., Case]) -> None:
    text = """m (float[2] x, bool c) => (float[2] y, float[2] z) {
        y, z = If(c) <then_branch = t () => (float[2] a, float[2] b) { a = Neg(x) b = Abs(a) },
                      else_branch = e () => (float[2] v, float[2] w) { v = Identity(x) w = Exp(x) }>
    }"""
    body = edited(bypass_nodes, text, {0}).model.graph[0].attributes["then_branch"].as_graph()
    assert [output.name for output in body.outputs] == ["a", "a"]
