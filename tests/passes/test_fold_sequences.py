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


def test_a_split_without_sizes_is_left_alone() -> None:
    text = """g (float[4] x) => (float y) <int64 i = {2}> {
        s = SplitToSequence<axis = 0, keepdims = 0>(x) e = SequenceAt(s, i) y = Cos(e)
    }"""
    assert run_pass(text, "fold-sequences").changes == 0


@pytest.mark.parametrize(
    ("split", "sizes"),
    [("int64 c = {3}", [3, 3, 1]), ("int64[3] c = {2, 4, 1}", [2, 4, 1]), ("int64[1] c = {7}", [7])],
)
def test_parts_of_a_split_come_from_a_split(split: str, sizes: list[int]) -> None:
    text = f"""g (float[N,7] x) => (float[N,M] y, float[N,K] z)
    <{split}, int64 i = {{0}}, int64 j = {{-1}}> {{
        s = SplitToSequence <axis = -1> (x, c)
        a = SequenceAt(s, i) y = Cos(a) b = SequenceAt(s, j) z = Sin(b)
    }}"""
    run = run_pass(text, "fold-sequences,cse,dce")
    assert run.ops == ["Split", "Cos", "Sin"]
    shape = run.node("Cos").inputs[0]
    assert shape is not None and shape.shape is not None and shape.shape.dims[1] == sizes[0]


@pytest.mark.parametrize(
    ("shape", "split", "position", "reason"),
    [
        ("N,M", "int64 c = {3}", 0, "the size of what is split is not known"),
        ("N,7", "int64 c = {0}", 0, "position 0 of parts of [0] does not fit a size of 7"),
        ("N,7", "int64 c = {3}", 3, "position 3 of parts of [3, 3, 1] does not fit a size of 7"),
    ],
)
def test_parts_that_are_not_known_stay(shape: str, split: str, position: int, reason: str) -> None:
    text = f"""g (float[{shape}] x) => (float[N,K] y) <{split}, int64 i = {{{position}}}> {{
        s = SplitToSequence <axis = 1> (x, c) a = SequenceAt(s, i) y = Cos(a)
    }}"""
    run = run_pass(text, "fold-sequences", inputs=())
    assert run.changes == 0 and run.refusals[f"element-of-split: {reason}"] == 1


@pytest.mark.parametrize(("opset", "inputs"), [(12, 1), (13, 2)])
def test_sizes_are_written_as_the_opset_has_them(opset: int, inputs: int) -> None:
    text = """g (float[N,7] x) => (float[N,M] y) <int64[3] c = {2, 4, 1}, int64 i = {1}> {
        s = SplitToSequence <axis = 1> (x, c) a = SequenceAt(s, i) y = Cos(a)
    }"""
    run = run_pass(text, "fold-sequences,dce", opset=opset)
    assert run.ops == ["Split", "Cos"]
    assert len(run.node("Split").inputs) == inputs


@pytest.mark.parametrize("split", ["int64[2] c = {2, 4}", "int64[3] c = {7, 0, 0}", "int64[2] c = {8, -1}"])
def test_sizes_that_do_not_fit_stay(split: str) -> None:
    text = f"""g (float[N,7] x) => (float[N,K] y) <{split}, int64 i = {{0}}> {{
        s = SplitToSequence <axis = 1> (x, c) a = SequenceAt(s, i) y = Cos(a)
    }}"""
    run = run_pass(text, "fold-sequences", inputs=())
    assert run.changes == 0 and len(run.refusals) == 1


def test_shapes_of_what_was_an_element_are_known_to_what_follows() -> None:
    run = run_pass(
        """
        g (float[1] x) => (float[1] y) <int64 zero = {0}, int64 one = {1}, int64[1] k = {1}> {
            s = SequenceConstruct (x)
            a = SequenceAt (s, zero)
            t, i = TopK (a, k)
            parts = SplitToSequence (t, one)
            y = SequenceAt (parts, zero)
        }
        """,
        "fold-sequences",
    )
    assert run.ops.count("Split") == 1
