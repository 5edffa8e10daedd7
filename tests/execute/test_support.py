"""What the installed onnxruntime runs."""

from __future__ import annotations

import pytest

from graphopt.execute import runs_operator, runs_opset
from graphopt.ir.opsets import NEWEST_OPSET, OLDEST_OPSET


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
