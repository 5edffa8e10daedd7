"""Strategies: models that shrink, bounds that hold, pipelines that can be read."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from graphopt.errors import UsageError
from graphopt.ir import nodes
from graphopt.pipeline import Pipeline, default_catalog
from graphopt.testing import model_inputs, models
from graphopt.testing.generate import SPECIALS
from graphopt.testing.strategies import pipelines

QUICK = settings(
    max_examples=10,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@QUICK
@seed(1)
@given(model=models(ops=("Add", "Transpose"), max_nodes=4, opsets=(13, 18), specials=False, dynamic=False))
def test_models_keep_to_their_bounds(model: ir.Model) -> None:
    """And carry inputs on which they run."""
    assert {node.op_type for node in nodes(model)} <= {"Add", "Transpose", "Constant", "Part"}
    assert 13 <= model.opset_imports[""] <= 18
    assert not model.meta[SPECIALS]
    assert model_inputs(model)


@QUICK
@seed(1)
@given(text=pipelines())
def test_pipelines_can_be_read(text: str) -> None:
    """By the parser of the command line, to the same text."""
    assert str(Pipeline.parse(text)) == text


@QUICK
@seed(1)
@given(text=pipelines({"dce": default_catalog()["dce"]}))
def test_pipelines_of_a_catalog(text: str) -> None:
    """Levels aside, they hold its passes alone."""
    assert "dce" in text


def failing(test: Callable[[ir.Model], None]) -> ir.Model:
    """The simplest model on which a test fails."""
    found: list[ir.Model] = []

    @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @seed(3)
    @given(model=models(ops=("Add", "Transpose", "Relu"), max_nodes=8, dtypes=["float32"], opsets=(18, 18)))
    def run(model: ir.Model) -> None:
        try:
            test(model)
        except AssertionError:
            found.append(model)
            raise

    with pytest.raises(AssertionError):
        run()
    return found[-1]


def test_failures_shrink_to_few_nodes() -> None:
    """A node planted in a model of any size is nearly all that is left."""

    def no_transpose_is_added(model: ir.Model) -> None:
        for node in nodes(model):
            added = any(use.node.op_type == "Add" for value in node.outputs for use in value.uses())
            assert not (node.op_type == "Transpose" and added)

    assert len(list(nodes(failing(no_transpose_is_added)))) <= 4


def test_bounds_are_checked_before_a_test_runs() -> None:
    """A pass that does not exist, an element type that is none."""
    with pytest.raises(Exception, match="no pass 'nonsense'"):
        models(around="nonsense")
    with pytest.raises(Exception, match="element type"):
        models(dtypes=["float33"])
    with pytest.raises(UsageError, match="ops is 'Conv'"):
        models(ops="Conv")
    with pytest.raises(UsageError, match="none of the operators"):
        models(ops=["Gelu"], opsets=(7, 12))
    with pytest.raises(UsageError, match="opsets is 18"):
        models(opsets=18)  # type: ignore[arg-type]
