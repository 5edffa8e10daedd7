"""Graphs inside nodes: they see what is around them, and no deeper than allowed."""

from __future__ import annotations

import numpy as np
import onnx.parser
import pytest

from graphopt.ir import nodes, scalar
from graphopt.testing.generate import Seeded, Spec, Unfit, generate_model
from graphopt.testing.generate.builder import Builder
from graphopt.testing.generate.recipes._bodies import DEEPEST, as_graph, body, captured, own, same_names
from graphopt.testing.generate.recipes.branches import of_type


def builder(*, subgraphs: bool = True) -> Builder:
    return Builder(Seeded(1), Spec(subgraphs=subgraphs), opset=18, ir_version=8)


def test_what_a_body_reads_of_all_graphs_around_is_captured() -> None:
    b = builder()
    x, y = b.input(np.ones(2, np.float32)), b.input(np.ones(2, np.float32))
    middle = body(b)
    inner = body(middle)
    z = middle.op("Neg", y)
    graph = as_graph(inner, [inner.op("Add", inner.op("Mul", x, z), inner.op("Relu", x))])
    assert {known.name for known in captured(middle, graph)} == {x.name, z.name}
    assert [output.name for output in graph.output] == [graph.node[-1].output[0]]


def test_results_are_made_in_the_body() -> None:
    b = builder()
    x = b.input(np.ones(2, np.float32))
    inner = body(b)
    assert own(inner, x) is not x
    made = inner.op("Neg", x)
    assert own(inner, made) is made


def test_bodies_end_somewhere() -> None:
    b = builder()
    for _ in range(DEEPEST):
        b = body(b)
    with pytest.raises(Unfit, match="no graphs"):
        body(b)
    with pytest.raises(Unfit, match="no graphs"):
        body(builder(subgraphs=False))


def test_values_of_two_bodies_may_be_called_alike() -> None:
    one = onnx.parser.parse_graph("a () => (float[2] p) { q = Neg(x) p = Relu(q) }")
    other = onnx.parser.parse_graph("b () => (float[2] r) { s = Abs(x) r = Add(s, x) }")
    same_names(other, one)
    assert [list(node.output) for node in other.node] == [["q"], ["p"]]
    assert list(other.node[1].input) == ["q", "x"]
    assert other.output[0].name == "p"


@pytest.mark.parametrize(("opset", "shape"), [(9, (1, 3)), (11, (2, 3))])
def test_branches_have_equal_shapes_where_the_opset_demands_it(opset: int, shape: tuple[int, ...]) -> None:
    b = Builder(Seeded(1), Spec(), opset=opset, ir_version=8)
    inner = body(b)
    inner.op("Neg", b.input(np.ones((2, 3), np.float32)))
    assert of_type(inner, b.input(np.ones((1, 3), np.float32))).shape == shape


@pytest.mark.parametrize("op_type", ["If", "Loop", "Scan"])
def test_models_of_control_flow(op_type: str) -> None:
    spec = Spec(named=(op_type.lower(),), max_nodes=8, opsets=(13, 20))
    found = [generate_model(seed, spec) for seed in range(15)]
    assert any(node.op_type == op_type for model in found for node in model.graph)


def test_no_stack_of_a_loop_that_never_ran_is_read() -> None:
    """onnxruntime gives it this shape or that, and does not survive some that it has given itself."""
    looked_at = 0
    for seed in range(200):
        model = generate_model(seed, often=["Loop"], max_nodes=6)
        for node in nodes(model):
            if node.op_type == "Loop" and node.graph is model.graph:
                count = scalar(node.inputs[0])
                stacks = node.outputs[len(node.inputs) - 2 :]
                if count == 0 and stacks:
                    looked_at += 1
                    assert not any(value.uses() or value.is_graph_output() for value in stacks)
    assert looked_at
