"""What tests of passes that prune share: a run that leaves a valid model, and how far outputs move."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.execute import Session
from graphopt.ir import infer_shapes, static_shape, verify
from graphopt.pipeline import Outcome, Pass

NEW = 8
"""Inputs that nothing was fitted to."""


@pytest.fixture(scope="session")
def outcome_of() -> Callable[[Pass, ir.Model], Outcome]:
    """`outcome_of(pass, model)`: what a pass says it did; the model is valid afterwards."""

    def run(each: Pass, model: ir.Model) -> Outcome:
        outcome = each.call(model)
        infer_shapes(model)
        verify(model)
        return outcome

    return run


@pytest.fixture(scope="session")
def error() -> Callable[[ir.Model, ir.Model], float]:
    """`error(before, after)`: noise over signal of y on inputs x that nothing was fitted to."""

    def measure(before: ir.Model, after: ir.Model) -> float:
        rng = np.random.default_rng(11)
        shape = static_shape(before.graph.inputs[0])
        assert shape is not None
        inputs = [{"x": rng.normal(size=shape).astype(np.float32)} for _ in range(NEW)]
        one, other = Session(before), Session(after)
        pairs = [(one.run(each)["y"], other.run(each)["y"]) for each in inputs]
        return float(sum(np.sum((a - b) ** 2) for a, b in pairs) / sum(np.sum(a**2) for a, _ in pairs))

    return measure
