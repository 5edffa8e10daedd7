"""The pass tests' own helper: it must find a pass that lies, breaks numbers or never ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir
import pytest

from graphopt.ir import Changes
from graphopt.pipeline import Pass
from graphopt.testing import model_inputs, parse_model, run_pass

RELU = "g (float[N, 4] x) => (float[N, 4] y) { y = Relu(x) }"


@dataclass(frozen=True)
class Swap(Pass):
    """Replace Relu by another operator, and say what it is told to say."""

    name: ClassVar[str] = "swap"
    exact: ClassVar[bool] = True
    to: str = "Relu"
    counted: int = 0

    def apply(self, model: ir.Model, changes: Changes) -> None:
        for node in model.graph:
            node.op_type = self.to
        changes.add("swap", self.counted)


def test_a_pass_that_does_nothing_passes() -> None:
    run = run_pass(RELU, Swap())
    assert run.changes == 0 and run.ops == ["Relu"]


def test_wrong_numbers_are_found() -> None:
    with pytest.raises(AssertionError, match="breaks 'numbers': output 'y': 5 of 12"):
        run_pass(RELU, Swap("Abs", 1))


@pytest.mark.parametrize("what", [Swap("Abs", 0), Swap("Relu", 1)])
def test_a_dishonest_count_is_found(what: Pass) -> None:
    with pytest.raises(AssertionError, match="changes counted"):
        run_pass(RELU, what)


def test_a_pass_that_never_ends_is_found() -> None:
    with pytest.raises(AssertionError, match="second run"):
        run_pass("g (float[2] x) => (float[2] y) { y = Abs(x) }", _Grow())


@dataclass(frozen=True)
class _Grow(Pass):
    """Put one more Identity in front of the output each time."""

    name: ClassVar[str] = "grow"
    exact: ClassVar[bool] = True

    def apply(self, model: ir.Model, changes: Changes) -> None:
        (last,) = model.graph.outputs
        node = ir.Node("", "Identity", [last], name=f"n{len(model.graph)}")
        last.name, node.outputs[0].name = f"v{len(model.graph)}", last.name
        node.outputs[0].type, node.outputs[0].shape = last.type, last.shape
        model.graph.append(node)
        model.graph.outputs[0] = node.outputs[0]
        changes.add("grow")


def test_inputs_share_symbolic_sizes_and_hold_special_values() -> None:
    text = "g (float[N, M] x, int64[M, 7] k, bool[N] b) => (float[N, M] y) { y = Identity(x) }"
    sets = model_inputs(parse_model(text))
    assert len(sets) == 3
    for feed in sets:
        assert feed["x"].shape == (feed["b"].shape[0], feed["k"].shape[0])
        assert feed["x"].dtype == np.float32 and feed["b"].dtype == np.bool_
    assert np.isnan(sets[-1]["x"]).any() and np.signbit(sets[-1]["x"][sets[-1]["x"] == 0]).any()
