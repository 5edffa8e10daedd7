"""What the installed onnxruntime runs."""

from __future__ import annotations

import pytest

from graphopt.execute import runs_node, runs_opset
from graphopt.execute.support import runs_operator
from graphopt.ir.opsets import NEWEST_OPSET, OLDEST_OPSET, Draft
from graphopt.ir.opsets.draft import Constants
from graphopt.testing import parse_model


def test_opsets_are_tried() -> None:
    assert runs_opset(OLDEST_OPSET)
    assert not runs_opset(NEWEST_OPSET + 100)


@pytest.mark.parametrize(
    ("op_type", "version"),
    [
        ("Conv", 7),
        ("Conv", 22),
        ("RoiAlign", 21),
        ("Gelu", 20),
        ("CenterCropPad", 18),  # a function of others
        ("Scatter", 10),
        ("NoSuchOperator", 20),
    ],
)
def test_operators_that_run(op_type: str, version: int) -> None:
    assert runs_operator(op_type, version)


def test_an_operator_without_a_kernel() -> None:
    assert not runs_operator("Scatter", 11)  # deprecated: ScatterElements took its place


def test_a_function_of_an_operator_without_a_kernel() -> None:
    assert runs_operator("Bernoulli", 20)
    assert not runs_operator("Bernoulli", 22)  # onnxruntime 1.31 has no RandomUniformLike of that opset


def runs(text: str, version: int) -> bool:
    return runs_node(Draft(parse_model(text).graph.node(0), version, Constants()), version)


@pytest.mark.parametrize("op_type", ["Elu", "HardSigmoid"])
def test_types_without_a_kernel_run_where_the_operator_is_a_function_of_what_runs(op_type: str) -> None:
    """Its function is of opset 18; from 19 on a CastLike in it means something else."""
    double = f"g (double[2] x) => (double[2] y) {{ y = {op_type}<alpha=0.5>(x) }}"
    assert [version for version in range(17, 25) if runs(double, version)] == [18]
    assert all(runs(double.replace("double", "float"), version) for version in range(17, 25))
    assert all(runs(double.replace("double", "float16"), version) for version in range(17, 25))


def test_every_type_counts() -> None:
    text = "g (double[2] x, {} d) => (double[2] y, bool[2] m) {{ y, m = Dropout (x, d) }}"
    assert runs(text.format("float"), 22)
    assert not runs(text.format("bfloat16"), 22)


@pytest.mark.parametrize(
    "text",
    [
        "g (seq(float[N]) s, int64 i) => (y) { y = SequenceAt (s, i) }",
        "g (x) => (y) { y = Elu (x) }",
        "g (float[2] x, float h) => (y) { y = Clip (x, , h) }",
        "g (float[2] x) => (y) { y = HardSwish (x) }",
    ],
)
def test_sequences_unknown_types_absent_inputs_and_functions(text: str) -> None:
    assert runs(text, 18)
    assert runs(text, 22)
