"""fold-sequences: elements of a sequence built in one step; graph inputs keep their names."""

from __future__ import annotations

import pytest

from graphopt.testing import run_pass


def test_an_element_that_is_a_graph_input_keeps_its_name() -> None:
    text = """g (float[N] x) => (float[N] y) <int64 i = {1}> {
        s = SequenceConstruct(x, x) y = SequenceAt(s, i)
    }"""
    run = run_pass(text, "fold-sequences")
    assert run.model.graph.inputs[0].name == "x" and run.model.graph.outputs[0].name == "y"
    assert run.ops == ["SequenceConstruct", "SequenceAt"]
    assert run.refusals["element-of-construct: both ends belong to the graph's interface"] == 1


@pytest.mark.parametrize(("position", "op"), [(0, "Abs"), (-1, "Neg"), (1, "Neg")])
def test_applies(position: int, op: str) -> None:
    text = f"""g (float[N] x) => (float[N] y) <int64 i = {{{position}}}> {{
        a = Abs(x) b = Neg(x) s = SequenceConstruct(a, b) e = SequenceAt(s, i) y = Cos(e)
    }}"""
    assert run_pass(text, "fold-sequences,dce").ops == [op, "Cos"]


def test_length() -> None:
    text = """g (float[N] x) => (int64 y) {
        s = SequenceConstruct(x, x, x) n = SequenceLength(s) y = Neg(n)
    }"""
    assert run_pass(text, "fold-sequences,dce").ops == ["Neg"]


def test_a_position_outside_is_left_to_the_runtime() -> None:
    text = """g (float[N] x) => (float[N] y) <int64 i = {2}> {
        a = Abs(x) s = SequenceConstruct(a, a) e = SequenceAt(s, i) y = Cos(e)
    }"""
    run = run_pass(text, "fold-sequences", inputs=())
    assert run.changes == 0 and len(run.refusals) == 1


def test_split_to_sequence_is_left_alone() -> None:
    text = """g (float[4] x) => (float y) <int64 i = {2}> {
        s = SplitToSequence<axis = 0, keepdims = 0>(x) e = SequenceAt(s, i) y = Cos(e)
    }"""
    assert run_pass(text, "fold-sequences").changes == 0
