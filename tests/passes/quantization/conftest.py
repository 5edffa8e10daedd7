"""Fixtures for the tests of quantization: calibrate and quantize a small model, and compare outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graphopt.execute import DATA_KEY, Session
from graphopt.ir import Changes, infer_shapes, verify
from graphopt.passes.quantization.calibrate import Calibrate
from graphopt.passes.quantization.quantize_static import QuantizeStatic
from graphopt.quant.measures import sqnr_db
from graphopt.targets import Target
from graphopt.testing import parse_model

Feed = Mapping[str, Any]


@dataclass
class Quantized:
    """What became of a model.

    Attributes:
        before: In float.
        model: With Q and DQ.
        changes: What was done and refused.
        feed: Inputs.
    """

    before: ir.Model
    model: ir.Model
    changes: Changes
    feed: Feed

    @property
    def ops(self) -> list[str]:
        """Operators in order, without Q and DQ."""
        return [node.op_type for node in self.model.graph if "Linear" not in node.op_type]

    @property
    def on_codes(self) -> list[str]:
        """Operators that onnxruntime should run on codes, as graphopt predicts it."""
        from graphopt.quant.predict import INT8, predict

        rules = Target.load("ort-cpu").quantization
        assert rules is not None
        return [place.node.op_type for place in predict(self.model, rules) if place.runs_in == INT8]

    def node(self, op_type: str) -> ir.Node:
        """The only node of an operator."""
        (found,) = (node for node in self.model.graph if node.op_type == op_type)
        return found

    def count(self, op_type: str) -> int:
        """How many nodes of an operator there are."""
        return sum(node.op_type == op_type for node in self.model.graph)

    def sqnr(self, *, optimize: bool = True) -> float:
        """The worst output's signal over its error, in decibels, as onnxruntime runs the model."""
        onnx.checker.check_model(ir.to_proto(self.model), full_check=True)
        expected = Session(self.before).run(self.feed)
        actual = Session(self.model, optimize=optimize, fallback=False).run(self.feed)
        return min(sqnr_db(expected[name], actual[name]) for name in expected)


def _feeds(model: ir.Model, count: int = 4) -> list[dict[str, Any]]:
    random = np.random.default_rng(0)
    feeds = []
    for _ in range(count):
        feed = {}
        for value in model.graph.inputs:
            shape = [dim if isinstance(dim, int) else 3 for dim in value.shape or ()]
            feed[value.name or ""] = random.normal(0.0, 2.0, shape).astype(np.float32)
        feeds.append(feed)
    return feeds


def unused(model: ir.Model) -> list[str]:
    """Names of the initializers of the main graph that nobody reads."""
    constants = model.graph.initializers.items()
    return [name for name, value in constants if not value.uses() and not value.is_graph_output()]


@pytest.fixture(scope="session")
def quantized() -> Callable[..., Quantized]:
    """`quantized(text, feeds=None, opset=18, **options of the pass)`: calibrate, quantize, verify."""

    def quantize(
        text: str, feeds: Sequence[Feed] | None = None, *, opset: int = 18, **options: Any
    ) -> Quantized:
        before = parse_model(text, opset=opset)
        infer_shapes(before)
        model = before.clone()
        feeds = _feeds(before) if feeds is None else feeds
        model.meta[DATA_KEY] = feeds
        target = {name: value for name, value in options.items() if name == "target"}
        Calibrate(threads=1, observer="minmax", **target).call(model)
        outcome = QuantizeStatic(**{"everywhere": True, **options}).call(model)
        verify(model)
        assert set(unused(model)) <= set(unused(before)), "constants that nobody reads any more are left"
        return Quantized(before, model, outcome.changes, feeds[0])

    return quantize
