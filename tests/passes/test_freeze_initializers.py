"""freeze-initializers: defaults become constants; the other inputs stay as they are."""

from __future__ import annotations

from graphopt.ir import constant
from graphopt.pipeline import Pipeline
from graphopt.testing import parse_model, run_pass

TEXT = "g (float[2] x, float[2] w) => (float[2] y) <float[2] w = {1, 2}> { y = Add(x, w) }"


def test_defaults_become_constants() -> None:
    model = parse_model(TEXT, ir_version=3, opset=8)
    records = Pipeline.parse("freeze-initializers").run(model).records
    assert [record.changes for record in records] == [1]
    assert [value.name for value in model.graph.inputs] == ["x"]
    assert constant(model.graph.initializers["w"]) is not None
    assert model.ir_version == 4
    assert not Pipeline.parse("freeze-initializers").run(model).records[0].changes


def test_a_model_without_defaults_is_left_alone() -> None:
    text = "g (float[2] x) => (float[2] y) <float[2] w = {1, 2}> { y = Add(x, w) }"
    assert run_pass(text, "freeze-initializers").changes == 0


def test_an_input_that_is_an_output_too_becomes_a_constant() -> None:
    run = run_pass("g (float[2] w) => (float[2] w) <float[2] w = {1, 2}> { }", "freeze-initializers")
    assert run.changes == 1
    assert not run.model.graph.inputs
